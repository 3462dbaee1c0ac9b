// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/supervised_step.h"

#include <cmath>
#include <gmock/gmock.h>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "step_check.h"

namespace cpx::training {
namespace supervised_step_test {

using data::SupervisedForm;
using data::SupervisedText;

// A text, a completion behind a prompt, and a conversation with two learned parts.
std::vector<SupervisedText> each_form() {
  return {{.text = "5 6 7 2", .where = "hand.txt: line 1"},
          {.form = SupervisedForm::kCompletion,
           .prompt = "8 9",
           .text = " 10 11 2",
           .where = "hand.json: record 1"},
          {.form = SupervisedForm::kMessages,
           .text = "20 21 22 23 24",
           .learned = {{3, 5}, {9, 14}},  // 21, and 23 24
           .frame = data::Frame::kRendered,
           .where = "hand.json: record 2"}};
}

SupervisedData data_of(const std::vector<SupervisedText>& texts,
                       const data::SupervisedEncoder& encoder, int64_t texts_per_micro_batch) {
  return {.train = texts,
          .eval = texts,
          .encoder = encoder,
          .texts_per_micro_batch = texts_per_micro_batch,
          .shuffle = false};
}

TEST(SupervisedStep, LossIsTheMeanNllOfThePredictedTokens) {
  const auto texts = each_form();
  const data::SupervisedEncoder encoder(number_encoder());
  const auto step = supervised_step(data_of(texts, encoder, 3));
  TinyModel model;
  EXPECT_EQ(step->name(), "sft");
  const auto micro_batch = step->prepare(model, 0, 0);
  EXPECT_EQ(micro_batch->info().counts.positive_texts, 3);
  EXPECT_EQ(micro_batch->info().counts.positive_tokens, 3 + 3 + 3);
  EXPECT_THAT(
      micro_batch->info().records,
      testing::ElementsAre("hand.txt: line 1", "hand.json: record 1", "hand.json: record 2"));
  const auto of_text = plain_token_nll(model, "5 6 7 2");
  const auto of_completion = plain_token_nll(model, "8 9 10 11 2");
  const auto of_chat = plain_token_nll(model, "20 21 22 23 24");
  const double sum = of_text[0] + of_text[1] + of_text[2] +                    //
                     of_completion[1] + of_completion[2] + of_completion[3] +  //
                     of_chat[0] + of_chat[2] + of_chat[3];
  EXPECT_NEAR(loss_of(model, *micro_batch), sum / 9.0, 1e-6);
}

TEST(SupervisedStep, GradientMatchesDifferences) {
  const auto texts = each_form();
  const data::SupervisedEncoder encoder(number_encoder());
  TinyModel model;
  const auto step = supervised_step(data_of(texts, encoder, 3));
  expect_gradient_matches_differences(model, *step->prepare(model, 0, 0));
}

TEST(SupervisedStep, MicroBatchesOfAStepAddUpToItsMean) {
  const auto texts = each_form();
  const data::SupervisedEncoder encoder(number_encoder());
  TinyModel model;
  const auto whole = supervised_step(data_of(texts, encoder, 3));
  const auto parts = supervised_step(data_of(texts, encoder, 1));
  EXPECT_EQ(parts->num_micro_batches(), 3);
  expect_parts_add_up(model, *whole, *parts);
}

TEST(SupervisedStep, EvaluationTellsThePerplexityAndNoSides) {
  const auto texts = each_form();
  const data::SupervisedEncoder encoder(number_encoder());
  TinyModel model;
  const auto step = supervised_step(data_of(texts, encoder, 2));
  const auto result = step->evaluate(model);
  EXPECT_NEAR(result.loss,
              loss_of(model, *supervised_step(data_of(texts, encoder, 3))->prepare(model, 0, 0)),
              1e-6);
  ASSERT_EQ(result.figures.size(), 1);
  EXPECT_EQ(result.figures[0].name, "perplexity");
  EXPECT_EQ(result.figures[0].value, std::exp(result.loss));
  EXPECT_FALSE(result.sides.neutral.perplexity.has_value());
  EXPECT_FALSE(result.sides.separation.has_value());
}

TEST(SupervisedStep, WithoutTextsThereIsNoEvaluation) {
  const auto texts = each_form();
  const data::SupervisedEncoder encoder(number_encoder());
  auto data = data_of(texts, encoder, 2);
  data.eval = {};
  EXPECT_FALSE(supervised_step(data)->has_evaluation());
}

TEST(SupervisedStep, WithoutAFullMicroBatchDropLastIsAnError) {
  const auto texts = each_form();
  const data::SupervisedEncoder encoder(number_encoder());
  auto data = data_of(texts, encoder, 4);
  data.drop_last = true;
  EXPECT_THAT(data_error_of([&] { supervised_step(data); }),
              testing::HasSubstr("data.drop_last leaves no micro batch: got 3"));
}

}  // namespace supervised_step_test
}  // namespace cpx::training
