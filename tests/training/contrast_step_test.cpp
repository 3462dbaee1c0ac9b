// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/contrast_step.h"

#include <cmath>
#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "record_steps.h"
#include "step_check.h"

namespace cpx::training {
namespace contrast_step_test {

using objectives::ContrastiveOptions;
using objectives::StepCounts;

ContrastStepOptions plain_options(int64_t positives, int64_t negatives, int64_t groups) {
  return {.groups = {.num_positives = positives, .num_hard_negatives = negatives, .shuffle = false},
          .groups_per_micro_batch = groups,
          .objective = {.centroid = ContrastiveOptions::Centroid::kGroup}};
}

// Neutral texts of 3 and 4 tokens predict 2 and 3, the toxic one of 5 tokens predicts 4. Padding to
// 5 would add 2 + 1 tokens.
TEST(ContrastStep, CountsAreKnownBeforeAnyPass) {
  const auto encoder = number_encoder();
  const std::vector<data::Record> records = {hand_record({"3 4 2", "5 6 7 2"}, {"8 9 10 11 2"})};
  const auto step = contrast_step(records, {}, encoder, plain_options(2, 1, 2));
  TinyModel model;
  EXPECT_EQ(step->num_micro_batches(), 1);
  const auto micro_batch = step->prepare(model, 0, 0);
  const MicroBatchInfo& info = micro_batch->info();
  EXPECT_EQ(info.counts.groups, 1);
  EXPECT_EQ(info.counts.positive_texts, 2);
  EXPECT_EQ(info.counts.positive_tokens, 5);
  EXPECT_EQ(info.counts.negative_texts, 1);
  EXPECT_EQ(info.num_tokens, 12);
  EXPECT_EQ(info.num_padded_tokens, 3);
  EXPECT_THAT(info.records, testing::ElementsAre("hand.json: record 0 (id 'h')"));
}

// The whole way from texts to loss: token NLLs by the model's logits, the objective by its own
// tests, the loss equal to what the step gives.
TEST(ContrastStep, LossEqualsTheObjectiveOnNllsFromLogits) {
  const auto encoder = number_encoder();
  const std::vector<std::string> texts = {"3 4 2", "5 6 7 2", "8 9 10 11 2"};
  const std::vector<data::Record> records = {hand_record({texts[0], texts[1]}, {texts[2]})};
  const auto options = plain_options(2, 1, 1);
  const auto step = contrast_step(records, {}, encoder, options);
  TinyModel model;
  const auto micro_batch = step->prepare(model, 0, 0);
  const auto result = micro_batch->forward_backward(model, micro_batch->info().counts, {});

  std::vector<double> nll;
  std::vector<objectives::ContrastText> contrast_texts;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto own = plain_token_nll(model, texts[i]);
    contrast_texts.push_back({.role = i < 2 ? TextRole::kPositive : TextRole::kHardNegative,
                              .first = std::ssize(nll),
                              .count = std::ssize(own)});
    nll.insert(nll.end(), own.begin(), own.end());
  }
  const auto expected = objectives::contrastive_perplexity(
      {.texts = contrast_texts, .num_groups = 1, .token_nll = nll}, options.objective,
      {.groups = 1, .positive_texts = 2, .positive_tokens = 5});
  EXPECT_NEAR(result.loss, expected.loss, 1e-5);
  EXPECT_NEAR(result.contrast.value(), expected.contrast.value(), 1e-5);
  EXPECT_EQ(result.hard_negatives.tokens, 4);
}

// The adapter's gradient of a micro batch of two groups.
void expect_gradient_of_two_groups(ContrastStepOptions options) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  options.groups_per_micro_batch = 2;
  const auto step = contrast_step(records, {}, encoder, options);
  TinyModel model;
  expect_gradient_matches_differences(model, *step->prepare(model, 0, 0));
}

// Two micro batches of a group give what one of two groups gives.
void expect_groups_add_up(ContrastStepOptions options) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  options.groups.shuffle = false;
  options.groups_per_micro_batch = 2;
  const auto together = contrast_step(records, {}, encoder, options);
  options.groups_per_micro_batch = 1;
  const auto apart = contrast_step(records, {}, encoder, options);
  TinyModel model;
  expect_parts_add_up(model, *together, *apart);
}

TEST(ContrastStep, AdapterGradientMatchesFiniteDifferences) {
  ContrastStepOptions options = tiny_step_options();
  options.objective.alpha = 1.0;
  expect_gradient_of_two_groups(options);
}

