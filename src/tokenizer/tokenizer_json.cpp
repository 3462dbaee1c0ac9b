// SPDX-License-Identifier: Apache-2.0
#include "tokenizer_json.h"

#include <utility>

#include "cpx/core/error.h"
#include "cpx/tokenizer/load.h"

namespace cpx::tokenizer {

namespace {

bool is_token_id(const nlohmann::json& value) {
  return value.is_number_unsigned() &&
         value.get<uint64_t>() < static_cast<uint64_t>(kMaxVocabularySize);
}

// Left and right part of a merge: "left right" or ["left", "right"].
std::pair<std::string_view, std::string_view> split_merge(const JsonNode& node, size_t index) {
  const auto& merge = node.raw()[index];
  const auto fail = [&] {
    node.fail_at(fmt::format("[{}]", index), merge, "'left right' or ['left', 'right']");
  };
  if (merge.is_array()) {
    if (merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string()) fail();
    return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
  }
  if (!merge.is_string()) fail();
  const auto parts = split_merge_text(merge.get_ref<const std::string&>());
  if (!parts) fail();
  return *parts;
}

// Older files carry the first line of merges.txt.
bool is_version_line(const nlohmann::json& merge) {
  return merge.is_string() && merge.get_ref<const std::string&>().starts_with("#version");
}

Bpe::MergeMap read_merges(const JsonNode& node, const StringMap<TokenId>& vocabulary) {
  if (!node.raw().is_array()) node.fail("a list of merges");
  Bpe::MergeMap merges;
  merges.reserve(node.raw().size());
  for (size_t i = 0; i < node.raw().size(); ++i) {
    if (is_version_line(node.raw()[i])) continue;
    const auto [left, right] = split_merge(node, i);
    const auto where = [&] { return fmt::format("{}: '{}[{}]'", node.file(), node.path(), i); };
    Bpe::add_merge(vocabulary, left, right, i, where, merges);
  }
  return merges;
}

// Options of BPE that the Llama family never sets.
void check_unused_options(const JsonNode& model) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto option = model.find(key);
    if (option && !option->text().empty()) option->fail("null (cpx does not support it)");
  }
}

std::unique_ptr<const Bpe> read_model(const JsonNode& model) {
  // Old files do not name the type; only BPE has merges.
  if (const auto type = model.find("type"); type && type->text() != "BPE") {
    type->fail("'BPE'");
  }
  check_unused_options(model);
  auto vocabulary = read_vocabulary(model.at("vocab"));
  auto merges = read_merges(model.at("merges"), vocabulary);
  BpeOptions options{.fuses_unknown = model.boolean_or("fuse_unk", false),
                     .has_byte_fallback = model.boolean_or("byte_fallback", false),
                     .ignores_merges = model.boolean_or("ignore_merges", false)};
  if (const auto unknown = model.find("unk_token")) {
    const auto found = vocabulary.find(unknown->text());
    if (found == vocabulary.end()) unknown->fail("a token of 'model.vocab'");
    options.unknown_id = found->second;
  }
  return std::make_unique<const Bpe>(std::move(vocabulary), std::move(merges), options);
}

std::vector<AddedToken> read_added_tokens(const JsonNode& node, const Bpe& model) {
  std::vector<AddedToken> tokens;
  for (const auto& element : node.elements()) {
    const auto id = element.at("id").integer(0, kMaxVocabularySize - 1);
    tokens.push_back(parse_added_token(element, static_cast<TokenId>(id)));
    const auto known = model.find(tokens.back().content);
    if (known && *known != id) {
      element.at("id").fail(fmt::format("{} (from 'model.vocab')", *known));
    }
  }
  return tokens;
}

}  // namespace

StringMap<TokenId> read_vocabulary(const JsonNode& node) {
  if (!node.raw().is_object()) node.fail("an object of token and id");
  StringMap<TokenId> vocabulary;
  vocabulary.reserve(node.raw().size());
  for (const auto& [piece, id] : node.raw().items()) {
    if (!is_token_id(id)) {
      node.fail_at("[" + in_quotes(piece) + "]", id,
                   fmt::format("an id from 0 to {}", kMaxVocabularySize - 1));
    }
    vocabulary.emplace(piece, id.get<TokenId>());
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

AddedToken parse_added_token(const JsonNode& node, TokenId id) {
  const JsonNode content = node.at("content");
  if (content.text().empty()) content.fail("text that is not empty");
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
  const JsonNode root = JsonNode::read_file(file);
  PipelineParts parts;
  parts.model = read_model(root.at("model"));
  if (const auto node = root.find("added_tokens")) {
    parts.added_tokens = read_added_tokens(*node, *parts.model);
  }
  if (const auto node = root.find("normalizer")) parts.normalizer = parse_normalizer(*node);
  if (const auto node = root.find("pre_tokenizer")) {
    parts.pre_tokenizer = parse_pre_tokenizer(*node);
  }
  if (const auto node = root.find("post_processor")) {
    parts.post_processor = parse_post_processor(*node);
  }
  if (const auto node = root.find("decoder")) parts.decoder = parse_decoder(*node);
  return parts;
}

std::shared_ptr<const Tokenizer> load_tokenizer_json(const std::filesystem::path& file) {
  return std::make_shared<const PipelineTokenizer>(read_tokenizer_json(file), file.string());
}

}  // namespace cpx::tokenizer
