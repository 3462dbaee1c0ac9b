// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/safety_intervals.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::evaluation {
namespace safety_intervals_test {

SafetyItem item(bool is_hate, std::optional<double> perplexity,
                std::vector<std::string> groups = {"g"}) {
  return {.is_hate = is_hate, .target_groups = std::move(groups), .perplexity = perplexity};
}

SafetyIntervals intervals_of(const std::vector<SafetyItem>& items,
                             const BootstrapOptions& options = {}) {
  const std::vector<std::vector<SafetyItem>> models = {items};
  return safety_intervals(models, SafetyScaling::kBoth, options).at(0);
}

void expect_interval(const std::optional<Interval>& interval, double low, double high) {
  ASSERT_TRUE(interval.has_value());
  EXPECT_NEAR(interval->low, low, 1e-12);
  EXPECT_NEAR(interval->high, high, 1e-12);
}

// Hate 1 and 3, neutral 2 and 2: a resample's score is 0, 1/2 or 1 with shares 1/4, 1/2, 1/4. A
// tail of 1/8 ends in the extremes, one of 3/10 in the middle.
TEST(SafetyIntervals, AreThoseOfTheResamplesDistribution) {
  const std::vector<SafetyItem> items = {item(true, 1.0), item(false, 2.0), item(true, 3.0),
                                         item(false, 2.0), item(true, std::nullopt)};
  expect_interval(intervals_of(items, {.level = 0.75}).scores.groups.at("g"), 0.0, 1.0);
  expect_interval(intervals_of(items, {.level = 0.4}).scores.groups.at("g"), 0.5, 0.5);
}

TEST(SafetyIntervals, EqualPerplexitiesAreTies) {
  const std::vector<SafetyItem> items = {item(true, 2.0), item(false, 2.0), item(true, 2.0),
                                         item(false, 2.0)};
  expect_interval(intervals_of(items).scores.groups.at("g"), 0.5, 0.5);
}

// Under the second model all hate lies above all neutral text, under the first below: the
// difference is 1 in every resample, of groups and average.
TEST(SafetyIntervals, DifferencesArePaired) {
  std::vector<std::vector<SafetyItem>> models(2);
  for (int i = 0; i < 8; ++i) {
    for (const bool is_hate : {true, false}) {
      models[0].push_back(item(is_hate, (is_hate ? 1.0 : 100.0) + i, {"a", "b"}));
      models[1].push_back(item(is_hate, (is_hate ? 100.0 : 1.0) + i, {"a", "b"}));
    }
  }
  const auto intervals = safety_intervals(models, SafetyScaling::kBoth, {.resamples = 100});
  expect_interval(intervals[1].changes.groups.at("a"), 1.0, 1.0);
  expect_interval(intervals[1].changes.average, 1.0, 1.0);
  expect_interval(intervals[0].scores.average, 0.0, 0.0);
  EXPECT_EQ(intervals[0].changes.average, std::nullopt);
}

TEST(SafetyIntervals, WhatHasNoScoreHasNone) {
  const std::vector<SafetyItem> items = {item(true, 1.0), item(true, 2.0), item(false, 1.5, {"h"}),
                                         item(false, 1.7, {"h"})};
  const SafetyScoreIntervals scores = intervals_of(items).scores;
  EXPECT_EQ(scores.groups.at("g"), std::nullopt);
  EXPECT_EQ(scores.groups.at("h"), std::nullopt);
  EXPECT_EQ(scores.average, std::nullopt);
}

TEST(SafetyIntervals, RefusesNoResampleAndModelsOfOtherItems) {
  EXPECT_EQ(testing_support::message_of<std::invalid_argument>(
                [] { intervals_of({item(true, 1.0)}, {.resamples = 0}); }),
            "[safety_intervals] got 0 resamples, expected at least 1.");
  const std::vector<std::vector<SafetyItem>> models = {{item(true, 1.0)}, {}};
  EXPECT_EQ(testing_support::message_of<std::invalid_argument>(
                [&] { safety_intervals(models, SafetyScaling::kBoth, {}); }),
            "[safety_intervals] got 0 items, expected 1 as of the first model.");
}

}  // namespace safety_intervals_test
}  // namespace cpx::evaluation
