// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/transfer_step.h"

#include <cmath>
#include <memory>

#include <gtest/gtest.h>

#include "record_steps.h"
#include "step_check.h"

namespace cpx::training {
namespace transfer_step_test {

std::unique_ptr<GroupStep> tiny_transfer(std::span<const data::Record> records,
                                         std::span<const data::Record> eval_records,
                                         const data::TextEncoder& encoder, RecordOptions options) {
  options.groups.with_input = true;
  return transfer_step(group_data(records, eval_records, encoder, options), {.alpha = 3.0});
}

std::vector<data::Record> one_record() {
  auto record = hand_record({"6 7 2"}, {"8 9 10 2"});
  record.input = "3 4 5 2";
  return {record};
}

// Each concatenation without the first text's EOS. Those that end in the input are targets; the
// centre is that of positive and input, and the mean of negative and input is learned.
TEST(TransferStep, LossEqualsTheFormulaOnNllsFromLogits) {
  const auto encoder = number_encoder();
  const auto records = one_record();
  const auto step = tiny_transfer(records, {}, encoder, single_texts());
  TinyModel model;
  const auto micro_batch = step->prepare(model, 0, 0);
  const double positive = mean_of(plain_token_nll(model, "6 7 3 4 5 2"));
  const double transfer = mean_of(plain_token_nll(model, "8 9 10 3 4 5 2"));
  const double negative = mean_of(plain_token_nll(model, "3 4 5 8 9 10 2"));
  const double contrast = centred_cross_entropy_of({positive, transfer, negative}, 2, positive);
  EXPECT_NEAR(loss_of(model, *micro_batch), transfer + 3.0 * contrast / 3.0, 1e-5);
  EXPECT_EQ(step->name(), "transfer");
  EXPECT_EQ(micro_batch->info().counts.groups, 1);
  EXPECT_EQ(micro_batch->info().counts.pairs, 1);
  EXPECT_EQ(micro_batch->info().num_tokens, 6 + 7 + 7);
}

TEST(TransferStep, AdapterGradientMatchesFiniteDifferences) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  const auto step = tiny_transfer(records, {}, encoder, tiny_groups(2));
  TinyModel model;
  expect_gradient_matches_differences(model, *step->prepare(model, 0, 0));
}

TEST(TransferStep, TwoMicroBatchesOfOneGroupEqualOneOfTwo) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  const auto together = tiny_transfer(records, {}, encoder, tiny_groups(2));
  const auto apart = tiny_transfer(records, {}, encoder, tiny_groups(1));
  TinyModel model;
  expect_parts_add_up(model, *together, *apart);
}

// The loss is that of the concatenations; the sides are the plain texts' own.
TEST(TransferStep, EvaluationComparesThePlainTexts) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  const auto eval_records = one_record();
  const auto step = tiny_transfer(records, eval_records, encoder, single_texts());
  const auto same = tiny_transfer(eval_records, {}, encoder, single_texts());
  TinyModel model;
  const auto result = step->evaluate(model);
  EXPECT_NEAR(result.loss, loss_of(model, *same->prepare(model, 0, 0)), 1e-5);
  EXPECT_EQ(result.sides.neutral.texts, 1);
  EXPECT_EQ(result.sides.toxic.texts, 1);
  EXPECT_NEAR(result.sides.neutral.perplexity.value(),
              std::exp(mean_of(plain_token_nll(model, "6 7 2"))), 1e-2);
  EXPECT_NEAR(result.sides.toxic.perplexity.value(),
              std::exp(mean_of(plain_token_nll(model, "8 9 10 2"))), 1e-2);
}

TEST(TransferStep, TextWithoutAPredictedTokenIsInNoConcatenation) {
  const auto encoder = number_encoder();
  auto records = one_record();
  records[0].neutral = {"6 7 2", "9"};
  records[0].toxic = {"8 9 10 2", "7"};
  const auto step = tiny_transfer(records, {}, encoder, tiny_groups(1));
  TinyModel model;
  EXPECT_EQ(step->prepare(model, 0, 0)->info().num_tokens, 6 + 7 + 7);
}

TEST(TransferStep, GroupWithoutAToxicTextIsADataError) {
  const auto encoder = number_encoder();
  auto records = one_record();
  records[0].toxic = {"8"};
  const auto step = tiny_transfer(records, {}, encoder, single_texts());
  TinyModel model;
  EXPECT_EQ(data_error_of([&] { step->prepare(model, 0, 0); }),
            "[hand.json: record 0 (id 'h')] paraphrases_toxic: none of the drawn texts has a "
            "predicted token, expected one of at least two tokens. Set data.append_eos, or remove "
            "the record.");
}

TEST(TransferStep, WithoutNegativesIsAnError) {
  const auto encoder = number_encoder();
  const auto records = one_record();
  auto options = single_texts();
  options.groups.num_hard_negatives = 0;
  EXPECT_THROW(tiny_transfer(records, {}, encoder, options), std::invalid_argument);
}

}  // namespace transfer_step_test
}  // namespace cpx::training
