// SPDX-License-Identifier: Apache-2.0
// The vocabulary of a GGUF file as a plain struct: `formats` fills it from the file's metadata,
// make_tokenizer() (cpx/tokenizer/load.h) turns it into a tokenizer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cpx::tokenizer {

/// `tokenizer.ggml.token_type`: what a token of a GGUF vocabulary is.
enum class GgufTokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

/// The `tokenizer.*` keys of a GGUF; what the file lacks stays empty.
struct GgufVocabulary {
  /// Where it comes from (the file's name), for messages.
  std::string source = "GGUF";
  /// `tokenizer.ggml.model`: "gpt2" (byte-level BPE) or "llama" (sentencepiece).
  std::string model;
  /// `tokenizer.ggml.pre`: "smollm", "gpt-2", "llama-bpe", "default", ...; empty where absent.
  std::string pre;
  /// `tokenizer.ggml.tokens`, by id.
  std::vector<std::string> tokens;
  /// `tokenizer.ggml.scores`, by id; needed by model "llama".
  std::vector<float> scores;
  /// `tokenizer.ggml.token_type` as stored (GgufTokenType), by id; empty: all normal.
  std::vector<int32_t> token_types;
  /// `tokenizer.ggml.merges`, "left right", best first; needed by model "gpt2".
  std::vector<std::string> merges;
  std::optional<int64_t> bos_id;      ///< `tokenizer.ggml.bos_token_id`
  std::optional<int64_t> eos_id;      ///< `tokenizer.ggml.eos_token_id`
  std::optional<int64_t> unknown_id;  ///< `tokenizer.ggml.unknown_token_id`
  std::optional<int64_t> padding_id;  ///< `tokenizer.ggml.padding_token_id`
  /// `tokenizer.ggml.add_bos_token`; absent: true for "llama" and for pre "llama-bpe".
  std::optional<bool> add_bos;
  /// `tokenizer.ggml.add_eos_token`; absent: false.
  std::optional<bool> add_eos;
  /// `tokenizer.ggml.add_space_prefix`; absent: true for "llama", false for "gpt2".
  std::optional<bool> add_space_prefix;
  /// `tokenizer.chat_template` (Jinja text).
  std::string chat_template;
};

}  // namespace cpx::tokenizer
