// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/reward_model.h"

#include <cmath>
#include <gmock/gmock.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"

namespace cpx::training {
namespace reward_model_test {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using Output = RewardOptions::Output;
using Texts = std::vector<std::string>;
using testing_support::message_of;

// Scores a text of n bytes (n, -n, 1).
class LengthScorer : public nn::TextScorer {
 public:
  torch::Tensor logits(std::span<const std::string> texts) override {
    std::vector<float> values;
    for (const std::string& text : texts) {
      const auto length = static_cast<float>(text.size());
      values.insert(values.end(), {length, -length, 1.0F});
    }
    return at::tensor(values).view({std::ssize(texts), 3});
  }
  const std::vector<std::string>& labels() const override { return labels_; }
  LabelKind label_kind() const override { return LabelKind::kOneOf; }
  int64_t max_tokens() const override { return 512; }

 private:
  std::vector<std::string> labels_ = {"kind", "unkind", "other"};
};

std::string error_of(const std::function<void()>& action) {
  return message_of<ConfigError>([&] { action(); });
}

TEST(RewardModel, RewardsTheLogitOfAClassByIndexOrName) {
  const auto scorer = std::make_shared<LengthScorer>();
  const Texts texts = {"ab", "abcd"};
  EXPECT_THAT(RewardModel(scorer, {}).scores(texts), ElementsAre(2.0, 4.0));
  EXPECT_THAT(RewardModel(scorer, {.label = "1"}).scores(texts), ElementsAre(-2.0, -4.0));
  EXPECT_THAT(RewardModel(scorer, {.label = "unkind", .scale = -0.5}).scores(texts),
              ElementsAre(1.0, 2.0));
  EXPECT_THAT(RewardModel(scorer, {}).scores(Texts{}), ElementsAre());
}

// e^2 / (e^2 + e^-2 + e)
TEST(RewardModel, RewardsTheProbability) {
  const auto scorer = std::make_shared<LengthScorer>();
  const double sum = std::exp(2.0) + std::exp(-2.0) + std::exp(1.0);
  EXPECT_THAT(
      RewardModel(scorer, {.label = "kind", .output = Output::kProbability}).scores(Texts{"ab"}),
      ElementsAre(DoubleNear(std::exp(2.0) / sum, 1e-12)));
}

TEST(RewardModel, AnUnknownLabelIsNamed) {
  const auto scorer = std::make_shared<LengthScorer>();
  EXPECT_EQ(error_of([&] { RewardModel(scorer, {.label = "kindd"}); }),
            "[label] the classifier has no such label: got 'kindd', expected 0 to 2 or a name of "
            "kind, unkind, other. Did you mean 'kind'?");
  EXPECT_THAT(error_of([&] { RewardModel(scorer, {.label = "3"}); }),
              HasSubstr("got '3', expected 0 to 2"));
}

TEST(RewardModel, ValuesHaveNoProbability) {
  const auto scorer = std::make_shared<WordListScorer>(Texts{"tea"});
  EXPECT_EQ(
      error_of([&] { RewardModel(scorer, {.label = "listed", .output = Output::kProbability}); }),
      "[reward] the classifier gives values, not probabilities: ask for the logit.");
}

// "Tea" and "TEA" are listed, "teas" and "green" are others; "caf\xC3\xA9" is one word.
TEST(WordListScorer, CountsWords) {
  WordListScorer scorer(Texts{"tea", "caf\xC3\xA9"});
  const auto counts =
      scorer.logits(Texts{"Tea, teas; green-TEA!", "", "one caf\xC3\xA9 7"}).contiguous();
  const float* values = counts.const_data_ptr<float>();
  EXPECT_THAT(std::vector<float>(values, values + 6), ElementsAre(2, 2, 0, 0, 1, 2));
}

TEST(WordListScorer, ListsThatCannotBeUsedAreNamed) {
  EXPECT_EQ(error_of([] { WordListScorer{Texts{}}; }),
            "[word list] got no word, expected 1 or more.");
  EXPECT_EQ(error_of([] { WordListScorer(Texts{"green tea"}); }),
            "[word list] got 'green tea', expected one word of letters and digits.");
  EXPECT_EQ(error_of([] { WordListScorer(Texts{""}); }),
            "[word list] got '', expected one word of letters and digits.");
}

}  // namespace reward_model_test
}  // namespace cpx::training
