// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/prototype_step.h"

#include <cmath>
#include <memory>

#include <gtest/gtest.h>

#include "record_steps.h"
#include "step_check.h"

namespace cpx::training {
namespace prototype_step_test {

std::unique_ptr<GroupStep> tiny_prototype(std::span<const data::Record> records,
                                          std::span<const data::Record> eval_records,
                                          const data::TextEncoder& encoder, RecordOptions options,
                                          const objectives::PrototypeOptions& objective = {}) {
  options.groups.with_input = true;
  return prototype_step(group_data(records, eval_records, encoder, options), objective);
}

// 4, 3 and 5 tokens: mean NLLs are scaled by 4/5, 3/5 and 1, and the input's is the centre.
TEST(PrototypeStep, LossEqualsTheFormulaOnNllsFromLogits) {
  const auto encoder = number_encoder();
  auto record = hand_record({"6 7 2"}, {"8 9 10 11 2"});
  record.input = "3 4 5 2";
  const std::vector<data::Record> records = {record};
  const auto step = tiny_prototype(records, {}, encoder, single_texts());
  TinyModel model;
  const auto micro_batch = step->prepare(model, 0, 0);

  const double centre = mean_of(plain_token_nll(model, "3 4 5 2")) * 4 / 5;
  const double positive = mean_of(plain_token_nll(model, "6 7 2")) * 3 / 5;
  const double negative = mean_of(plain_token_nll(model, "8 9 10 11 2"));
  EXPECT_NEAR(loss_of(model, *micro_batch),
              centred_cross_entropy_of({positive, negative}, 1, centre), 1e-5);
  EXPECT_EQ(step->name(), "prototype");
  EXPECT_EQ(micro_batch->info().counts.groups, 1);
  EXPECT_EQ(micro_batch->info().num_tokens, 12);
}

TEST(PrototypeStep, AdapterGradientMatchesFiniteDifferences) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  const auto step = tiny_prototype(records, {}, encoder, tiny_groups(2));
  TinyModel model;
  expect_gradient_matches_differences(model, *step->prepare(model, 0, 0));
}

TEST(PrototypeStep, TwoMicroBatchesOfOneGroupEqualOneOfTwo) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  const objectives::PrototypeOptions objective{.longest =
                                                   objectives::PrototypeOptions::Longest::kGroup};
  const auto together = tiny_prototype(records, {}, encoder, tiny_groups(2), objective);
  const auto apart = tiny_prototype(records, {}, encoder, tiny_groups(1), objective);
  TinyModel model;
  expect_parts_add_up(model, *together, *apart);
}

TEST(PrototypeStep, RecordsWithoutAnInputAreNoGroups) {
  const auto encoder = number_encoder();
  auto records = tiny_records(3);
  records[1].input = "";
  const auto step = tiny_prototype(records, {}, encoder, tiny_groups(1));
  EXPECT_EQ(step->num_micro_batches(), 2);
}

TEST(PrototypeStep, InputWithoutAPredictedTokenIsADataError) {
  const auto encoder = number_encoder();
  auto record = hand_record({"6 7 2", "6 8 2"}, {"8 9 2", "9 9 2"});
  record.input = "3";
  const std::vector<data::Record> records = {record};
  const auto step = tiny_prototype(records, {}, encoder, tiny_groups(1));
  TinyModel model;
  EXPECT_EQ(data_error_of([&] { step->prepare(model, 0, 0); }),
            "[hand.json: record 0 (id 'h')] input: has no predicted token: got 1 tokens, expected "
            "at least two. Set data.append_eos, or remove the record.");
}

TEST(PrototypeStep, EvaluationComparesTheTextsWithoutTheInput) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(4);
  const auto eval_records = tiny_records(2, /*seed=*/9);
  const auto step = tiny_prototype(records, eval_records, encoder, tiny_groups(2));
  const auto same = tiny_prototype(eval_records, {}, encoder, tiny_groups(2));
  TinyModel model;
  const auto result = step->evaluate(model);
  EXPECT_NEAR(result.loss, loss_of(model, *same->prepare(model, 0, 0)), 1e-9);
  EXPECT_EQ(result.sides.neutral.texts, 4);
  EXPECT_EQ(result.sides.toxic.texts, 4);
  EXPECT_FALSE(same->has_evaluation());
}

}  // namespace prototype_step_test
}  // namespace cpx::training
