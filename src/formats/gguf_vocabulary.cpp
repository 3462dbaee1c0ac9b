// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "cpx/core/error.h"
#include "cpx/formats/gguf.h"

namespace cpx::formats {

namespace {

std::vector<int32_t> read_token_types(const GgufFile& file) {
  std::vector<int32_t> types;
  const auto* stored = file.find_ints("tokenizer.ggml.token_type");
  if (stored == nullptr) return types;
  for (const int64_t type : *stored) {
    if (type < 0 || type > std::numeric_limits<int32_t>::max()) {
      throw_<DataError>("[gguf] {}: 'tokenizer.ggml.token_type' holds {}, expected a small number.",
                        file.path().string(), type);
    }
    types.push_back(static_cast<int32_t>(type));
  }
  return types;
}

// One number a token, or none.
void check_count(const GgufFile& file, const char* key, size_t count, size_t num_tokens) {
  if (count != 0 && count != num_tokens) {
    throw_<DataError>(
        "[gguf] {}: '{}' has {} elements, expected {} (from 'tokenizer.ggml.tokens').",
        file.path().string(), key, count, num_tokens);
  }
}

}  // namespace

tokenizer::GgufVocabulary read_gguf_vocabulary(const GgufFile& file) {
  tokenizer::GgufVocabulary vocabulary;
  vocabulary.source = file.path().filename().string();
  vocabulary.model = file.find_text("tokenizer.ggml.model").value_or("");
  vocabulary.pre = file.find_text("tokenizer.ggml.pre").value_or("");
  if (const auto* tokens = file.find_texts("tokenizer.ggml.tokens")) vocabulary.tokens = *tokens;
  if (const auto* scores = file.find_doubles("tokenizer.ggml.scores")) {
    vocabulary.scores.assign(scores->begin(), scores->end());
  }
  vocabulary.token_types = read_token_types(file);
  if (const auto* merges = file.find_texts("tokenizer.ggml.merges")) vocabulary.merges = *merges;
  vocabulary.bos_id = file.find_int("tokenizer.ggml.bos_token_id");
  vocabulary.eos_id = file.find_int("tokenizer.ggml.eos_token_id");
  vocabulary.unknown_id = file.find_int("tokenizer.ggml.unknown_token_id");
  vocabulary.padding_id = file.find_int("tokenizer.ggml.padding_token_id");
  vocabulary.add_bos = file.find_bool("tokenizer.ggml.add_bos_token");
  vocabulary.add_eos = file.find_bool("tokenizer.ggml.add_eos_token");
  vocabulary.add_space_prefix = file.find_bool("tokenizer.ggml.add_space_prefix");
  vocabulary.chat_template = file.find_text("tokenizer.chat_template").value_or("");
  check_count(file, "tokenizer.ggml.scores", vocabulary.scores.size(), vocabulary.tokens.size());
  check_count(file, "tokenizer.ggml.token_type", vocabulary.token_types.size(),
              vocabulary.tokens.size());
  return vocabulary;
}

}  // namespace cpx::formats
