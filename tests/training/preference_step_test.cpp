// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/preference_step.h"

#include <cmath>
#include <gmock/gmock.h>
#include <memory>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "record_steps.h"
#include "tests/support/errors.h"

namespace cpx::training {
namespace preference_step_test {

using testing::HasSubstr;
using testing_support::message_of;

// Prompts with neutral and toxic answers in numbers; answers of a prompt begin differently.
std::vector<data::PreferenceItem> tiny_items() {
  return {{.prompt = "5 6 7",
           .chosen = {" 8 9 2", " 10 11 12 2"},
           .rejected = {" 13 2", " 14 15 16 17 2"},
           .where = "hand.json: record 1"},
          {.prompt = "20",
           .chosen = {" 21 22 23 2", " 24 2"},
           .rejected = {" 25 26 2", " 27 2"},
           .where = "hand.json: record 2"},
          {.prompt = "30 31",
           .chosen = {" 32 33 2"},
           .rejected = {" 34 2"},
           .where = "hand.json: record 3"}};
}

data::PairEncoder pair_encoder() { return {number_encoder(), /*max_prompt_tokens=*/0}; }

PairStepOptions tiny_preferences(int64_t pairs = 3) {
  return {.pairs = {.pairs_per_group = 1, .shuffle = false}, .pairs_per_micro_batch = pairs};
}

double reference_nll_of(TinyModel& model, const std::vector<int64_t>& ids, int64_t num_given) {
  const nn::AdapterOffGuard off;
  return nll_behind(model, ids, num_given);
}

std::vector<torch::Tensor> step_gradients(TinyModel& model, PreferenceStep& step, double& loss) {
  for (auto& parameter : model.trainable()) parameter.value.mutable_grad().reset();
  const auto micro_batch = step.prepare(model, 0, 0);
  loss = micro_batch->forward_backward(model, micro_batch->info().counts, {}).loss;
  std::vector<torch::Tensor> gradients;
  for (const auto& parameter : model.trainable()) {
    gradients.push_back(parameter.value.grad().clone());
  }
  return gradients;
}

// The whole way: the pair 8 9 2 against 13 2 behind 5 6 7, by the model's logits and eq. 7 of the
// DPO paper.
TEST(PreferenceStep, DpoLossIsThatOfLogitsAndTheAdapterOff) {
  auto items = tiny_items();
  items.resize(1);
  const auto encoder = pair_encoder();
  TinyModel model;
  PreferenceStep step(pair_data(items, {}, encoder, tiny_preferences()), dpo_objective({}));
  EXPECT_EQ(step.name(), "dpo");
  EXPECT_EQ(step.num_micro_batches(), 1);
  const auto micro_batch = step.prepare(model, 0, 0);
  const auto result = micro_batch->forward_backward(model, micro_batch->info().counts, {});
  const std::vector<int64_t> chosen = {5, 6, 7, 8, 9, 2};
  const std::vector<int64_t> rejected = {5, 6, 7, 13, 2};
  const double margin =
      0.1 * ((reference_nll_of(model, chosen, 3) - nll_behind(model, chosen, 3)) -
             (reference_nll_of(model, rejected, 3) - nll_behind(model, rejected, 3)));
  EXPECT_NEAR(result.loss, std::log1p(std::exp(-margin)), 1e-6);
  EXPECT_NEAR(result.preferences.chosen_reward_sum - result.preferences.rejected_reward_sum, margin,
              1e-6);
  EXPECT_EQ(result.positives.tokens, 3);
  EXPECT_EQ(result.hard_negatives.tokens, 2);
}

TEST(PreferenceStep, SimpoLossIsThatOfMeanLogProbabilities) {
  auto items = tiny_items();
  items.resize(1);
  const auto encoder = pair_encoder();
  TinyModel model;
  PreferenceStep step(pair_data(items, {}, encoder, tiny_preferences()),
                      simpo_objective({.beta = 2.0, .gamma_beta_ratio = 0.25}));
  EXPECT_EQ(step.name(), "simpo");
  const auto micro_batch = step.prepare(model, 0, 0);
  const auto result = micro_batch->forward_backward(model, micro_batch->info().counts, {});
  const double margin = 2.0 * (nll_behind(model, {5, 6, 7, 13, 2}, 3) / 2 -
                               nll_behind(model, {5, 6, 7, 8, 9, 2}, 3) / 3);
  EXPECT_NEAR(result.loss, std::log1p(std::exp(-(margin - 0.5))), 1e-6);
  EXPECT_EQ(step.num_reference_answers(), 0);
}

TEST(PreferenceStep, CountsAreKnownBeforeAnyPass) {
  const auto items = tiny_items();
  const auto encoder = pair_encoder();
  TinyModel model;
  PreferenceStep step(pair_data(items, {}, encoder, tiny_preferences(2)), dpo_objective({}));
  EXPECT_EQ(step.num_micro_batches(), 2);
  const auto first = step.prepare(model, 0, 0);
  EXPECT_EQ(first->info().counts.pairs, 2);
  EXPECT_EQ(first->info().counts.positive_texts, 2);
  EXPECT_EQ(first->info().counts.positive_tokens, 3 + 4);
  // 5 6 7 and 20 once, and of each answer all but its last token: 2 + 1 and 3 + 2.
  EXPECT_EQ(first->info().num_tokens, 4 + 8);
  EXPECT_THAT(first->info().records,
              testing::ElementsAre("hand.json: record 1", "hand.json: record 2"));
}

TEST(PreferenceStep, SharedPromptsChangeNoNumber) {
  const auto items = tiny_items();
  const auto encoder = pair_encoder();
  TinyModel model;
  auto options = tiny_preferences();
  PreferenceStep shared(pair_data(items, {}, encoder, options), dpo_objective({}));
  options.shares_prompts = false;
  PreferenceStep apart(pair_data(items, {}, encoder, options), dpo_objective({}));
  double shared_loss = 0.0;
  double apart_loss = 0.0;
  const auto shared_gradients = step_gradients(model, shared, shared_loss);
  const auto apart_gradients = step_gradients(model, apart, apart_loss);
  EXPECT_NEAR(shared_loss, apart_loss, 1e-6);
  ASSERT_FALSE(shared_gradients.empty());
  for (size_t i = 0; i < shared_gradients.size(); ++i) {
    const double largest = apart_gradients[i].abs().max().item<double>();
    EXPECT_GT(largest, 0.0);
    EXPECT_LE((shared_gradients[i] - apart_gradients[i]).abs().max().item<double>(),
              1e-5 * largest);
  }
}

TEST(PreferenceStep, SeveralRejectedAnswersTakePart) {
  auto items = tiny_items();
  items.resize(2);
  const auto encoder = pair_encoder();
  TinyModel model;
  auto options = tiny_preferences();
  options.pairs.rejected_per_chosen = 2;
  PreferenceStep step(pair_data(items, {}, encoder, options), dpo_objective({}));
  const auto micro_batch = step.prepare(model, 0, 0);
  EXPECT_EQ(micro_batch->info().counts.negative_texts, 4);
  const auto result = micro_batch->forward_backward(model, micro_batch->info().counts, {});
  EXPECT_EQ(result.hard_negatives.texts, 4);
  EXPECT_TRUE(std::isfinite(result.loss));
}

double first_loss(const std::vector<data::PreferenceItem>& items, TinyModel& model,
                  PreferenceReference reference, int64_t* num_computed = nullptr) {
  const auto encoder = pair_encoder();
  PreferenceStep step(pair_data(items, {}, encoder, tiny_preferences()), dpo_objective({}),
                      std::move(reference));
  const auto micro_batch = step.prepare(model, 0, 0);
  if (num_computed != nullptr) *num_computed = step.num_reference_answers();
  return micro_batch->forward_backward(model, micro_batch->info().counts, {}).loss;
}

TEST(PreferenceStep, ACachedReferenceGivesTheSameLossToTheBit) {
  const auto items = tiny_items();
  TinyModel model;
  const auto file = fresh_folder() / "reference_nll.bin";
  const Fingerprints key = {{"model", "tiny"}};
  int64_t computed = 0;
  const double without = first_loss(items, model, {}, &computed);
  EXPECT_EQ(computed, 6);
  const double first =
      first_loss(items, model, {.cache = std::make_shared<NllCache>(file, key)}, &computed);
  EXPECT_EQ(computed, 6);
  const double second =
      first_loss(items, model, {.cache = std::make_shared<NllCache>(file, key)}, &computed);
  EXPECT_EQ(computed, 0);
  EXPECT_EQ(first, without);
  EXPECT_EQ(second, without);
}

TEST(PreferenceStep, AnotherKeyOrOtherTokensAreComputedAnew) {
  auto items = tiny_items();
  TinyModel model;
  const auto file = fresh_folder() / "reference_nll.bin";
  int64_t computed = 0;
  const auto run = [&](const std::string& name) {
    first_loss(items, model,
               {.cache = std::make_shared<NllCache>(file, Fingerprints{{"model", name}})},
               &computed);
    return computed;
  };
  EXPECT_EQ(run("tiny"), 6);
  EXPECT_EQ(run("other"), 6);
  EXPECT_EQ(run("other"), 0);
  items[2].prompt = "30 32";  // template, tokenizer, limits and EOS show in the tokens too
  EXPECT_EQ(run("other"), 2);
}

// A policy that is its own reference has a margin of 0 whatever its adapter says.
TEST(PreferenceStep, TheReferenceMayBeAnotherModel) {
  const auto items = tiny_items();
  TinyModel model;
  TinyModel twin;
  EXPECT_NE(first_loss(items, model, {}), std::log(2.0));
  EXPECT_NEAR(first_loss(items, model, {.policy = {.model = &twin}}), std::log(2.0), 1e-7);
}

TEST(PreferenceStep, EvaluationComparesChosenWithRejectedAnswers) {
  const auto items = tiny_items();
  const auto encoder = pair_encoder();
  TinyModel model;
  PreferenceStep step(pair_data(items, items, encoder, tiny_preferences(2)), dpo_objective({}));
  ASSERT_TRUE(step.has_evaluation());
  const auto result = step.evaluate(model);
  const auto whole = first_loss(items, model, {});
  EXPECT_NEAR(result.loss, whole, 1e-6);
  EXPECT_EQ(result.sides.neutral.texts, 3);
  EXPECT_EQ(result.sides.toxic.texts, 3);
  EXPECT_EQ(result.sides.neutral.tokens, 3 + 4 + 3);
  const int64_t computed = step.num_reference_answers();
  EXPECT_EQ(step.evaluate(model).loss, result.loss);
  EXPECT_EQ(step.num_reference_answers(), computed);  // computed once
}

TEST(PreferenceStep, WithoutAFullMicroBatchDropLastIsAnError) {
  const auto items = tiny_items();
  const auto encoder = pair_encoder();
  auto options = tiny_preferences(4);
  options.drop_last = true;
  EXPECT_THAT(message_of<DataError>([&] {
                PreferenceStep step(pair_data(items, {}, encoder, options), dpo_objective({}));
              }),
              HasSubstr("data.drop_last leaves no micro batch: got 3"));
}

// DPO on a few pairs: the margin grows.
TEST(PreferenceStep, TrainingWidensTheMargin) {
  const auto items = tiny_items();
  const auto encoder = pair_encoder();
  TinyModel model;
  auto step_options = tiny_preferences(3);
  PreferenceStep step(pair_data(items, items, encoder, step_options), dpo_objective({}));
  const double before = step.evaluate(model).loss;
  train_twenty_steps(model, step);
  EXPECT_LT(step.evaluate(model).loss, before - 0.1);
}

}  // namespace preference_step_test
}  // namespace cpx::training
