// SPDX-License-Identifier: Apache-2.0
// Log-likelihoods of continuations under a model. Requests of one tree share what they have in
// common from the first token on: a context is computed once for all its choices, and answers of
// one token behind the same context cost one pass.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "cpx/evaluation/request_encoder.h"
#include "cpx/nn/causal_lm.h"

namespace cpx::evaluation {

/// How much is computed at once, and how.
struct ScoreRequestsOptions {
  /// The most tokens in one pass, shared ones counted once; a longer request is computed alone.
  int64_t batch_tokens = 4096;
  /// For quantised weights (nn::ForwardOptions).
  bool is_by_row = false;
  /// Called with the number of requests done so far; returning false stops the work.
  std::function<bool(int64_t)> on_progress = {};
};

/// Scores in the order of `requests`; `trees` has the number of each request's tree, and requests
/// of a tree stand together. Without gradient; the softmax is float32. Empty if `on_progress`
/// stopped the work. Throws std::invalid_argument unless every request has a tree.
std::vector<RequestScore> score_requests(nn::CausalLm& model,
                                         std::span<const EncodedRequest> requests,
                                         std::span<const int64_t> trees,
                                         const ScoreRequestsOptions& options);

/// Number of tokens that the model computes for `requests` if all are in one pass: what requests of
/// a tree have in common counts once.
int64_t num_computed_tokens(std::span<const EncodedRequest> requests,
                            std::span<const int64_t> trees);

}  // namespace cpx::evaluation
