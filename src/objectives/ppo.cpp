// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/ppo.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpx/core/error.h"
#include "token_ranges.h"

namespace cpx::objectives {

namespace {

// What is known of one token of a response.
struct Token {
  double nll = 0.0;
  double old_nll = 0.0;
  double value = 0.0;
  double old_value = 0.0;
  double advantage = 0.0;
  double returns = 0.0;
};

struct ClippedLoss {
  double value = 0.0;
  double slope = 0.0;  // by the NLL, or by the value
  bool is_clipped = false;
};

void check_options(const PpoOptions& options) {
  CPX_CHECK(options.cliprange > 0.0 && options.cliprange_value > 0.0,
            "[ppo] cliprange and cliprange_value: got {} and {}, expected more than 0.",
            options.cliprange, options.cliprange_value);
}

void check_batch(const PpoBatch& batch) {
  const size_t num_predictions = batch.token_nll.size();
  CPX_CHECK(batch.values.size() == num_predictions, "[ppo] values: got {}, expected {}.",
            batch.values.size(), num_predictions);
  CPX_CHECK(batch.token_entropy.empty() || batch.token_entropy.size() == num_predictions,
            "[ppo] token entropies: got {}, expected {} or none.", batch.token_entropy.size(),
            num_predictions);
  for (size_t i = 0; i < batch.responses.size(); ++i) {
    const PpoResponse& response = batch.responses[i];
    check_token_range("ppo", "response", i, response.tokens, num_predictions);
    const auto count = static_cast<size_t>(response.tokens.count);
    CPX_CHECK(response.old_nll.size() == count && response.old_values.size() == count &&
                  response.advantages.size() == count && response.returns.size() == count,
              "[ppo] response {}: got {} old NLLs, {} old values, {} advantages, {} returns, "
              "expected {} each.",
              i, response.old_nll.size(), response.old_values.size(), response.advantages.size(),
              response.returns.size(), count);
  }
}

Token token_at(const PpoBatch& batch, const PpoResponse& response, size_t k) {
  const size_t t = static_cast<size_t>(response.tokens.first) + k;
  return {.nll = batch.token_nll[t],
          .old_nll = response.old_nll[k],
          .value = batch.values[t],
          .old_value = response.old_values[k],
          .advantage = response.advantages[k],
          .returns = response.returns[k]};
}

bool is_finite(const Token& token) {
  return std::isfinite(token.nll) && std::isfinite(token.old_nll) && std::isfinite(token.value) &&
         std::isfinite(token.old_value) && std::isfinite(token.advantage) &&
         std::isfinite(token.returns);
}

double ratio_of(const Token& token) { return std::exp(token.old_nll - token.nll); }

// The clipped loss is the larger only where the ratio has left the range, and there it is flat.
ClippedLoss policy_loss(const Token& token, const PpoOptions& options) {
  const double ratio = ratio_of(token);
  const double loss = -token.advantage * ratio;
  const double clipped =
      -token.advantage * std::clamp(ratio, 1.0 - options.cliprange, 1.0 + options.cliprange);
  const bool is_clipped = clipped > loss;
  return {.value = is_clipped ? clipped : loss,
          .slope = is_clipped ? 0.0 : token.advantage * ratio,
          .is_clipped = is_clipped};
}

ClippedLoss value_loss(const Token& token, const PpoOptions& options) {
  const double nearby = std::clamp(token.value, token.old_value - options.cliprange_value,
                                   token.old_value + options.cliprange_value);
  const double error = token.value - token.returns;
  const double clipped_error = nearby - token.returns;
  const bool is_clipped = clipped_error * clipped_error > error * error;
  const double larger = is_clipped ? clipped_error : error;
  return {
      .value = 0.5 * larger * larger, .slope = is_clipped ? 0.0 : error, .is_clipped = is_clipped};
}

PpoSums sums_of(const Token& token, const ClippedLoss& policy, const ClippedLoss& value) {
  const double change = token.nll - token.old_nll;
  const double error = token.value - token.returns;
  return {.tokens = 1,
          .num_clipped = policy.is_clipped ? 1 : 0,
          .num_clipped_values = value.is_clipped ? 1 : 0,
          .policy_loss = policy.value,
          .value_loss = value.value,
          .ratio = ratio_of(token),
          .squared_change = change * change,
          .change = change,
          .squared_error = error * error,
          .value = token.value,
          .advantage = token.advantage,
          .returns = token.returns,
          .squared_returns = token.returns * token.returns};
}

// Adds a response's sums, and its gradients, each token weighing `token_weight`.
void add_response(const PpoBatch& batch, const PpoResponse& response, const PpoOptions& options,
                  double token_weight, PpoResult& result) {
  for (size_t k = 0; k < static_cast<size_t>(response.tokens.count); ++k) {
    const size_t t = static_cast<size_t>(response.tokens.first) + k;
    const Token token = token_at(batch, response, k);
    const ClippedLoss policy = policy_loss(token, options);
    const ClippedLoss value = value_loss(token, options);
    result.gradient[t] = token_weight * policy.slope;
    result.value_gradient[t] = token_weight * options.vf_coef * value.slope;
    result.sums += sums_of(token, policy, value);
    result.sums.entropy += batch.token_entropy.empty() ? 0.0 : batch.token_entropy[t];
    if (!is_finite(token)) result.loss = std::numeric_limits<double>::quiet_NaN();
  }
}

void skip(PpoResult& result) {
  result.is_skipped = true;
  std::ranges::fill(result.gradient, 0.0);
  std::ranges::fill(result.value_gradient, 0.0);
  result.sums.policy_loss = 0.0;
  result.sums.value_loss = 0.0;
  result.sums.skipped_tokens = result.sums.tokens;
}

}  // namespace

PpoSums& PpoSums::operator+=(const PpoSums& other) {
  tokens += other.tokens;
  skipped_tokens += other.skipped_tokens;
  num_clipped += other.num_clipped;
  num_clipped_values += other.num_clipped_values;
  policy_loss += other.policy_loss;
  value_loss += other.value_loss;
  ratio += other.ratio;
  squared_change += other.squared_change;
  change += other.change;
  entropy += other.entropy;
  squared_error += other.squared_error;
  value += other.value;
  advantage += other.advantage;
  returns += other.returns;
  squared_returns += other.squared_returns;
  return *this;
}

std::optional<double> explained_variance(const PpoSums& sums) {
  const auto count = static_cast<double>(sums.tokens);
  const double variance =
      (sums.squared_returns - sums.returns * sums.returns / count) / (count - 1.0);
  // What the difference of sums leaves of equal returns is no variance.
  if (sums.tokens < 2 || !(variance > 1e-12 * sums.squared_returns / count)) return std::nullopt;
  return 1.0 - sums.squared_error / count / variance;
}

bool is_above_target_kl(double policy_kl, double target_kl) { return policy_kl > 1.5 * target_kl; }

PpoResult ppo(const PpoBatch& batch, const PpoOptions& options, int64_t step_tokens) {
  check_options(options);
  check_batch(batch);
  PpoResult result{.gradient = std::vector<double>(batch.token_nll.size()),
                   .value_gradient = std::vector<double>(batch.token_nll.size())};
  const double token_weight = 1.0 / static_cast<double>(step_tokens);
  for (const PpoResponse& response : batch.responses) {
    add_response(batch, response, options, token_weight, result);
  }
  CPX_CHECK(step_tokens >= result.sums.tokens && step_tokens > 0,
            "[ppo] the step's count is too small: got {} tokens, expected at least the {} of this "
            "micro batch.",
            step_tokens, result.sums.tokens);
  if (result.sums.ratio > options.ratio_threshold * static_cast<double>(result.sums.tokens)) {
    skip(result);
  }
  result.loss +=
      token_weight * (result.sums.policy_loss + options.vf_coef * result.sums.value_loss);
  return result;
}

}  // namespace cpx::objectives
