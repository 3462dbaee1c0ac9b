// SPDX-License-Identifier: Apache-2.0
#include "stop_tokens.h"

namespace cpx::recipes {

namespace {

// Tokens with which chat models end an answer, where EOS is another.
constexpr const char* kAnswerEnds[] = {"<|im_end|>", "<|eot_id|>", "<end_of_turn>"};

}  // namespace

std::vector<int64_t> stop_token_ids(const formats::ModelConfig& model,
                                    const tokenizer::Tokenizer& tokenizer, bool is_chat) {
  std::vector<int64_t> ids = model.stop_token_ids;
  if (const auto eos = tokenizer.eos_id()) ids.push_back(*eos);
  for (const char* piece : kAnswerEnds) {
    const auto id = tokenizer.find(piece);
    if (is_chat && id && tokenizer.is_special(*id)) ids.push_back(*id);
  }
  return ids;
}

std::vector<int64_t> open_ids(const tokenizer::Tokenizer& tokenizer, const std::string& text,
                              bool adds_special) {
  const auto encoding = tokenizer.encode(text, adds_special);
  std::vector<int64_t> ids(encoding.ids.begin(), encoding.ids.end());
  const auto eos = tokenizer.eos_id();
  if (adds_special && ids.size() > 1 && eos && ids.back() == *eos) ids.pop_back();
  return ids;
}

}  // namespace cpx::recipes
