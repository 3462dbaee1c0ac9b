// SPDX-License-Identifier: Apache-2.0
// Tokenizers of encoders, as transformers 5.23 makes them: tokenization_bert.py,
// tokenization_roberta.py, tokenization_xlm_roberta.py.
#include <algorithm>
#include <array>
#include <utility>

#include "bert_text.h"
#include "character_map.h"
#include "configured_tokens.h"
#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/core/output_file.h"
#include "cpx/tokenizer/load.h"
#include "folder_config.h"
#include "pipeline_tokenizer.h"
#include "sentencepiece_tokenizer.h"
#include "tokenizer_json.h"
#include "unigram.h"
#include "vocab_merges.h"
#include "word_piece.h"

namespace cpx::tokenizer {

namespace fs = std::filesystem;

namespace {

// A kind's class in transformers, its files and the spellings of its special tokens.
struct KindOfEncoder {
  EncoderTokenizer kind;
  std::string_view family;
  std::array<std::string_view, 2> classes;
  std::array<const char*, 2> files;  // the older ones; all of them are needed
  const char* files_text;
  const char* first;  // around a text
  const char* last;
  const char* unknown;
  const char* padding;
  const char* mask;
};

constexpr std::array kKinds = {
    KindOfEncoder{EncoderTokenizer::kWordPiece,
                  "BERT",
                  {"BertTokenizer", "DistilBertTokenizer"},
                  {"vocab.txt", nullptr},
                  "or vocab.txt,",
                  "[CLS]",
                  "[SEP]",
                  "[UNK]",
                  "[PAD]",
                  "[MASK]"},
    KindOfEncoder{EncoderTokenizer::kByteLevel,
                  "RoBERTa",
                  {"RobertaTokenizer", ""},
                  {"vocab.json", "merges.txt"},
                  "or vocab.json and merges.txt,",
                  "<s>",
                  "</s>",
                  "<unk>",
                  "<pad>",
                  "<mask>"},
    KindOfEncoder{EncoderTokenizer::kUnigram,
                  "XLM-RoBERTa",
                  {"XLMRobertaTokenizer", ""},
                  {"sentencepiece.bpe.model", nullptr},
                  "or sentencepiece.bpe.model,",
                  "<s>",
                  "</s>",
                  "<unk>",
                  "<pad>",
                  "<mask>"},
};

const KindOfEncoder& row_of(EncoderTokenizer kind) {
  return *std::ranges::find(kKinds, kind, &KindOfEncoder::kind);
}

// The kind of a class, with or without "Fast"; null for a class that makes no steps of its own.
const KindOfEncoder* kind_of_class(std::string_view name) {
  if (name.ends_with("Fast")) name.remove_suffix(4);
  for (const KindOfEncoder& row : kKinds) {
    if (!name.empty() && std::ranges::find(row.classes, name) != row.classes.end()) return &row;
  }
  return nullptr;
}

// Names the special tokens that the files leave to the class, in transformers' order.
void name_the_rest(FolderConfig& config, const KindOfEncoder& row, const fs::path& file) {
  const auto name = [&](std::optional<NamedToken>& named, const char* spelling) {
    if (named) return;
    named = NamedToken{
        .place = fmt::format("[tokenizer] {}: {}'s special token", file.string(), row.family),
        .token = {.content = spelling, .is_special = true}};
    const auto is_same = [&](const NamedToken& one) { return one.token.content == spelling; };
    if (std::ranges::none_of(config.named_tokens, is_same)) config.named_tokens.push_back(*named);
  };
  if (row.kind == EncoderTokenizer::kUnigram) {
    name(config.bos, row.first);
    name(config.eos, row.last);
  }
  name(config.unk, row.unknown);
  name(config.sep, row.last);
  name(config.pad, row.padding);
  name(config.cls, row.first);
  name(config.mask, row.mask);
}

// Adds the special tokens to `parts`, and the two around a text.
std::shared_ptr<const Tokenizer> with_special_tokens(PipelineParts parts,
                                                     const FolderConfig& config,
                                                     const KindOfEncoder& row,
                                                     const fs::path& file) {
  const bool is_unigram = row.kind == EncoderTokenizer::kUnigram;
  const auto& first = is_unigram ? config.bos : config.cls;
  const auto& last = is_unigram ? config.eos : config.sep;
  const BaseVocabulary vocabulary = parts.base_vocabulary();
  std::vector<AddedToken> stored = parts.added_tokens;
  stored.insert(stored.end(), config.added_tokens.begin(), config.added_tokens.end());
  for (const auto& named : {first, last}) resolve_token(named, vocabulary, stored);
  add_configured_tokens(config, vocabulary, parts.added_tokens, file.string());
  parts.traits = make_traits(config, vocabulary, parts.added_tokens, {});
  parts.post_processor.before = {*resolve_token(first, vocabulary, parts.added_tokens)};
  parts.post_processor.after = {*resolve_token(last, vocabulary, parts.added_tokens)};
  return std::make_shared<const PipelineTokenizer>(std::move(parts), file.string());
}

void set_bert_steps(PipelineParts& parts, const FolderConfig& config) {
  parts.normalizer =
      bert_normalizer({.spaces_ideographs = config.tokenize_chinese_chars.value_or(true),
                       .strips_accents = config.strip_accents,
                       .lowers_case = config.do_lower_case.value_or(true)});
  parts.pre_tokenizer = bert_pre_tokenizer();
  parts.detokenizer = word_piece_detokenizer("##", /*cleans_up=*/true);
}

void set_xlm_roberta_steps(PipelineParts& parts, const FolderConfig& config) {
  const bool has_prefix = config.add_prefix_space.value_or(true);
  const auto scheme = has_prefix ? PrependScheme::kAlways : PrependScheme::kNever;
  parts.pre_tokenizer = sequence(
      std::vector<PreTokenizer>{white_space_split(), metaspace({.prepend_scheme = scheme})});
  parts.detokenizer = metaspace_detokenizer(kSpaceMark, has_prefix);
}

// ---- from tokenizer.json ------------------------------------------------------------------------

// The table of characters of a normalizer, which may be one of several steps.
Normalizer find_character_map(const JsonValue& root) {
  const auto normalizer = root.find("normalizer");
  if (!normalizer) return {};
  const bool is_sequence = normalizer->at("type").is("Sequence");
  const auto steps =
      is_sequence ? normalizer->at("normalizers").elements() : std::vector{*normalizer};
  for (const JsonValue& step : steps) {
    if (step.at("type").is("Precompiled")) return parse_normalizer(step);
  }
  return {};
}

std::shared_ptr<const Tokenizer> load_class_json(const fs::path& file, FolderConfig config,
                                                 const KindOfEncoder& row) {
  const JsonValue root = JsonValue::read_file("tokenizer", file);
  PipelineParts parts = read_pipeline(root);
  if (row.kind == EncoderTokenizer::kWordPiece) {
    set_bert_steps(parts, config);
  } else {
    parts.normalizer = find_character_map(root);
    set_xlm_roberta_steps(parts, config);
  }
  parts.post_processor = {};
  name_the_rest(config, row, file);
  return with_special_tokens(std::move(parts), config, row, file);
}

// ---- from older files ---------------------------------------------------------------------------

std::shared_ptr<const Tokenizer> load_vocab_txt(const fs::path& folder, FolderConfig config,
                                                const KindOfEncoder& row) {
  const fs::path file = folder / row.files[0];
  name_the_rest(config, row, file);
  auto vocabulary = read_vocab_txt(file);
  const BaseVocabulary base{.find = [&](const std::string& piece) -> std::optional<TokenId> {
                              const auto found = vocabulary.find(piece);
                              return found == vocabulary.end() ? std::nullopt
                                                               : std::optional(found->second);
                            },
                            .has = {}};
  const TokenId unknown = *resolve_token(config.unk, base, {});
  PipelineParts parts;
  parts.model = std::make_unique<const WordPiece>(std::move(vocabulary),
                                                  WordPieceOptions{.unknown_id = unknown});
  set_bert_steps(parts, config);
  return with_special_tokens(std::move(parts), config, row, file);
}

std::shared_ptr<const Tokenizer> load_vocab_and_merges(const fs::path& folder, FolderConfig config,
                                                       const KindOfEncoder& row) {
  const fs::path file = folder / row.files[0];
  name_the_rest(config, row, file);
  const bool adds_prefix_space = config.add_prefix_space.value_or(false);
  PipelineParts parts;
  parts.model = read_vocab_and_merges(file, folder / row.files[1]);
  parts.pre_tokenizer = byte_level({.adds_prefix_space = adds_prefix_space});
  parts.detokenizer = byte_level_detokenizer();
  parts.post_processor.trims_offsets = true;
  parts.post_processor.keeps_prefix_space = adds_prefix_space;
  return with_special_tokens(std::move(parts), config, row, file);
}

// The ids of fairseq: four special tokens, then the model's pieces behind its own three, then the
// mask.
std::shared_ptr<const Tokenizer> load_sentencepiece_unigram(const fs::path& folder,
                                                            FolderConfig config,
                                                            const KindOfEncoder& row) {
  const fs::path file = folder / row.files[0];
  name_the_rest(config, row, file);
  const UnigramFile model = read_unigram_file(read_text_file(file), file.string());
  std::vector<std::pair<std::string, double>> pieces;
  for (const auto& named : {config.bos, config.pad, config.eos, config.unk}) {
    pieces.emplace_back(named->token.content, 0.0);
  }
  const auto unknown_id = static_cast<TokenId>(pieces.size() - 1);
  constexpr size_t kOwnTokens = 3;
  for (size_t i = kOwnTokens; i < model.pieces.size(); ++i) {
    pieces.emplace_back(model.pieces[i].spelling, model.pieces[i].score);
  }
  pieces.emplace_back(config.mask->token.content, 0.0);
  PipelineParts parts;
  parts.model =
      std::make_unique<const Unigram>(std::move(pieces), UnigramOptions{.unknown_id = unknown_id});
  if (!model.character_map.empty()) {
    parts.normalizer = character_map_normalizer(std::make_shared<const CharacterMap>(
        model.character_map, fmt::format("[tokenizer] {}", file.string())));
  }
  set_xlm_roberta_steps(parts, config);
  return with_special_tokens(std::move(parts), config, row, file);
}

std::shared_ptr<const Tokenizer> load_older_files(const fs::path& folder, FolderConfig config,
                                                  const KindOfEncoder& row) {
  const auto is_missing = [&](const char* name) {
    return name != nullptr && !is_file(folder / name);
  };
  if (std::ranges::any_of(row.files, is_missing)) {
    throw_<DataError>(
        "[load_tokenizer] {}: no tokenizer found, expected tokenizer.json, {} in this folder.{}",
        folder.string(), row.files_text, download_hint(folder));
  }
  switch (row.kind) {
    case EncoderTokenizer::kWordPiece:
      return load_vocab_txt(folder, std::move(config), row);
    case EncoderTokenizer::kByteLevel:
      return load_vocab_and_merges(folder, std::move(config), row);
    case EncoderTokenizer::kUnigram:
      return load_sentencepiece_unigram(folder, std::move(config), row);
  }
  return {};
}

// What a post-processing makes of an empty text.
void check_special_tokens(const Tokenizer& tokenizer, const KindOfEncoder& row,
                          const fs::path& folder) {
  const size_t num_added = tokenizer.encode("").ids.size();
  if (num_added == 2) return;
  throw_<DataError>(
      "[load_tokenizer] {}: the tokenizer adds {} tokens to a text, expected 2: {} and {} "
      "(tokenizer.json: post_processor).",
      folder.string(), num_added, row.first, row.last);
}

}  // namespace

std::shared_ptr<const Tokenizer> load_encoder_tokenizer(const fs::path& folder,
                                                        EncoderTokenizer kind) {
  FolderConfig config = read_folder_config(folder);
  const KindOfEncoder* of_class =
      config.tokenizer_class.empty() ? &row_of(kind) : kind_of_class(config.tokenizer_class);
  const KindOfEncoder& row = of_class != nullptr ? *of_class : row_of(kind);
  const fs::path json = folder / "tokenizer.json";
  std::shared_ptr<const Tokenizer> tokenizer;
  if (!is_file(json)) {
    tokenizer = load_older_files(folder, std::move(config), row);
  } else if (of_class == nullptr || row.kind == EncoderTokenizer::kByteLevel) {
    tokenizer = load_tokenizer(folder);
  } else {
    tokenizer = load_class_json(json, std::move(config), row);
  }
  check_special_tokens(*tokenizer, row, folder);
  return tokenizer;
}

}  // namespace cpx::tokenizer
