// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/error.h"
#include "cpx/formats/gguf.h"

namespace cpx::formats {

namespace {

// Whatever is no type of llama.cpp's is 0, which make_tokenizer() takes for a plain token.
std::vector<int32_t> read_token_types(const GgufFile& file) {
  std::vector<int32_t> types;
  for (const int64_t type : file.find_ints("tokenizer.ggml.token_type")) {
    types.push_back(type >= 1 && type <= 6 ? static_cast<int32_t>(type) : 0);
  }
  return types;
}

void read_special_ids(const GgufFile& file, tokenizer::GgufVocabulary& vocabulary) {
  const auto id = [&](const char* name) {
    return file.find_int(fmt::format("tokenizer.ggml.{}_token_id", name));
  };
  vocabulary.bos_id = id("bos");
  vocabulary.eos_id = id("eos");
  vocabulary.eot_id = id("eot");
  vocabulary.eom_id = id("eom");
  vocabulary.unknown_id = id("unknown");
  vocabulary.padding_id = id("padding");
  vocabulary.fim_pad_id = id("fim_pad");
  vocabulary.fim_repository_id = id("fim_rep");
  vocabulary.fim_file_id = id("fim_sep");
  if (vocabulary.model != "llama") return;
  // Files of old do not name them.
  if (!vocabulary.bos_id) vocabulary.bos_id = 1;
  if (!vocabulary.eos_id) vocabulary.eos_id = 2;
}

}  // namespace

tokenizer::GgufVocabulary read_gguf_vocabulary(const GgufFile& file) {
  tokenizer::GgufVocabulary vocabulary;
  vocabulary.source = file.path().filename().string();
  vocabulary.model = file.find_text("tokenizer.ggml.model").value_or("");
  if (const auto* tokens = file.find_texts("tokenizer.ggml.tokens")) vocabulary.tokens = *tokens;
  vocabulary.token_types = read_token_types(file);
  read_special_ids(file, vocabulary);
  vocabulary.add_bos = file.find_bool("tokenizer.ggml.add_bos_token");
  vocabulary.add_eos = file.find_bool("tokenizer.ggml.add_eos_token");
  vocabulary.chat_template = file.find_text("tokenizer.chat_template").value_or("");
  if (vocabulary.model == "gpt2") {
    vocabulary.pre = file.find_text("tokenizer.ggml.pre").value_or("");
    if (const auto* merges = file.find_texts("tokenizer.ggml.merges")) vocabulary.merges = *merges;
  } else {
    const auto scores = file.find_doubles("tokenizer.ggml.scores");
    vocabulary.scores.assign(scores.begin(), scores.end());
    vocabulary.add_space_prefix = file.find_bool("tokenizer.ggml.add_space_prefix");
  }
  return vocabulary;
}

}  // namespace cpx::formats
