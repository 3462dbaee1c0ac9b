// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/kto_step.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <memory>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "record_steps.h"

namespace cpx::training {
namespace kto_step_test {

using testing::ElementsAre;

std::vector<data::PreferenceItem> labelled_items() {
  return {{.prompt = "5 6 7", .chosen = {" 8 9 2"}, .where = "hand.json: record 1"},
          {.prompt = "20", .rejected = {" 25 26 27 2"}, .where = "hand.json: record 2"},
          {.prompt = "30 31",
           .chosen = {" 32 2"},
           .rejected = {" 34 35 2"},
           .where = "hand.json: record 3"}};
}

data::PairEncoder pair_encoder() { return {number_encoder(), /*max_prompt_tokens=*/0}; }

struct StepSetting {
  int64_t answers_per_micro_batch = 4;
  bool has_evaluation = false;
  PreferenceReference reference = {};
};

// The step's items and encoder must outlive it.
KtoStep make_step(const std::vector<data::PreferenceItem>& items, const data::PairEncoder& encoder,
                  const StepSetting& setting = {}, const objectives::KtoOptions& options = {}) {
  const auto answers =
      std::make_shared<data::LabelledAnswers>(items, data::LabelledOptions{.shuffle = false});
  return {LabelledData{.train = answers,
                       .eval = setting.has_evaluation ? answers : nullptr,
                       .encoder = encoder,
                       .answers_per_micro_batch = setting.answers_per_micro_batch},
          options, setting.reference};
}

double log_ratio(TinyModel& model, const std::vector<int64_t>& ids, int64_t num_given) {
  const double policy = nll_behind(model, ids, num_given);
  const nn::AdapterOffGuard off;
  return nll_behind(model, ids, num_given) - policy;
}

// Turns the adapter's effect round. The KL terms of these answers are below 0 with the tiny model's
// own adapter, and above 0 with this one.
void negate_adapter(TinyModel& model) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model.trainable()) {
    if (parameter.name.find("lora_B") != parameter.name.npos) parameter.value.neg_();
  }
}

