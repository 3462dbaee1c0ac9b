// SPDX-License-Identifier: Apache-2.0
// Continues prompts by sampling or contrastive search, many sequences at once. A prompt is computed
// once for all its samples; when a sequence finishes, the next one takes its slot. A sample depends
// only on the model, the options, its prompt and (seed, prompt's number, sample's number), not on
// how many sequences run at once or in which order.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "cpx/generation/sampling.h"
#include "cpx/nn/causal_lm.h"

namespace cpx::generation {

/// A prompt to continue.
struct Prompt {
  std::vector<int64_t> ids;
  uint64_t number = 0;  // selects its random numbers
  int64_t num_samples = 1;
  int64_t max_new_tokens = 0;  // a lower limit than that of the options; 0: theirs
};

enum class FinishReason { kStopToken, kStopString, kLength };

/// Natural logs of a chosen token's probability.
struct TokenLogProbs {
  double raw = 0.0;        // of the model's own distribution: the softmax of its scores
  double processed = 0.0;  // of the distribution it was chosen from: after Sampler::process()
};

/// One finished sample of a prompt.
struct Continuation {
  uint64_t prompt = 0;  // its number
  int64_t sample = 0;
  std::vector<int64_t> ids;  // the new tokens, without the stop token
  FinishReason reason = FinishReason::kLength;
  std::optional<int64_t> stop_id = std::nullopt;  // the stop token that ended it
  /// For each of `ids`, then for the stop token; empty without TextGeneratorOptions::log_probs.
  std::vector<TokenLogProbs> log_probs = {};
};

struct TextGeneratorOptions {
  SamplingOptions sampling;
  uint64_t seed = 42;
  /// How many sequences run at once.
  int64_t batch_size = 20;
  /// Tokens of the longest prompt. Memory for that many is allocated at the start.
  int64_t max_prompt_tokens = 512;
  /// How many prompts are cached at once; 0: enough for `batch_size` sequences if each prompt has
  /// `samples_per_prompt` samples.
  int64_t num_prompts = 0;
  int64_t samples_per_prompt = 1;
  /// Fill in Continuation::log_probs.
  bool log_probs = false;
};

/// Functions that a run calls. Any may be empty.
struct TextGeneratorListener {
  /// Called with each new token of a sample. Returns true to end the sample (a stop string).
  std::function<bool(uint64_t prompt, int64_t sample, int64_t id)> on_token = {};
  std::function<void(Continuation)> on_finished = {};
  /// Called after each step. Returns false to end the run.
  std::function<bool()> goes_on = {};
};

/// Counts of a run.
struct TextGeneratorStatistics {
  int64_t num_prompt_tokens = 0;
  double prompt_seconds = 0.0;  // spent on computing prompts
  int64_t num_new_tokens = 0;
  int64_t num_steps = 0;
};

/// Runs a model over prompts until their samples end.
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

/// The continuations of `prompts`, ordered by the prompts' numbers, then by the samples'.
std::vector<Continuation> continue_prompts(nn::CausalLm& model, const std::vector<Prompt>& prompts,
                                           const TextGeneratorOptions& options);

}  // namespace cpx::generation
