// SPDX-License-Identifier: Apache-2.0
// Where a GGUF's keys leave something open, llama.cpp, which defines them, decides.
#include "cpx/tokenizer/gguf_vocabulary.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/tokenizer/load.h"
#include "decoder.h"
#include "json_node.h"
#include "pipeline_tokenizer.h"
#include "sentencepiece_tokenizer.h"

namespace cpx::tokenizer {

namespace {

void check_length(const GgufVocabulary& vocabulary, const char* key, size_t length) {
  if (length == vocabulary.tokens.size()) return;
  throw_<DataError>("[tokenizer] {}: '{}' has {} entries, expected {} (tokenizer.ggml.tokens).",
                    vocabulary.source, key, length, vocabulary.tokens.size());
}

void check_vocabulary(const GgufVocabulary& vocabulary) {
  if (vocabulary.tokens.empty()) {
    throw_<DataError>("[tokenizer] {}: 'tokenizer.ggml.tokens' is missing or empty.",
                      vocabulary.source);
  }
  if (vocabulary.tokens.size() > static_cast<size_t>(kMaxVocabularySize)) {
    throw_<DataError>(
        "[tokenizer] {}: 'tokenizer.ggml.tokens' has {} entries, expected {} at most.",
        vocabulary.source, vocabulary.tokens.size(), kMaxVocabularySize);
  }
  if (!vocabulary.token_types.empty()) {
    check_length(vocabulary, "tokenizer.ggml.token_type", vocabulary.token_types.size());
  }
  if (!vocabulary.scores.empty()) {
    check_length(vocabulary, "tokenizer.ggml.scores", vocabulary.scores.size());
  }
  for (size_t id = 0; id < vocabulary.token_types.size(); ++id) {
    const int32_t type = vocabulary.token_types[id];
    if (type >= 1 && type <= 6) continue;
    throw_<DataError>("[tokenizer] {}: 'tokenizer.ggml.token_type[{}]' is {}, expected 1 to 6.",
                      vocabulary.source, id, type);
  }
}

GgufTokenType type_of(const GgufVocabulary& vocabulary, size_t id) {
  if (vocabulary.token_types.empty()) return GgufTokenType::kNormal;
  return static_cast<GgufTokenType>(vocabulary.token_types[id]);
}

std::optional<TokenId> special_id(const GgufVocabulary& vocabulary, const char* key,
                                  std::optional<int64_t> id) {
  if (!id) return std::nullopt;
  if (*id < 0 || *id >= static_cast<int64_t>(vocabulary.tokens.size())) {
    throw_<DataError>("[tokenizer] {}: '{}' is {}, expected an id below {}.", vocabulary.source,
                      key, *id, vocabulary.tokens.size());
  }
  return static_cast<TokenId>(*id);
}

TokenizerTraits make_traits(const GgufVocabulary& vocabulary) {
  return {.bos_id = special_id(vocabulary, "tokenizer.ggml.bos_token_id", vocabulary.bos_id),
          .eos_id = special_id(vocabulary, "tokenizer.ggml.eos_token_id", vocabulary.eos_id),
          .chat_template = vocabulary.chat_template};
}

// Tokens that are found in the text as they are.
std::vector<AddedToken> make_added_tokens(const GgufVocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& content = vocabulary.tokens[id];
    const GgufTokenType type = type_of(vocabulary, id);
    const bool is_control = type == GgufTokenType::kControl || type == GgufTokenType::kUnknown;
    // A spelling with the space mark is left to the model, which knows the mark.
    const bool is_added =
        type == GgufTokenType::kUserDefined && content.find(kSpaceMark) == std::string::npos;
    if (content.empty() || !(is_control || is_added)) continue;
    tokens.push_back(
        {.content = content, .id = static_cast<TokenId>(id), .is_special = is_control});
  }
  return tokens;
}

// ---- Byte-level BPE
// ------------------------------------------------------------------------------

// Llama 3's pattern, as in its tokenizer.json.
constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
// llama.cpp's own default: punctuation first, then GPT-2's pattern, then digits in threes.
constexpr const char* kDefaultPunctuationPattern = R"([\p{P}\$\+<=>\^~\|]+)";

PreTokenizer isolate(const char* pattern) {
  return split_at(Regex(pattern), SplitBehavior::kIsolated, /*is_inverted=*/false);
}

struct PreType {
  const char* name;
  PreTokenizer (*make)();
  bool is_llama3;
};

PreTokenizer make_gpt2() { return byte_level({}); }
PreTokenizer make_digits_first() { return sequence({digits(/*individual=*/true), byte_level({})}); }
PreTokenizer make_llama3() {
  return sequence({isolate(kLlama3Pattern), byte_level({.uses_regex = false})});
}
PreTokenizer make_default() {
  return sequence({isolate(kDefaultPunctuationPattern), isolate(kGpt2Pattern), isolate("\\p{N}+"),
                   isolate("[0-9][0-9][0-9]"), byte_level({.uses_regex = false})});
}

constexpr PreType kPreTypes[] = {
    {"gpt-2", make_gpt2, false},
    {"smollm", make_digits_first, false},
    {"starcoder", make_digits_first, false},
    {"llama-bpe", make_llama3, true},
    {"llama3", make_llama3, true},
    {"llama-v3", make_llama3, true},
    {"default", make_default, false},
};

const PreType& find_pre_type(const GgufVocabulary& vocabulary) {
  const std::string name = vocabulary.pre.empty() ? "default" : vocabulary.pre;
  for (const auto& type : kPreTypes) {
    if (name == type.name) return type;
  }
  throw_<DataError>(
      "[tokenizer] {}: 'tokenizer.ggml.pre' is {}, expected one that cpx knows (gpt-2, smollm, "
      "starcoder, llama-bpe, llama3, llama-v3, default).",
      vocabulary.source, in_quotes(name));
}

StringMap<TokenId> make_vocabulary_map(const GgufVocabulary& vocabulary) {
  StringMap<TokenId> map;
  map.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const auto [known, is_new] = map.emplace(vocabulary.tokens[id], static_cast<TokenId>(id));
    if (is_new) continue;
    throw_<DataError>("[tokenizer] {}: 'tokenizer.ggml.tokens' has {} twice, as {} and {}.",
                      vocabulary.source, in_quotes(vocabulary.tokens[id]), known->second, id);
  }
  return map;
}