TEST(ContrastStep, TwoMicroBatchesOfOneGroupEqualOneOfTwo) {
  ContrastStepOptions options = tiny_step_options();
  options.objective.centroid = ContrastiveOptions::Centroid::kGroup;
  options.objective.anchor = 0.2;
  expect_groups_add_up(options);
}

TEST(ContrastStep, BaseIsComputedOnceAText) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(3);
  ContrastStepOptions options = tiny_step_options();
  options.groups.shuffle = false;
  const auto step = contrast_step(records, {}, encoder, options);
  BaseCountingModel model;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    for (int64_t i = 0; i < step->num_micro_batches(); ++i) step->prepare(model, epoch, i);
    EXPECT_EQ(model.num_base_passes, 3);
  }
}

// Each record has four neutral texts, in two packs of two.
TEST(ContrastStep, BaseOfShuffledDrawsCostsEachPackOnce) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(3);
  const auto step = contrast_step(records, {}, encoder, tiny_step_options());
  BaseCountingModel model;
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    for (int64_t i = 0; i < step->num_micro_batches(); ++i) step->prepare(model, epoch, i);
  }
  EXPECT_EQ(model.num_base_passes, 6);
}

// The bounded push asks for the base of toxic texts too, in packs of their own.
TEST(ContrastStep, BaseOfToxicTextsIsComputedOnceAsWell) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(3);
  ContrastStepOptions options = tiny_step_options();
  options.groups.shuffle = false;
  options.objective.push = ContrastiveOptions::Push::kNpo;
  const auto step = contrast_step(records, {}, encoder, options);
  BaseCountingModel model;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    for (int64_t i = 0; i < step->num_micro_batches(); ++i) step->prepare(model, epoch, i);
    EXPECT_EQ(model.num_base_passes, 6);
  }
}

TEST(ContrastStep, ObjectiveWithoutBaseAsksForNone) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  const auto step = contrast_step(records, {}, encoder, plain_options(2, 2, 2));
  BaseCountingModel model;
  step->prepare(model, 0, 0);
  EXPECT_EQ(model.num_base_passes, 0);
}

// To the bit: the same position reached after other ones, or at once by a new object.
TEST(ContrastStep, PositionReachedAtOnceEqualsTheOneReachedInTurn) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(5);
  TinyModel model;
  const auto in_turn = contrast_step(records, {}, encoder, tiny_step_options());
  for (int64_t i = 0; i < 5; ++i) in_turn->prepare(model, 0, i);
  const auto one = in_turn->prepare(model, 1, 3);
  const auto at_once = contrast_step(records, {}, encoder, tiny_step_options());
  const auto other = at_once->prepare(model, 1, 3);
  EXPECT_EQ(one->info().records, other->info().records);
  const auto counts = one->info().counts;
  EXPECT_EQ(one->forward_backward(model, counts, {}).loss,
            other->forward_backward(model, counts, {}).loss);
}

// The loss of a record where the adapter is off: with B at 0 the model is its base.
double loss_of_the_base(const ContrastStepOptions& options) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(1);
  TinyModel model;
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model.trainable()) parameter.value.zero_();
  }
  const auto step = contrast_step(records, {}, encoder, options);
  const auto micro_batch = step->prepare(model, 0, 0);
  return micro_batch->forward_backward(model, micro_batch->info().counts, {}).loss;
}

// The positives' distance from the base is 0, and hold adds nothing.
TEST(ContrastStep, HoldIsZeroWhereTheAdapterIsOff) {
  ContrastStepOptions options = tiny_step_options();
  options.objective.beta = 0.0;
  options.objective.hold = 1.0;
  EXPECT_NEAR(loss_of_the_base(options), 0.0, 1e-10);
}

// No text has moved yet, so each push is softplus(push_aim) and their mean is.
TEST(ContrastStep, BoundedPushStartsAtTheBase) {
  ContrastStepOptions options = tiny_step_options();
  options.objective.push = ContrastiveOptions::Push::kNpo;
  options.objective.push_aim = 1.5;
  EXPECT_NEAR(loss_of_the_base(options), std::log1p(std::exp(1.5)), 1e-6);
  options.objective.push_tokens = ContrastiveOptions::PushTokens::kDiffering;
  EXPECT_NEAR(loss_of_the_base(options), std::log1p(std::exp(1.5)), 1e-6);
}

