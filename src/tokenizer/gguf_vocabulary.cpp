// SPDX-License-Identifier: Apache-2.0
// Where a GGUF's keys leave something open, llama.cpp, which defines them, decides.
#include "cpx/tokenizer/gguf_vocabulary.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "bpe.h"
#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/core/text.h"
#include "cpx/tokenizer/load.h"
#include "detokenizer.h"
#include "gguf_end_tokens.h"
#include "gguf_pre_types.h"
#include "pipeline_tokenizer.h"
#include "sentencepiece_tokenizer.h"

namespace cpx::tokenizer {

namespace {

// More than one a token are not looked at, as in llama.cpp.
void check_length(const GgufVocabulary& vocabulary, const char* key, size_t length) {
  if (length >= vocabulary.tokens.size()) return;
  throw_<DataError>(
      "[tokenizer] {}: '{}' has {} entries, expected at least {} (tokenizer.ggml.tokens).",
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
}

// Types that llama.cpp does not define are those of plain tokens.
GgufTokenType type_of(const GgufVocabulary& vocabulary, size_t id) {
  if (is_end_spelling(vocabulary.tokens[id])) return GgufTokenType::kControl;
  if (vocabulary.token_types.empty()) return GgufTokenType::kNormal;
  const int32_t type = vocabulary.token_types[id];
  return type >= 1 && type <= 6 ? static_cast<GgufTokenType>(type) : GgufTokenType::kNormal;
}

// An id outside the vocabulary stands for none.
std::optional<TokenId> special_id(const GgufVocabulary& vocabulary, const char* key,
                                  std::optional<int64_t> id) {
  if (!id) return std::nullopt;
  if (*id < 0 || *id >= static_cast<int64_t>(vocabulary.tokens.size())) {
    log_warning("[tokenizer] {}: '{}' is {} and is not used: the vocabulary has {} tokens.",
                vocabulary.source, key, *id, vocabulary.tokens.size());
    return std::nullopt;
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

// Tokens that pad the vocabulary to the embedding's rows ("[PAD288]"): llama.cpp writes nothing for
// them.
std::vector<TokenId> unused_ids(const GgufVocabulary& vocabulary) {
  std::vector<TokenId> ids;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (type_of(vocabulary, id) == GgufTokenType::kUnused) ids.push_back(static_cast<TokenId>(id));
  }
  return ids;
}

// ---- Byte-level BPE -----------------------------------------------------------------------------

GgufPreType find_pre_type(const GgufVocabulary& vocabulary) {
  if (vocabulary.pre.empty()) {
    log_warning(
        "[tokenizer] {}: has no 'tokenizer.ggml.pre', 'default' is taken as in llama.cpp. Texts "
        "may "
        "be cut into other tokens than those that the model was trained on.",
        vocabulary.source);
  }
  auto type = find_gguf_pre_type(vocabulary.pre.empty() ? "default" : vocabulary.pre);
  if (!type) {
    throw_<DataError>(
        "[tokenizer] {}: 'tokenizer.ggml.pre' is {}, expected one that cpx knows ({}). Use the "
        "model's Hugging Face folder, or write one of these that cuts texts alike into the file "
        "with gguf_set_metadata.py of llama.cpp's gguf package.",
        vocabulary.source, quote(vocabulary.pre), known_gguf_pre_types());
  }
  return *type;
}

StringMap<TokenId> make_vocabulary_map(const GgufVocabulary& vocabulary) {
  StringMap<TokenId> map;
  map.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (vocabulary.tokens[id].empty()) continue;  // a place without a token
    const auto [known, is_new] = map.emplace(vocabulary.tokens[id], static_cast<TokenId>(id));
    if (is_new) continue;
    throw_<DataError>("[tokenizer] {}: 'tokenizer.ggml.tokens' has {} twice, as {} and {}.",
                      vocabulary.source, quote(vocabulary.tokens[id]), known->second, id);
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
      throw_<DataError>("{} is {}, expected 'left right'.", where(), quote(merge));
    }
    Bpe::add_merge(map, merge.substr(0, space), merge.substr(space + 1), i, where, merges);
  }
  return merges;
}

std::shared_ptr<const Tokenizer> make_byte_level(const GgufVocabulary& vocabulary) {
  GgufPreType pre = find_pre_type(vocabulary);
  auto map = make_vocabulary_map(vocabulary);
  auto merges = make_merges(vocabulary, map);
  PipelineParts parts;
  parts.model = std::make_unique<const Bpe>(std::move(map), std::move(merges),
                                            BpeOptions{.ignores_merges = pre.ignores_merges});
  parts.added_tokens = make_added_tokens(vocabulary);
  parts.pre_tokenizer = std::move(pre.pre_tokenizer);
  parts.detokenizer = byte_level_detokenizer();
  parts.traits = make_traits(vocabulary);
  parts.silent_ids = unused_ids(vocabulary);
  if (vocabulary.add_bos.value_or(pre.adds_bos) && parts.traits.bos_id) {
    parts.post_processor.before = {*parts.traits.bos_id};
  }
  if (vocabulary.add_eos.value_or(false) && parts.traits.eos_id) {
    parts.post_processor.after = {*parts.traits.eos_id};
  }
  return std::make_shared<const PipelineTokenizer>(std::move(parts), vocabulary.source);
}

// ---- sentencepiece ------------------------------------------------------------------------------

std::shared_ptr<const Tokenizer> make_sentencepiece(const GgufVocabulary& vocabulary) {
  if (vocabulary.scores.empty()) {
    throw_<DataError>("[tokenizer] {}: 'tokenizer.ggml.scores' is missing, model 'llama' needs it.",
                      vocabulary.source);
  }
  check_length(vocabulary, "tokenizer.ggml.scores", vocabulary.scores.size());
  std::vector<SentencePiece> pieces;
  pieces.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (!std::isfinite(vocabulary.scores[id])) {
      throw_<DataError>("[tokenizer] {}: 'tokenizer.ggml.scores[{}]' is {}, expected a number.",
                        vocabulary.source, id, vocabulary.scores[id]);
    }
    pieces.push_back({vocabulary.tokens[id], vocabulary.scores[id], type_of(vocabulary, id)});
  }
  const bool has_prefix = vocabulary.add_space_prefix.value_or(true);
  const SentencePieceOptions options{
      .dummy_prefix = has_prefix ? DummyPrefix::kAlways : DummyPrefix::kNone,
      .adds_bos = vocabulary.add_bos.value_or(true),
      .adds_eos = vocabulary.add_eos.value_or(false),
      .hides_unused = true};
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
      vocabulary.source, quote(vocabulary.model));
}

}  // namespace cpx::tokenizer
