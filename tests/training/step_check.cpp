// SPDX-License-Identifier: Apache-2.0
#include "step_check.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"

namespace cpx::training {

using testing_support::message_of;

namespace {

std::vector<torch::Tensor> gradients(const TinyModel& model) {
  std::vector<torch::Tensor> copies;
  for (const auto& parameter : model.trainable()) copies.push_back(parameter.value.grad().clone());
  return copies;
}

void zero_gradients(const TinyModel& model) {
  for (auto& parameter : model.trainable()) parameter.value.mutable_grad().reset();
}

}  // namespace

data::Record hand_record(std::vector<std::string> neutral, std::vector<std::string> toxic) {
  return {.input = neutral.front(),
          .group = "hand",
          .id = "h",
          .neutral = std::move(neutral),
          .toxic = std::move(toxic),
          .where = "hand.json: record 0 (id 'h')"};
}

std::vector<double> plain_token_nll(TinyModel& model, std::span<const tokenizer::TokenId> ids) {
  const torch::NoGradGuard no_grad;
  const auto tensor = at::tensor(std::vector<int64_t>(ids.begin(), ids.end()), at::kLong);
  const auto length = static_cast<int32_t>(ids.size());
  const auto hidden = model.hidden_states({.ids = tensor, .cu_seqlens = {0, length}}, {});
  const auto log_probs = at::log_softmax(model.logits(hidden, {}).to(at::kDouble), -1);
  std::vector<double> nll;
  for (int64_t t = 1; t < length; ++t) {
    nll.push_back(-log_probs[t - 1][tensor[t].item().toLong()].item().toDouble());
  }
  return nll;
}

std::vector<double> plain_token_nll(TinyModel& model, std::string_view text) {
  return plain_token_nll(model, NumberTokenizer().encode(text, /*add_special_tokens=*/true).ids);
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double centred_cross_entropy_of(const std::vector<double>& means, size_t num_targets,
                                double centre) {
  double total = 0.0;
  double targets = 0.0;
  for (size_t i = 0; i < means.size(); ++i) {
    const double score = std::exp2(-std::abs(means[i] - centre));
    total += std::exp(score);
    if (i < num_targets) targets += score;
  }
  return static_cast<double>(num_targets) * std::log(total) - targets;
}

double loss_of(nn::CausalLm& model, const MicroBatch& micro_batch) {
  return micro_batch.forward_backward(model, micro_batch.info().counts, {}).loss;
}

// The model computes in float32: a loss near 34 is known to about 1e-6, a difference over 2e-2 to
// about 1e-4.
void expect_gradient_matches_differences(TinyModel& model, const MicroBatch& micro_batch) {
  loss_of(model, micro_batch);
  const auto analytic = gradients(model);
  for (size_t i = 0; i < analytic.size(); ++i) {
    const auto largest = analytic[i].abs().argmax().item().toLong();
    const auto flat = model.trainable()[i].value.detach().view({-1});
    constexpr double kStep = 1e-2;
    const float before = flat[largest].item().toFloat();
    flat[largest] = before + kStep;
    const double above = loss_of(model, micro_batch);
    flat[largest] = before - kStep;
    const double below = loss_of(model, micro_batch);
    flat[largest] = before;
    const double expected = analytic[i].view({-1})[largest].item().toDouble();
    EXPECT_GT(std::abs(expected), 1e-3) << i << ": too small to tell anything";
    EXPECT_NEAR((above - below) / (2 * kStep), expected, 5e-3 * std::abs(expected) + 1e-4) << i;
  }
}

void expect_parts_add_up(TinyModel& model, StepTask& whole, StepTask& parts) {
  const auto together = whole.prepare(model, 0, 0);
  const auto counts = together->info().counts;
  const double loss = together->forward_backward(model, counts, {}).loss;
  const auto expected = gradients(model);
  zero_gradients(model);

  objectives::StepCounts sum_of_counts;
  double sum = 0.0;
  for (int64_t i = 0; i < parts.num_micro_batches(); ++i) {
    const auto part = parts.prepare(model, 0, i);
    sum_of_counts += part->info().counts;
    sum += part->forward_backward(model, counts, {}).loss;
  }
  EXPECT_GT(parts.num_micro_batches(), 1);
  EXPECT_EQ(sum_of_counts.groups, counts.groups);
  EXPECT_EQ(sum_of_counts.positive_texts, counts.positive_texts);
  EXPECT_EQ(sum_of_counts.positive_tokens, counts.positive_tokens);
  EXPECT_EQ(sum_of_counts.negative_texts, counts.negative_texts);
  EXPECT_EQ(sum_of_counts.pairs, counts.pairs);
  EXPECT_NEAR(sum, loss, 1e-5 * loss);
  const auto actual = gradients(model);
  for (size_t i = 0; i < expected.size(); ++i) {
    const double largest = expected[i].abs().max().item().toDouble();
    EXPECT_LE((actual[i] - expected[i]).abs().max().item().toDouble(), 1e-5 * largest) << i;
  }
}

std::string data_error_of(const std::function<void()>& action) {
  return message_of<DataError>([&] { action(); });
}

}  // namespace cpx::training