TEST(ContrastStep, BoundedPushHasItsGradientAndAddsUp) {
  ContrastStepOptions options = tiny_step_options();
  options.objective.push = ContrastiveOptions::Push::kNpo;
  options.objective.push_tokens = ContrastiveOptions::PushTokens::kDiffering;
  expect_gradient_of_two_groups(options);
  expect_groups_add_up(options);
}

// sum of p_base (log p_base - log p) over the vocabulary, at each token of the text but its last.
double kl_from_base(TinyModel& model, std::string_view text) {
  const torch::NoGradGuard no_grad;
  const auto ids = NumberTokenizer().encode(text, /*add_special_tokens=*/true).ids;
  const auto tensor = at::tensor(std::vector<int64_t>(ids.begin(), ids.end()), at::kLong);
  const nn::PackedTokens tokens{.ids = tensor, .cu_seqlens = {0, static_cast<int32_t>(ids.size())}};
  const auto log_probs = [&] {
    const auto scores = model.logits(model.hidden_states(tokens, {}), {}).to(at::kDouble);
    return at::log_softmax(scores, 1).slice(0, 0, std::ssize(ids) - 1);
  };
  const auto policy = log_probs();
  const nn::AdapterOffGuard adapter_off;
  const auto base = log_probs();
  return (base.exp() * (base - policy)).sum().item<double>();
}

ContrastStepOptions held_by_kl() {
  ContrastStepOptions options = tiny_step_options();
  options.objective.hold = 0.7;
  options.objective.hold_by = ContrastiveOptions::HoldBy::kKl;
  return options;
}

// The loss beside hold is that without it; hold is the positives' divergence over their 2 + 3
// tokens. An evaluation has the same.
TEST(ContrastStep, HoldByKlIsThatOfPlainLogits) {
  const auto encoder = number_encoder();
  const std::vector<data::Record> records = {hand_record({"3 4 2", "5 6 7 2"}, {"8 9 10 11 2"})};
  ContrastStepOptions options = held_by_kl();
  options.groups = {.num_positives = 2, .num_hard_negatives = 1, .shuffle = false};
  TinyModel model;
  const auto held = contrast_step(records, records, encoder, options);
  const double loss = loss_of(model, *held->prepare(model, 0, 0));
  options.objective.hold = 0.0;
  const auto free = contrast_step(records, records, encoder, options);
  const double kl = (kl_from_base(model, "3 4 2") + kl_from_base(model, "5 6 7 2")) / 5.0;
  EXPECT_GT(kl, 1e-4);
  EXPECT_NEAR(loss - loss_of(model, *free->prepare(model, 0, 0)), 0.7 * kl, 1e-5);
  EXPECT_NEAR(held->evaluate(model).loss, loss, 1e-5);
}

TEST(ContrastStep, HoldByKlIsZeroWhereTheAdapterIsOff) {
  ContrastStepOptions options = held_by_kl();
  options.objective.beta = 0.0;
  EXPECT_NEAR(loss_of_the_base(options), 0.0, 1e-7);
}

TEST(ContrastStep, HoldByKlHasItsGradientAndAddsUp) {
  expect_gradient_of_two_groups(held_by_kl());
  expect_groups_add_up(held_by_kl());
}

// Under centroid base a positive's distance is its own mean's distance from the base: 0 here, its
// pads included, so its score is 1 and a group of positives alone gives CE = 2 log 2.
TEST(ContrastStep, PublishedPaddingKeepsTheBaseOfPads) {
  ContrastStepOptions options = tiny_step_options();
  options.groups.num_hard_negatives = 0;
  options.objective.hold = 0.0;
  options.objective.padding = ContrastiveOptions::Padding::kPublished;
  EXPECT_NEAR(loss_of_the_base(options), 2.0 * std::log(2.0) / 3.0, 1e-6);
}

TEST(ContrastStep, DropLastLeavesOutTheMicroBatchThatIsNotFull) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(5);
  ContrastStepOptions options = tiny_step_options();
  options.groups_per_micro_batch = 2;
  EXPECT_EQ(contrast_step(records, {}, encoder, options)->num_micro_batches(), 3);
  options.drop_last = true;
  EXPECT_EQ(contrast_step(records, {}, encoder, options)->num_micro_batches(), 2);
}

