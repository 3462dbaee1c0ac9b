// SPDX-License-Identifier: Apache-2.0
#include "tokenizer_json.h"

#include <utility>

#include "bpe.h"
#include "cpx/core/error.h"
#include "cpx/tokenizer/load.h"
#include "unigram.h"
#include "word_piece.h"

namespace cpx::tokenizer {

namespace {

// Left and right part of a merge: "left right" or ["left", "right"].
std::pair<std::string_view, std::string_view> split_merge(const JsonValue& merge) {
  constexpr const char* kExpected = "'left right' or ['left', 'right']";
  if (merge.is_list()) {
    const auto parts = merge.elements();
    if (parts.size() != 2 || !parts[0].is_text() || !parts[1].is_text()) merge.fail(kExpected);
    return {parts[0].text_view(), parts[1].text_view()};
  }
  const auto parts = merge.is_text() ? split_merge_text(merge.text_view()) : std::nullopt;
  if (!parts) merge.fail(kExpected);
  return *parts;
}

// Older files carry the first line of merges.txt.
bool is_version_line(const JsonValue& merge) {
  return merge.is_text() && merge.text_view().starts_with("#version");
}

Bpe::MergeMap read_merges(const JsonValue& node, const StringMap<TokenId>& vocabulary) {
  if (!node.is_list()) node.fail("a list of merges");
  Bpe::MergeMap merges;
  merges.reserve(node.size());
  for (size_t i = 0; const JsonValue& merge : node.elements()) {
    const size_t rank = i++;
    if (is_version_line(merge)) continue;
    const auto [left, right] = split_merge(merge);
    const auto where = [&] { return fmt::format("{}: '{}'", node.place(), merge.path()); };
    Bpe::add_merge(vocabulary, left, right, rank, where, merges);
  }
  return merges;
}

// Options of BPE that the Llama family never sets.
void check_unused_options(const JsonValue& model) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto option = model.find(key);
    if (option && !option->text().empty()) option->fail("null (cpx does not support it)");
  }
}

// The id of the model's `unk_token`, where it has one.
std::optional<TokenId> read_unknown(const JsonValue& model, const StringMap<TokenId>& vocabulary) {
  const auto unknown = model.find("unk_token");
  if (!unknown) return std::nullopt;
  const auto found = vocabulary.find(unknown->text());
  if (found == vocabulary.end()) unknown->fail("a token of 'model.vocab'");
  return found->second;
}

std::unique_ptr<const WordModel> read_bpe(const JsonValue& model) {
  check_unused_options(model);
  auto vocabulary = read_vocabulary(model.at("vocab"));
  auto merges = read_merges(model.at("merges"), vocabulary);
  const BpeOptions options{.unknown_id = read_unknown(model, vocabulary),
                           .fuses_unknown = model.boolean_or("fuse_unk", false),
                           .has_byte_fallback = model.boolean_or("byte_fallback", false),
                           .ignores_merges = model.boolean_or("ignore_merges", false)};
  return std::make_unique<const Bpe>(std::move(vocabulary), std::move(merges), options);
}

std::unique_ptr<const WordModel> read_word_piece(const JsonValue& model) {
  auto vocabulary = read_vocabulary(model.at("vocab"));
  WordPieceOptions options;
  options.continuation = model.text_or("continuing_subword_prefix", options.continuation);
  if (const auto most = model.find("max_input_chars_per_word")) {
    options.most_characters = static_cast<size_t>(most->integer(0, kMaxVocabularySize));
  }
  if (!model.find("unk_token")) model.fail_missing("unk_token", "a token of 'model.vocab'");
  options.unknown_id = *read_unknown(model, vocabulary);
  return std::make_unique<const WordPiece>(std::move(vocabulary), std::move(options));
}

// vocab: [[spelling, log-probability], ...].
std::unique_ptr<const WordModel> read_unigram(const JsonValue& model) {
  const JsonValue vocab = model.at("vocab");
  if (!vocab.is_list()) vocab.fail("a list of token and score");
  std::vector<std::pair<std::string, double>> pieces;
  pieces.reserve(vocab.size());
  for (const JsonValue& entry : vocab.elements()) {
    const auto parts = entry.is_list() ? entry.elements() : std::vector<JsonValue>();
    if (parts.size() != 2) entry.fail("a list of token and score");
    pieces.emplace_back(parts[0].text(), parts[1].number());
  }
  UnigramOptions options{.has_byte_fallback = model.boolean_or("byte_fallback", false)};
  if (const auto unknown = model.find("unk_id")) {
    options.unknown_id = static_cast<TokenId>(unknown->integer(0, std::ssize(pieces) - 1));
  }
  return std::make_unique<const Unigram>(std::move(pieces), options);
}