Bpe::MergeMap make_merges(const GgufVocabulary& vocabulary, const StringMap<TokenId>& map) {
  if (vocabulary.merges.empty()) {
    throw_<DataError>("[tokenizer] {}: 'tokenizer.ggml.merges' is missing, model 'gpt2' needs it.",
                      vocabulary.source);
  }
  Bpe::MergeMap merges;
  merges.reserve(vocabulary.merges.size());
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const std::string_view merge = vocabulary.merges[i];
    const size_t space = merge.find(' ', 1);
    const auto where = [&] {
      return fmt::format("[tokenizer] {}: 'tokenizer.ggml.merges[{}]'", vocabulary.source, i);
    };
    if (space == std::string_view::npos || space + 1 == merge.size()) {
      throw_<DataError>("{} is {}, expected 'left right'.", where(), in_quotes(merge));
    }
    Bpe::add_merge(map, merge.substr(0, space), merge.substr(space + 1), i, where, merges);
  }
  return merges;
}

std::shared_ptr<const Tokenizer> make_byte_level(const GgufVocabulary& vocabulary) {
  const PreType& pre = find_pre_type(vocabulary);
  auto map = make_vocabulary_map(vocabulary);
  auto merges = make_merges(vocabulary, map);
  PipelineParts parts;
  parts.model = std::make_unique<const Bpe>(std::move(map), std::move(merges),
                                            BpeOptions{.ignores_merges = pre.is_llama3});
  parts.added_tokens = make_added_tokens(vocabulary);
  parts.pre_tokenizer = pre.make();
  if (vocabulary.add_space_prefix.value_or(false)) {
    parts.pre_tokenizer = sequence({byte_level_prefix_space(), std::move(parts.pre_tokenizer)});
  }
  parts.decoder = byte_level_decoder();
  parts.traits = make_traits(vocabulary);
  if (vocabulary.add_bos.value_or(pre.is_llama3) && parts.traits.bos_id) {
    parts.post_processor.before = {*parts.traits.bos_id};
  }
  if (vocabulary.add_eos.value_or(false) && parts.traits.eos_id) {
    parts.post_processor.after = {*parts.traits.eos_id};
  }
  return std::make_shared<const PipelineTokenizer>(std::move(parts), vocabulary.source);
}

// ---- sentencepiece
// -------------------------------------------------------------------------------

std::shared_ptr<const Tokenizer> make_sentencepiece(const GgufVocabulary& vocabulary) {
  if (vocabulary.scores.empty()) {
    throw_<DataError>("[tokenizer] {}: 'tokenizer.ggml.scores' is missing, model 'llama' needs it.",
                      vocabulary.source);
  }
  std::vector<SentencePiece> pieces;
  pieces.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (!std::isfinite(vocabulary.scores[id])) {
      throw_<DataError>("[tokenizer] {}: 'tokenizer.ggml.scores[{}]' is {}, expected a number.",
                        vocabulary.source, id, vocabulary.scores[id]);
    }
    pieces.push_back({vocabulary.tokens[id], vocabulary.scores[id],
                      static_cast<SentencePieceType>(type_of(vocabulary, id))});
  }
  const bool has_prefix = vocabulary.add_space_prefix.value_or(true);
  const SentencePieceOptions options{
      .dummy_prefix = has_prefix ? DummyPrefix::kAlways : DummyPrefix::kNone,
      .adds_bos = vocabulary.add_bos.value_or(true),
      .adds_eos = vocabulary.add_eos.value_or(false)};
  return std::make_shared<const SentencePieceTokenizer>(
      make_sentencepiece_model(pieces, has_prefix), make_added_tokens(vocabulary), options,
      make_traits(vocabulary), vocabulary.source);
}

}  // namespace

std::shared_ptr<const Tokenizer> make_tokenizer(const GgufVocabulary& vocabulary) {
  check_vocabulary(vocabulary);
  if (vocabulary.model == "gpt2") return make_byte_level(vocabulary);
  if (vocabulary.model == "llama") return make_sentencepiece(vocabulary);
  throw_<DataError>(
      "[tokenizer] {}: 'tokenizer.ggml.model' is {}, expected gpt2 (byte-level BPE) or llama "
      "(sentencepiece).",
      vocabulary.source, in_quotes(vocabulary.model));
}

}  // namespace cpx::tokenizer
