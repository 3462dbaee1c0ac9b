// SPDX-License-Identifier: Apache-2.0
// A model that continues prompts, from texts to texts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/generation/text_generator.h"
#include "cpx/models/llama.h"
#include "cpx/recipes/decoding.h"
#include "cpx/tokenizer/chat_template.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::recipes {

/// A continuation as text.
struct Answer {
  uint64_t prompt = 0;  // its number
  int64_t sample = 0;
  std::string text = {};
  int64_t num_tokens = 0;
  generation::FinishReason reason = generation::FinishReason::kLength;
  /// Where Decoding::log_probs asks for them: the tokens, behind them a stop token that ended the
  /// text, and their log-probabilities.
  std::vector<int64_t> ids = {};
  std::vector<generation::TokenLogProbs> log_probs = {};
};

/// What a run of prompts is made of and whom it tells.
struct WriterRun {
  /// The next prompt, or nothing when there are no more. `num_samples` is taken from the Decoding.
  std::function<std::optional<generation::Prompt>()> next = {};
  int64_t num_prompts = 0;        // an upper bound
  int64_t max_prompt_tokens = 1;  // of the longest
  /// A piece of a text as it comes; may be empty.
  std::function<void(uint64_t prompt, int64_t sample, const std::string& piece)> on_piece = {};
  std::function<void(Answer)> on_answer = {};
};

/// Why a text ended, as outputs have it: "stop_token", "stop_string" or "length".
const char* finish_name(generation::FinishReason reason);

/// The compute type that is asked for, or that goes with the weights. Throws ConfigError for words
/// that mean none, DataError for what cannot be read.
torch::Dtype compute_dtype(const Decoding& decoding);

/// Loads the model and its adapter. Not for several threads at once.
class TextWriter {
 public:
  /// Throws DataError for what cannot be read; `decoding` must outlive it.
  explicit TextWriter(const Decoding& decoding);

  /// True where prompts take the form of the model's chat template.
  bool uses_chat() const { return uses_chat_; }
  torch::Dtype dtype() const { return model_->dtype(); }
  /// A token as the vocabulary spells it.
  std::string piece(int64_t id) const;

  /// Ids of a prompt in the form that is asked for. Throws DataError, opened by [where], for a
  /// prompt that is empty, leaves no room for the answer in the model's context, or has a token
  /// that the model lacks.
  std::vector<int64_t> ids_of(std::string_view where, const std::string& prompt) const;
  /// The same of a conversation up to where the answer begins.
  std::vector<int64_t> ids_of(std::string_view where,
                              const std::vector<tokenizer::ChatMessage>& messages) const;
  /// A conversation that begins with `message`, behind the system message if there is one.
  std::vector<tokenizer::ChatMessage> conversation_with(const std::string& message) const;

  /// Continues prompts until there are no more or the user interrupts.
  generation::TextGeneratorStatistics write(const WriterRun& run);

 private:
  std::vector<int64_t> ids_of(const std::string& prompt) const;
  std::vector<int64_t> ids_of(const std::vector<tokenizer::ChatMessage>& messages) const;
  void check_length(std::string_view where, int64_t num_tokens) const;
  generation::TextGeneratorOptions generator_options(const WriterRun& run) const;

  const Decoding& decoding_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::string chat_template_;
  std::shared_ptr<models::Llama> model_;
  bool uses_chat_ = false;
};

}  // namespace cpx::recipes