// Old files do not name the type: only Unigram has a list of pieces, and only WordPiece a limit.
std::string type_of_model(const JsonValue& model) {
  if (const auto type = model.find("type")) return type->text();
  const auto vocab = model.find("vocab");
  if (vocab && vocab->is_list()) return "Unigram";
  const bool is_word_piece = !model.find("merges") && model.find("max_input_chars_per_word");
  return is_word_piece ? "WordPiece" : "BPE";
}

std::unique_ptr<const WordModel> read_model(const JsonValue& model) {
  const std::string type = type_of_model(model);
  if (type == "BPE") return read_bpe(model);
  if (type == "WordPiece") return read_word_piece(model);
  if (type == "Unigram") return read_unigram(model);
  model.fail("type", "BPE, WordPiece or Unigram");
}

std::vector<AddedToken> read_added_tokens(const JsonValue& node) {
  std::vector<AddedToken> tokens;
  for (const auto& element : node.elements()) {
    const auto id = element.at("id").integer(0, kMaxVocabularySize - 1);
    tokens.push_back(parse_added_token(element, static_cast<TokenId>(id)));
  }
  return tokens;
}

}  // namespace

StringMap<TokenId> read_vocabulary(const JsonValue& node) {
  if (!node.is_object()) node.fail("an object of token and id");
  StringMap<TokenId> vocabulary;
  vocabulary.reserve(node.size());
  for (const auto& [piece, value] : node.members()) {
    const auto id = value.as_integer(0, kMaxVocabularySize - 1);
    if (!id) value.fail(fmt::format("an id from 0 to {}", kMaxVocabularySize - 1));
    vocabulary.emplace(piece, static_cast<TokenId>(*id));
  }
  return vocabulary;
}

std::optional<std::pair<std::string_view, std::string_view>> split_merge_text(
    std::string_view text) {
  const size_t space = text.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == text.size() ||
      text.find(' ', space + 1) != std::string_view::npos) {
    return std::nullopt;
  }
  return std::pair{text.substr(0, space), text.substr(space + 1)};
}

AddedToken parse_added_token(const JsonValue& node, TokenId id) {
  const JsonValue content = node.at("content");
  if (content.text().empty()) content.fail("a text that is not empty");
  const bool is_special = node.boolean_or("special", false);
  return {.content = content.text(),
          .id = id,
          .single_word = node.boolean_or("single_word", false),
          .lstrip = node.boolean_or("lstrip", false),
          .rstrip = node.boolean_or("rstrip", false),
          .normalized = node.boolean_or("normalized", !is_special),
          .is_special = is_special};
}

PipelineParts read_tokenizer_json(const std::filesystem::path& file) {
  return read_pipeline(JsonValue::read_file("tokenizer", file));
}

PipelineParts read_pipeline(const JsonValue& root) {
  PipelineParts parts;
  parts.model = read_model(root.at("model"));
  if (const auto node = root.find("added_tokens")) parts.added_tokens = read_added_tokens(*node);
  if (const auto node = root.find("normalizer")) parts.normalizer = parse_normalizer(*node);
  if (const auto node = root.find("pre_tokenizer")) {
    parts.pre_tokenizer = parse_pre_tokenizer(*node);
  }
  if (const auto node = root.find("post_processor")) {
    parts.post_processor = parse_post_processor(*node);
  }
  if (const auto node = root.find("decoder")) parts.detokenizer = parse_detokenizer(*node);
  return parts;
}

std::shared_ptr<const Tokenizer> load_tokenizer_json(const std::filesystem::path& file) {
  PipelineParts parts = read_tokenizer_json(file);
  number_added_tokens(parts.added_tokens, parts.base_vocabulary(), file.string());
  return std::make_shared<const PipelineTokenizer>(std::move(parts), file.string());
}

}  // namespace cpx::tokenizer
