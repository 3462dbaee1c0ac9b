// SPDX-License-Identifier: Apache-2.0
// Responses that a policy samples, and what it and the reference make of them.
// Legend: R tokens of all responses laid end to end, D model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "cpx/data/packed_batch.h"
#include "cpx/data/prompts.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/objectives/token_range.h"
#include "cpx/tokenizer/tokenizer.h"
#include "cpx/training/reference_policy.h"
#include "cpx/training/value_head.h"

namespace cpx::training {

struct RolloutOptions {
  double temperature = 1.0;  // 0: the likeliest token
  int64_t top_k = 0;         // 0: all tokens
  double top_p = 1.0;
  /// A response has at most a number of tokens that is drawn for it from min_new_tokens to
  /// max_new_tokens, its stop token included.
  int64_t min_new_tokens = 20;
  int64_t max_new_tokens = 30;
  /// Tokens that end a response and are its last one: it is learned when to stop. Empty: a response
  /// ends by its length alone.
  std::vector<int64_t> stop_ids = {};
  int64_t min_tokens_before_stop = 0;  // before, no stop token is sampled
  uint64_t seed = 0;
};

/// A prompt and where it stands among all; refers to the prompt's ids.
struct NumberedPrompt {
  std::span<const tokenizer::TokenId> ids = {};
  int64_t number = 0;
};

struct Response {
  int64_t prompt = 0;                    // its number
  std::vector<int64_t> prompt_ids = {};  // one or more
  std::vector<int64_t> ids = {};         // one or more, a stop token included
  bool is_stopped = false;               // by a stop token; else by its length
};

/// Throws DataError where the longest of `prompts` and the longest response do not fit into
/// `max_position` tokens (the model's context), and ConfigError for options out of their ranges.
void check_rollout(std::span<const data::EncodedPrompt> prompts, const RolloutOptions& options,
                   int64_t max_position);

/// One response to each prompt, in their order: a function of the model, the prompts and (options,
/// rollout's number) alone.
std::vector<Response> sample_responses(nn::CausalLm& model, std::span<const NumberedPrompt> prompts,
                                       const RolloutOptions& options, uint64_t rollout);

/// A response's prompt as text; special tokens give none.
std::string prompt_text(const tokenizer::Tokenizer& tokenizer, const Response& response);

/// A response as text, likewise. A first word keeps the space before it.
std::string response_text(const tokenizer::Tokenizer& tokenizer, const Response& response);

/// Where each response's tokens lie when all are laid end to end.
std::vector<objectives::TokenRange> token_ranges(std::span<const Response> responses);

/// The responses behind their prompts, packed; their tokens are what is predicted, [R].
data::PackedBatch pack_responses(std::span<const Response> responses);

/// What the policy says of responses, one pass: differentiable.
struct PolicyPass {
  torch::Tensor hidden;  // [R, D] of the states that predict the tokens
  torch::Tensor nll;     // [R] natural log
};
PolicyPass policy_pass(nn::CausalLm& model, const data::PackedBatch& packed,
                       const nn::ForwardOptions& options);

/// Whom responses are shown to; refers to all three.
struct Policies {
  nn::CausalLm& trained;
  const ValueHead& head;
  ReferencePolicy reference = {};
};

/// Which of the figures are wanted.
struct RolloutFigures {
  bool values = true;
  bool entropy = true;
  bool full_kl = false;
};

/// What policy, value head and reference say of sampled responses, without gradient and dropout.
/// Each is [R]; one that was not asked for is empty.
struct ResponseFigures {
  std::vector<double> token_nll = {};
  std::vector<double> reference_token_nll = {};
  std::vector<double> values = {};
  std::vector<double> token_entropy = {};
  std::vector<double> full_kl = {};  // of the policy from the reference, over the vocabulary
};

/// Computed in passes of `responses_per_pass`.
ResponseFigures response_figures(const Policies& policies, std::span<const Response> responses,
                                 int64_t responses_per_pass, const RolloutFigures& wanted);

/// Sampled, scored, and ready to learn from.
struct Rollout {
  int64_t number = -1;
  std::vector<Response> responses = {};
  std::vector<double> scores = {};      // one a response, as the reward model gives them
  std::vector<double> kl = {};          // one a response, the sum over its tokens
  std::vector<double> old_nll = {};     // [R]
  std::vector<double> old_values = {};  // [R]
  std::vector<double> advantages = {};  // [R]
  std::vector<double> returns = {};     // [R]
  /// What it tells in every step that learns from it.
  std::map<std::string, double> figures = {};
};

/// rollout.safetensors in `folder`: all but number and figures, bit for bit. Throw DataError.
void write_rollout(const std::filesystem::path& folder, const Rollout& rollout);
Rollout read_rollout(const std::filesystem::path& folder);

}  // namespace cpx::training
