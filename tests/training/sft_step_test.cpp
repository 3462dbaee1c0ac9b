// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/sft_step.h"

#include <cmath>

#include <gtest/gtest.h>

#include "record_steps.h"

namespace cpx::training {
namespace sft_step_test {

// Two neutral texts a record.
RecordOptions tiny_sft() {
  auto options = tiny_groups(2);
  options.groups.num_hard_negatives = 0;
  return options;
}

TEST(SftStep, LossIsTheMeanNllOfTheNeutralTextsTokens) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  const auto step = sft_step(group_data(records, {}, encoder, tiny_sft()));
  TinyModel model;
  const auto micro_batch = step->prepare(model, 0, 0);
  const auto result = micro_batch->forward_backward(model, micro_batch->info().counts, {});
  EXPECT_EQ(result.positives.texts, 4);
  EXPECT_EQ(result.positives.tokens, micro_batch->info().counts.positive_tokens);
  EXPECT_NEAR(result.loss, result.positives.nll_sum / static_cast<double>(result.positives.tokens),
              1e-12);
  EXPECT_EQ(result.hard_negatives.texts, 0);
}

TEST(SftStep, MicroBatchesOfAStepAddUpToItsMean) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  TinyModel model;
  const auto together = sft_step(group_data(records, {}, encoder, tiny_sft()));
  const auto whole = together->prepare(model, 0, 0);
  const auto counts = whole->info().counts;
  const double loss = whole->forward_backward(model, counts, {}).loss;
  auto options = tiny_sft();
  options.groups_per_micro_batch = 1;
  const auto apart = sft_step(group_data(records, {}, encoder, options));
  const double sum = apart->prepare(model, 0, 0)->forward_backward(model, counts, {}).loss +
                     apart->prepare(model, 0, 1)->forward_backward(model, counts, {}).loss;
  EXPECT_NEAR(sum, loss, 1e-6);
}

TEST(SftStep, EvaluationScoresToxicTextsBesideTheLoss) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(3);
  auto eval_records = tiny_records(3, /*seed=*/9);
  eval_records[1].toxic.resize(1);
  const auto step = sft_step(group_data(records, eval_records, encoder, tiny_sft()));
  TinyModel model;
  const auto result = step->evaluate(model);
  EXPECT_EQ(result.sides.neutral.texts, 6);
  EXPECT_EQ(result.sides.toxic.texts, 5);
  EXPECT_NEAR(std::exp(result.loss), result.sides.neutral.perplexity.value(), 1e-9);
  EXPECT_EQ(result.contrast, std::nullopt);
  EXPECT_TRUE(result.sides.separation.has_value());
}

TEST(SftStep, HasNoEvaluationWithoutRecords) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(3);
  const auto step = sft_step(group_data(records, {}, encoder, tiny_sft()));
  EXPECT_FALSE(step->has_evaluation());
  EXPECT_EQ(step->num_micro_batches(), 2);
}

}  // namespace sft_step_test
}  // namespace cpx::training
