// SPDX-License-Identifier: Apache-2.0
// Continues prompts by sampling or contrastive search, many sequences at once. A prompt is computed
// once for all its samples; the place of a finished sequence is given to the next. What a sample is
// depends on the model, the options, its prompt and (seed, prompt's number, sample's number) alone:
// neither on how many sequences there are at once nor on their order.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "cpx/generation/sampling.h"
#include "cpx/nn/causal_lm.h"

namespace cpx::generation {

struct Prompt {
  std::vector<int64_t> ids;
  uint64_t number = 0;  // of its random numbers
  int64_t num_samples = 1;
  int64_t max_new_tokens = 0;  // less than the options'; 0: theirs
};

enum class FinishReason { kStopToken, kStopString, kLength };

/// Natural logs of a chosen token's probability.
struct TokenLogProbs {
  double raw = 0.0;        // of the model's own distribution: the softmax of its scores
  double processed = 0.0;  // of what was chosen from: after Sampler::process()
};

struct Continuation {
  uint64_t prompt = 0;  // its number
  int64_t sample = 0;
  std::vector<int64_t> ids;  // the new tokens, without the stop token
  FinishReason reason = FinishReason::kLength;
  std::optional<int64_t> stop_id = std::nullopt;  // the stop token that ended it
  /// Of the ids, and behind them of the stop token; empty unless TextGeneratorOptions::log_probs.
  std::vector<TokenLogProbs> log_probs = {};
};

struct TextGeneratorOptions {
  SamplingOptions sampling;
  uint64_t seed = 42;
  /// Sequences at once.
  int64_t batch_size = 20;
  /// Tokens of the longest prompt; memory for as many is taken in the beginning.
  int64_t max_prompt_tokens = 512;
  /// Prompts that are kept at once; 0: as many as sequences with `samples_per_prompt` each need.
  int64_t num_prompts = 0;
  int64_t samples_per_prompt = 1;
  /// Continuations tell their tokens' log-probabilities.
  bool log_probs = false;
};

/// What a run tells while it goes on. Any may be empty.
struct TextGeneratorListener {
  /// A new token of a sample; returns true where the text so far ends the sample (a stop string).
  std::function<bool(uint64_t prompt, int64_t sample, int64_t id)> on_token = {};
  std::function<void(Continuation)> on_finished = {};
  /// Asked once a step; the run ends where it returns false.
  std::function<bool()> goes_on = {};
};

/// What a run did.
struct TextGeneratorStatistics {
  int64_t num_prompt_tokens = 0;
  double prompt_seconds = 0.0;  // spent on them
  int64_t num_new_tokens = 0;
  int64_t num_steps = 0;
};

class TextGenerator {
 public:
  /// Throws std::invalid_argument for sizes that do not fit together or the model's context, and
  /// what check() throws for the sampling options.
  TextGenerator(nn::CausalLm& model, const TextGeneratorOptions& options);

  /// Continues the prompts that `next` returns until it returns nothing. Throws
  /// std::invalid_argument for a prompt that is empty or longer than max_prompt_tokens.
  TextGeneratorStatistics run(const std::function<std::optional<Prompt>()>& next,
                              const TextGeneratorListener& listener);

 private:
  nn::CausalLm& model_;
  TextGeneratorOptions options_;
};

/// The continuations of `prompts` in their order, samples of a prompt in theirs.
std::vector<Continuation> continue_prompts(nn::CausalLm& model, const std::vector<Prompt>& prompts,
                                           const TextGeneratorOptions& options);

}  // namespace cpx::generation
