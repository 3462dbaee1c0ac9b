// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/selection.h"

#include <limits>

#include <gtest/gtest.h>

namespace cpx::training {
namespace selection_test {

EvaluationResult result(double loss, std::optional<double> ratio,
                        std::optional<double> separation) {
  EvaluationResult result{.loss = loss, .contrast = std::nullopt, .sides = {}};
  result.sides.ratio = ratio;
  result.sides.separation = separation;
  return result;
}

TEST(Selection, LossIsBetterLowerTheOthersHigher) {
  EXPECT_TRUE(is_better(SelectionMetric::kLoss, 1.0, 2.0));
  EXPECT_FALSE(is_better(SelectionMetric::kLoss, 2.0, 2.0));
  EXPECT_TRUE(is_better(SelectionMetric::kSeparation, 0.9, 0.8));
  EXPECT_FALSE(is_better(SelectionMetric::kSeparation, 0.7, 0.8));
  EXPECT_TRUE(is_better(SelectionMetric::kRatio, 3.0, 2.0));
  EXPECT_TRUE(is_better(SelectionMetric::kRatio, 3.0, std::nullopt));
}

TEST(Selection, ValueIsNoneWhereItIsUndefinedOrNotFinite) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(metric_value(SelectionMetric::kRatio, result(1, std::nullopt, 0.5)), std::nullopt);
  EXPECT_EQ(metric_value(SelectionMetric::kLoss, result(infinity, 1, 1)), std::nullopt);
  EXPECT_EQ(metric_value(SelectionMetric::kSeparation, result(1, 2, 0.5)), 0.5);
}

TEST(Selection, BestCountsEvaluationsWithoutABetterOne) {
  BestSoFar best;
  EXPECT_TRUE(best.update(SelectionMetric::kLoss, result(3, {}, {}), 10));
  EXPECT_FALSE(best.update(SelectionMetric::kLoss, result(3, {}, {}), 20));
  EXPECT_FALSE(best.update(SelectionMetric::kLoss, result(4, {}, {}), 30));
  EXPECT_EQ(best.evaluations_without_better, 2);
  EXPECT_EQ(best.step, 10);
  EXPECT_TRUE(best.update(SelectionMetric::kLoss, result(2, {}, {}), 40));
  EXPECT_EQ(best.evaluations_without_better, 0);
  EXPECT_EQ(best.step, 40);
  EXPECT_EQ(best.value, 2.0);
}

TEST(Selection, EvaluationWithoutAValueIsNeverTheBest) {
  BestSoFar best;
  EXPECT_FALSE(best.update(SelectionMetric::kRatio, result(1, {}, {}), 10));
  EXPECT_EQ(best.value, std::nullopt);
  EXPECT_EQ(best.evaluations_without_better, 1);
}

TEST(Selection, NamesAreThoseOfTheConfig) {
  EXPECT_EQ(metric_name(SelectionMetric::kLoss), "loss");
  EXPECT_EQ(metric_name(SelectionMetric::kSeparation), "separation");
  EXPECT_EQ(metric_name(SelectionMetric::kRatio), "ratio");
}

}  // namespace selection_test
}  // namespace cpx::training