double first_loss(KtoStep& step, TinyModel& model) {
  const auto micro_batch = step.prepare(model, 0, 0);
  return micro_batch->forward_backward(model, micro_batch->info().counts, {}).loss;
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// The whole way for two answers: each prompt with the other's answer makes the KL term.
TEST(KtoStep, LossIsThatOfLogitsAndMismatchedPairs) {
  auto items = labelled_items();
  items.resize(2);
  const auto encoder = pair_encoder();
  TinyModel model;
  negate_adapter(model);
  KtoStep step = make_step(items, encoder, {}, {.beta = 0.5, .undesirable_weight = 2.0});
  EXPECT_EQ(step.name(), "kto");
  const auto micro_batch = step.prepare(model, 0, 0);
  const auto result = micro_batch->forward_backward(model, micro_batch->info().counts, {});
  const double chosen = log_ratio(model, {5, 6, 7, 8, 9, 2}, 3);
  const double rejected = log_ratio(model, {20, 25, 26, 27, 2}, 1);
  const double kl = std::max(
      0.0,
      (log_ratio(model, {5, 6, 7, 25, 26, 27, 2}, 3) + log_ratio(model, {20, 8, 9, 2}, 1)) / 2.0);
  EXPECT_GT(kl, 0.0);
  const double expected =
      ((1.0 - sigmoid(0.5 * (chosen - kl))) + 2.0 * (1.0 - sigmoid(0.5 * (kl - rejected)))) / 2.0;
  EXPECT_NEAR(result.loss, expected, 1e-6);
  const auto figures = step.end_step(1);
  ASSERT_EQ(figures.size(), 1);
  EXPECT_EQ(figures[0].name, "kl");
  EXPECT_NEAR(figures[0].value, kl, 1e-6);
  EXPECT_TRUE(step.end_step(2).empty());
}

TEST(KtoStep, AKlTermBelowZeroIsZero) {
  auto items = labelled_items();
  items.resize(2);
  const auto encoder = pair_encoder();
  TinyModel model;
  EXPECT_LT(log_ratio(model, {5, 6, 7, 25, 26, 27, 2}, 3) + log_ratio(model, {20, 8, 9, 2}, 1),
            0.0);
  KtoStep step = make_step(items, encoder, {}, {.beta = 0.5});
  const double expected = (1.0 - sigmoid(0.5 * log_ratio(model, {5, 6, 7, 8, 9, 2}, 3)) + 1.0 -
                           sigmoid(-0.5 * log_ratio(model, {20, 25, 26, 27, 2}, 1))) /
                          2.0;
  EXPECT_NEAR(first_loss(step, model), expected, 1e-6);
}

TEST(KtoStep, CountsAreKnownBeforeAnyPass) {
  const auto items = labelled_items();
  const auto encoder = pair_encoder();
  TinyModel model;
  KtoStep step = make_step(items, encoder);
  EXPECT_EQ(step.num_micro_batches(), 1);
  const auto micro_batch = step.prepare(model, 0, 0);
  EXPECT_EQ(micro_batch->info().counts.positive_texts, 2);
  EXPECT_EQ(micro_batch->info().counts.negative_texts, 2);
  EXPECT_EQ(micro_batch->info().counts.positive_tokens, 3 + 2);
  EXPECT_THAT(micro_batch->info().records,
              ElementsAre("hand.json: record 1", "hand.json: record 2", "hand.json: record 3",
                          "hand.json: record 3"));
}

// The KL term of a model that moved between prepare() and forward_backward() is the moved one's.
TEST(KtoStep, TheKlTermIsThePolicysOfTheMoment) {
  const auto items = labelled_items();
  const auto encoder = pair_encoder();
  TinyModel model;
  KtoStep step = make_step(items, encoder, {.has_evaluation = true});
  EXPECT_EQ(step.evaluate(model).figures.at(0).value, 0.0);
  negate_adapter(model);
  EXPECT_GT(step.evaluate(model).figures.at(0).value, 0.0);
}

TEST(KtoStep, ALongMismatchedTextIsCut) {
  auto items = labelled_items();
  items.resize(2);
  const data::PairEncoder whole(data::TextEncoder(std::make_shared<NumberTokenizer>(),
                                                  {.append_eos = false, .max_tokens = 6}),
                                /*max_prompt_tokens=*/0);
  TinyModel model;
  negate_adapter(model);
  KtoStep step = make_step(items, whole, {}, {.beta = 0.5});
  const double loss = first_loss(step, model);
  const double kl = std::max(
      0.0, (log_ratio(model, {5, 6, 7, 25, 26, 27}, 3) + log_ratio(model, {20, 8, 9, 2}, 1)) / 2.0);
  EXPECT_GT(kl, 0.0);
  const double expected = (1.0 - sigmoid(0.5 * (log_ratio(model, {5, 6, 7, 8, 9, 2}, 3) - kl)) +
                           1.0 - sigmoid(0.5 * (kl - log_ratio(model, {20, 25, 26, 27, 2}, 1)))) /
                          2.0;
  EXPECT_NEAR(loss, expected, 1e-6);
}

TEST(KtoStep, ACachedReferenceGivesTheSameLossToTheBit) {
  const auto items = labelled_items();
  const auto encoder = pair_encoder();
  TinyModel model;
  const auto file = fresh_folder() / "reference_nll.bin";
  const Fingerprints key = {{"model", "tiny"}};
  const auto run = [&](std::shared_ptr<NllCache> cache, int64_t& computed) {
    KtoStep step = make_step(items, encoder, {.reference = {.cache = std::move(cache)}});
    const double loss = first_loss(step, model);
    computed = step.num_reference_answers();
    return loss;
  };
  int64_t computed = 0;
  const double without = run(nullptr, computed);
  EXPECT_EQ(computed, 8);
  EXPECT_EQ(run(std::make_shared<NllCache>(file, key), computed), without);
  EXPECT_EQ(computed, 8);
  EXPECT_EQ(run(std::make_shared<NllCache>(file, key), computed), without);
  EXPECT_EQ(computed, 0);
}

// A policy that is its own reference: every ratio is 1.
TEST(KtoStep, TheReferenceMayBeAnotherModel) {
  const auto items = labelled_items();
  const auto encoder = pair_encoder();
  TinyModel model;
  TinyModel twin;
  KtoStep step = make_step(items, encoder, {.reference = {.policy = {.model = &twin}}});
  EXPECT_NEAR(first_loss(step, model), 0.5, 1e-7);
}

TEST(KtoStep, EvaluationComparesDesirableWithUndesirableAnswers) {
  const auto items = labelled_items();
  const auto encoder = pair_encoder();
  TinyModel model;
  KtoStep step = make_step(items, encoder, {.has_evaluation = true});
  ASSERT_TRUE(step.has_evaluation());
  const auto result = step.evaluate(model);
  EXPECT_NEAR(result.loss, first_loss(step, model), 1e-6);
  EXPECT_EQ(result.sides.neutral.texts, 2);
  EXPECT_EQ(result.sides.toxic.texts, 2);
  EXPECT_EQ(result.sides.neutral.tokens, 5);
}

TEST(KtoStep, TrainingLowersTheLoss) {
  const auto items = labelled_items();
  const auto encoder = pair_encoder();
  TinyModel model;
  KtoStep step = make_step(items, encoder, {.has_evaluation = true}, {.beta = 1.0});
  const double before = step.evaluate(model).loss;
  train_twenty_steps(model, step);
  EXPECT_LT(step.evaluate(model).loss, before - 0.05);
}

}  // namespace kto_step_test
}  // namespace cpx::training
