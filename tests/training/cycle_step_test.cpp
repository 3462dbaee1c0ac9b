// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/cycle_step.h"

#include <cmath>
#include <memory>

#include <gtest/gtest.h>

#include "cpx/data/variant_items.h"
#include "record_steps.h"
#include "step_check.h"

namespace cpx::training {
namespace cycle_step_test {

using FineTuning = CycleStepOptions::FineTuning;

std::unique_ptr<GroupStep> tiny_cycle(std::span<const data::Record> records,
                                      std::span<const data::Record> eval_records,
                                      const data::TextEncoder& encoder,
                                      const RecordOptions& options, FineTuning fine_tuning) {
  return cycle_step(
      group_data(records, eval_records, encoder, options),
      {.fine_tuning = fine_tuning,
       .objective = {.alpha = 3.0, .centroid = objectives::CycleOptions::Centroid::kGroup}});
}

// What the four kinds of texts of a record with one text a side are to the model.
struct Means {
  double detoxify = 0.0;
  double toxify = 0.0;
  double positive = 0.0;
  double negative = 0.0;
};

Means means_of(TinyModel& model, const data::TextEncoder& encoder, const std::string& positive,
               const std::string& negative) {
  const auto mean = [&](const std::string& text) {
    return mean_of(plain_token_nll(model, encoder.encode(text).ids));
  };
  const std::string detoxify = std::string(data::kDetoxifyInstruction);
  const std::string toxify = std::string(data::kToxifyInstruction);
  return {.detoxify = mean(detoxify + negative + " [/INST] " + positive),
          .toxify = mean(toxify + positive + " [/INST] " + negative),
          .positive = mean(positive),
          .negative = mean(negative)};
}

const std::vector<data::Record> kRecords = {hand_record({"6 7 2"}, {"8 9 10 2"})};

// The mean over both kinds of pairs, the plain texts' means, and the contrast around the positive.
TEST(CycleStep, LossOfTextsEqualsTheFormulaOnNllsFromLogits) {
  const auto encoder = word_encoder();
  const auto step = tiny_cycle(kRecords, {}, encoder, single_texts(), FineTuning::kTexts);
  TinyModel model;
  const auto micro_batch = step->prepare(model, 0, 0);
  const Means m = means_of(model, encoder, "6 7 2", "8 9 10 2");
  const double contrast = centred_cross_entropy_of({m.positive, m.negative}, 1, m.positive);
  EXPECT_NEAR(loss_of(model, *micro_batch),
              (m.detoxify + m.toxify) / 2 + m.positive + m.negative + 3.0 * contrast / 2, 1e-5);
  EXPECT_EQ(step->name(), "cycle");
  const auto counts = micro_batch->info().counts;
  EXPECT_EQ(counts.groups, 1);
  EXPECT_EQ(counts.pairs, 2);
  EXPECT_EQ(counts.positive_texts, 1);
  EXPECT_EQ(counts.negative_texts, 1);
}

// Of one text a side the cycle pair is the toxify pair.
TEST(CycleStep, LossOfPairsEqualsTheFormulaOnNllsFromLogits) {
  const auto encoder = word_encoder();
  const auto step = tiny_cycle(kRecords, {}, encoder, single_texts(), FineTuning::kPairs);
  TinyModel model;
  const auto micro_batch = step->prepare(model, 0, 0);
  const Means m = means_of(model, encoder, "6 7 2", "8 9 10 2");
  const double contrast = centred_cross_entropy_of({m.positive, m.negative}, 1, m.positive);
  EXPECT_NEAR(loss_of(model, *micro_batch), m.toxify + m.toxify + m.detoxify + 3.0 * contrast / 2,
              1e-5);
  EXPECT_EQ(micro_batch->info().counts.pairs, 1);
}

TEST(CycleStep, AdapterGradientMatchesFiniteDifferences) {
  const auto encoder = word_encoder();
  const auto records = tiny_records(2);
  for (const auto fine_tuning : {FineTuning::kTexts, FineTuning::kPairs}) {
    const auto step = tiny_cycle(records, {}, encoder, tiny_groups(2), fine_tuning);
    TinyModel model;
    expect_gradient_matches_differences(model, *step->prepare(model, 0, 0));
  }
}

TEST(CycleStep, TwoMicroBatchesOfOneGroupEqualOneOfTwo) {
  const auto encoder = word_encoder();
  const auto records = tiny_records(2);
  for (const auto fine_tuning : {FineTuning::kTexts, FineTuning::kPairs}) {
    const auto together = tiny_cycle(records, {}, encoder, tiny_groups(2), fine_tuning);
    const auto apart = tiny_cycle(records, {}, encoder, tiny_groups(1), fine_tuning);
    TinyModel model;
    expect_parts_add_up(model, *together, *apart);
  }
}

TEST(CycleStep, EvaluationComparesThePlainTexts) {
  const auto encoder = word_encoder();
  const auto records = tiny_records(2);
  const auto step = tiny_cycle(records, kRecords, encoder, single_texts(), FineTuning::kTexts);
  const auto same = tiny_cycle(kRecords, {}, encoder, single_texts(), FineTuning::kTexts);
  TinyModel model;
  const auto result = step->evaluate(model);
  const Means m = means_of(model, encoder, "6 7 2", "8 9 10 2");
  EXPECT_NEAR(result.loss, loss_of(model, *same->prepare(model, 0, 0)), 1e-9);
  EXPECT_EQ(result.sides.neutral.texts, 1);
  EXPECT_EQ(result.sides.toxic.texts, 1);
  EXPECT_NEAR(result.sides.neutral.perplexity.value(), std::exp(m.positive), 1e-2);
  EXPECT_NEAR(result.sides.toxic.perplexity.value(), std::exp(m.negative), 1e-2);
}

TEST(CycleStep, GroupWithoutAToxicTextIsADataError) {
  const auto encoder = word_encoder();
  const std::vector<data::Record> records = {hand_record({"6 7 2"}, {"8"})};
  const auto step = tiny_cycle(records, {}, encoder, single_texts(), FineTuning::kTexts);
  TinyModel model;
  EXPECT_EQ(data_error_of([&] { step->prepare(model, 0, 0); }),
            "[hand.json: record 0 (id 'h')] paraphrases_toxic: none of the drawn texts has a "
            "predicted token, expected one of at least two tokens. Set data.append_eos, or remove "
            "the record.");
}

TEST(CycleStep, WithoutNegativesIsAnError) {
  const auto encoder = word_encoder();
  auto options = single_texts();
  options.groups.num_hard_negatives = 0;
  EXPECT_THROW(tiny_cycle(kRecords, {}, encoder, options, FineTuning::kTexts),
               std::invalid_argument);
}

}  // namespace cycle_step_test
}  // namespace cpx::training
