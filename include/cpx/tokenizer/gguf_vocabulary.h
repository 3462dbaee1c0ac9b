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

/// The `tokenizer.*` keys of a GGUF; missing keys stay empty.
struct GgufVocabulary {
  /// Its origin for messages (the name of the file).
  std::string source = "GGUF";
  /// `tokenizer.ggml.model`: "gpt2" (byte-level BPE) or "llama" (sentencepiece).
  std::string model;
  /// `tokenizer.ggml.pre`: "smollm", "gpt-2", "llama-bpe", "default", ...; empty where absent,
  /// which is "default". Only "gpt2" has it.
  std::string pre;
  /// `tokenizer.ggml.tokens`, by id.
  std::vector<std::string> tokens;
  /// `tokenizer.ggml.scores`, by id; needed by model "llama".
  std::vector<float> scores;
  /// `tokenizer.ggml.token_type` as stored (GgufTokenType), by id; empty: all normal.
  std::vector<int32_t> token_types;
  /// `tokenizer.ggml.merges`, "left right", best first; needed by model "gpt2".
  std::vector<std::string> merges;
  std::optional<int64_t> bos_id;             ///< `tokenizer.ggml.bos_token_id`
  std::optional<int64_t> eos_id;             ///< `tokenizer.ggml.eos_token_id`
  std::optional<int64_t> eot_id;             ///< `tokenizer.ggml.eot_token_id`: ends a turn
  std::optional<int64_t> eom_id;             ///< `tokenizer.ggml.eom_token_id`: ends a message
  std::optional<int64_t> unknown_id;         ///< `tokenizer.ggml.unknown_token_id`
  std::optional<int64_t> padding_id;         ///< `tokenizer.ggml.padding_token_id`
  std::optional<int64_t> fim_pad_id;         ///< `tokenizer.ggml.fim_pad_token_id`
  std::optional<int64_t> fim_repository_id;  ///< `tokenizer.ggml.fim_rep_token_id`
  std::optional<int64_t> fim_file_id;        ///< `tokenizer.ggml.fim_sep_token_id`
  /// `tokenizer.ggml.add_bos_token`; absent: true for "llama" and for pre "llama-bpe" and "tekken".
  std::optional<bool> add_bos;
  /// `tokenizer.ggml.add_eos_token`; absent: false.
  std::optional<bool> add_eos;
  /// `tokenizer.ggml.add_space_prefix`; absent: true. "gpt2" never has the space, whatever it says.
  std::optional<bool> add_space_prefix;
  /// `tokenizer.chat_template` (Jinja text).
  std::string chat_template;
};

/// The ids that end a generated text, by the rules of llama.cpp: EOS, `eot_id`, `eom_id`, tokens
/// spelled like the end of a text or turn (`<|im_end|>`, `<|eot_id|>`, `<end_of_turn>`, `</s>`,
/// ...), and those of code models for padding, repository and file. Ids outside the vocabulary are
/// left out; each id comes once.
std::vector<int64_t> end_of_generation_ids(const GgufVocabulary& vocabulary);

}  // namespace cpx::tokenizer