TEST(ContrastStep, DropLastWithoutAFullMicroBatchIsADataError) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(3);
  ContrastStepOptions options = tiny_step_options();
  options.groups_per_micro_batch = 4;
  options.drop_last = true;
  EXPECT_EQ(data_error_of([&] { contrast_step(records, {}, encoder, options); }),
            "[training data] data.drop_last leaves no micro batch: got 3 usable records, expected "
            "at least 4 (training.groups). Set data.drop_last to false, or take fewer groups.");
}

TEST(ContrastStep, TextWithoutAPredictedTokenIsLeftOut) {
  const auto encoder = number_encoder();
  const std::vector<data::Record> records = {hand_record({"3", "5 6 7 2"}, {"8 9 10 11 2"})};
  const auto step = contrast_step(records, {}, encoder, plain_options(2, 1, 1));
  TinyModel model;
  const auto micro_batch = step->prepare(model, 0, 0);
  EXPECT_EQ(micro_batch->info().counts.positive_texts, 1);
  EXPECT_TRUE(
      std::isfinite(micro_batch->forward_backward(model, micro_batch->info().counts, {}).loss));
}

TEST(ContrastStep, GroupWithoutAPositiveTextIsADataError) {
  const auto encoder = number_encoder();
  const std::vector<data::Record> records = {hand_record({"3", "5"}, {"8 9 10 11 2"})};
  const auto step = contrast_step(records, {}, encoder, plain_options(2, 1, 1));
  TinyModel model;
  EXPECT_EQ(data_error_of([&] { step->prepare(model, 0, 0); }),
            "[hand.json: record 0 (id 'h')] paraphrases: none of the drawn texts has a predicted "
            "token, expected one of at least two tokens. Set data.append_eos, or remove the "
            "record.");
}

TEST(ContrastStep, EvaluationIsTheLossOfTheFirstTextsAsOneStep) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(4);
  const auto eval_records = tiny_records(3, /*seed=*/9);
  ContrastStepOptions options = tiny_step_options();
  options.groups_per_micro_batch = 2;
  const auto step = contrast_step(records, eval_records, encoder, options);
  TinyModel model(/*dropout=*/0.5);
  ASSERT_TRUE(step->has_evaluation());
  const auto result = step->evaluate(model);

  options.groups.shuffle = false;
  const auto fixed = contrast_step(eval_records, {}, encoder, options);
  EXPECT_FALSE(fixed->has_evaluation());
  const auto first = fixed->prepare(model, 0, 0);
  const auto second = fixed->prepare(model, 0, 1);
  const StepCounts counts{.groups = 3,
                          .positive_texts = 6,
                          .positive_tokens = first->info().counts.positive_tokens +
                                             second->info().counts.positive_tokens};
  const auto one = first->forward_backward(model, counts, {});
  const auto two = second->forward_backward(model, counts, {});
  EXPECT_NEAR(result.loss, one.loss + two.loss, 1e-9);
  EXPECT_NEAR(result.contrast.value(), *one.contrast + *two.contrast, 1e-9);

  const auto perplexity = [](const objectives::TextSums& a, const objectives::TextSums& b) {
    return std::exp((a.nll_sum + b.nll_sum) / static_cast<double>(a.tokens + b.tokens));
  };
  EXPECT_NEAR(result.sides.neutral.perplexity.value(), perplexity(one.positives, two.positives),
              1e-6);
  EXPECT_NEAR(result.sides.toxic.perplexity.value(),
              perplexity(one.hard_negatives, two.hard_negatives), 1e-6);
  EXPECT_EQ(result.sides.toxic.texts, 6);
  EXPECT_EQ(step->evaluate(model).loss, result.loss);
}

TEST(ContrastStep, EvaluationLeavesNoGradient) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  const auto step = contrast_step(records, records, encoder, tiny_step_options());
  TinyModel model;
  step->evaluate(model);
  for (const auto& parameter : model.trainable()) {
    EXPECT_FALSE(parameter.value.grad().defined()) << parameter.name;
  }
}

TEST(ContrastStep, EvaluationOfOneTargetGoesWithoutRandomNegatives) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(4);
  auto eval_records = tiny_records(3, /*seed=*/9);
  for (auto& one : eval_records) one.group = "held out";
  ContrastStepOptions options = tiny_step_options();
  options.groups.num_random_negatives = 2;
  const auto step = contrast_step(records, eval_records, encoder, options);
  TinyModel model;
  EXPECT_TRUE(std::isfinite(step->evaluate(model).loss));
}

}  // namespace contrast_step_test
}  // namespace cpx::training
