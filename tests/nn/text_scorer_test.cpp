// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/text_scorer.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"
#include "tests/support/tensors.h"

namespace cpx::nn {
namespace text_scorer_test {

using testing_support::is_close;

// A scorer that is asked for its labels alone.
class NamedLabels : public TextScorer {
 public:
  NamedLabels(std::vector<std::string> labels, LabelKind kind)
      : labels_(std::move(labels)), kind_(kind) {}

  torch::Tensor logits(std::span<const std::string>) override { return {}; }
  const std::vector<std::string>& labels() const override { return labels_; }
  LabelKind label_kind() const override { return kind_; }
  int64_t max_tokens() const override { return 0; }

 private:
  std::vector<std::string> labels_;
  LabelKind kind_;
};

std::string label_error(const TextScorer& scorer, std::string_view label) {
  return testing_support::message_of<ConfigError>([&] { label_index(scorer, label); });
}

TEST(LabelIndex, IsFoundByNameOrNumber) {
  const NamedLabels scorer({"neutral", "toxic", "0"}, LabelKind::kOneOf);
  EXPECT_EQ(label_index(scorer, "toxic"), 1);
  EXPECT_EQ(label_index(scorer, "1"), 1);
  EXPECT_EQ(label_index(scorer, "0"), 2);  // a name comes before a number
}

TEST(LabelIndex, AnUnknownOneIsToldWithTheLabels) {
  const NamedLabels scorer({"neutral", "toxic"}, LabelKind::kOneOf);
  EXPECT_EQ(label_error(scorer, "toxik"),
            "[label] the classifier has no such label: got 'toxik', expected 0 to 1 or a name of "
            "neutral, toxic. Did you mean 'toxic'?");
  EXPECT_EQ(label_error(scorer, "2"),
            "[label] the classifier has no such label: got '2', expected 0 to 1 or a name of "
            "neutral, toxic.");
  EXPECT_EQ(label_error(scorer, "-1"),
            "[label] the classifier has no such label: got '-1', expected 0 to 1 or a name of "
            "neutral, toxic.");
}

TEST(LabelIndex, OfManyLabelsTheFirstAreListed) {
  std::vector<std::string> labels;
  for (int i = 0; i < 28; ++i) labels.push_back("emotion_" + std::to_string(i));
  const NamedLabels scorer(labels, LabelKind::kIndependent);
  EXPECT_EQ(label_error(scorer, "28"),
            "[label] the classifier has no such label: got '28', expected 0 to 27 or a name of "
            "emotion_0, emotion_1, emotion_2, emotion_3, emotion_4, emotion_5, emotion_6, "
            "emotion_7, emotion_8, emotion_9, emotion_10, emotion_11 and 16 more.");
}

// e^1 / (e^1 + e^0) = 1 / (1 + e^-1) = 0.73105857863.
TEST(LabelProbabilities, AreSoftmaxOrSigmoidByTheKindOfLabels) {
  const auto logits = at::tensor({0.0F, 1.0F, 2.0F, 2.0F}).view({2, 2});
  const NamedLabels one_of({"a", "b"}, LabelKind::kOneOf);
  EXPECT_TRUE(
      is_close(label_probabilities(one_of, logits),
               at::tensor({0.26894142137, 0.73105857863, 0.5, 0.5}, at::kDouble).view({2, 2})));
  const NamedLabels independent({"a", "b"}, LabelKind::kIndependent);
  EXPECT_TRUE(is_close(
      label_probabilities(independent, logits),
      at::tensor({0.5, 0.73105857863, 0.88079707798, 0.88079707798}, at::kDouble).view({2, 2})));
}

TEST(LabelProbabilities, ValuesHaveNone) {
  const NamedLabels scorer({"value"}, LabelKind::kValues);
  EXPECT_THROW(label_probabilities(scorer, at::zeros({1, 1})), ConfigError);
}

}  // namespace text_scorer_test
}  // namespace cpx::nn
