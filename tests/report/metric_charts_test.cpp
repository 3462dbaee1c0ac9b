// SPDX-License-Identifier: Apache-2.0
#include "src/report/metric_charts.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

namespace cpx::report {
namespace metric_charts_test {

using testing::ElementsAre;

RunRecord run_with(const std::vector<std::string>& keys) {
  RunRecord run;
  for (const std::string& key : keys) {
    run.metrics.push_back({.key = key, .steps = {1, 2}, .values = {1.0, 2.0}});
  }
  return run;
}

std::vector<std::string> titles_of(const std::vector<MetricChart>& charts) {
  std::vector<std::string> titles;
  for (const MetricChart& chart : charts) titles.push_back(chart.title);
  return titles;
}

TEST(MetricCharts, KnownKeysComeInTheOrderOfTheTable) {
  const std::vector<RunRecord> runs = {run_with({"tokens_per_second", "hard_negative_perplexity",
                                                 "eval_loss", "loss", "positive_perplexity"})};
  const auto charts = charts_of(runs);
  EXPECT_THAT(titles_of(charts),
              ElementsAre("Loss", "Perplexity of the training texts", "Evaluation: loss", "Speed"));
  EXPECT_EQ(charts[1].keys.size(), 2U);
  EXPECT_EQ(charts[1].keys[0].title, "neutral");
}

TEST(MetricCharts, UnknownKeysStandBehindLearningAndBeforeTheMachine) {
  const std::vector<RunRecord> runs = {run_with({"my_figure", "peak_memory_mib", "loss"})};
  EXPECT_THAT(titles_of(charts_of(runs)), ElementsAre("Loss", "My figure", "Memory"));
}

TEST(MetricCharts, KeysOfAllRunsHaveACurve) {
  const std::vector<RunRecord> runs = {run_with({"loss"}), run_with({"contrast"})};
  EXPECT_THAT(titles_of(charts_of(runs)), ElementsAre("Loss", "Contrast"));
}

TEST(MetricCharts, AConstantIsSaidAndNotDrawn) {
  std::vector<RunRecord> runs = {run_with({"loss"})};
  runs[0].metrics.push_back({.key = "skipped_steps", .steps = {1, 2}, .values = {0.0, 0.0}});
  EXPECT_THAT(titles_of(charts_of(runs)), ElementsAre("Loss"));
  const auto constants = constant_keys(runs);
  ASSERT_EQ(constants.size(), 1U);
  EXPECT_EQ(constants[0].name, "Skipped steps");
  EXPECT_EQ(constants[0].text, "0");
}

TEST(MetricCharts, RunsWithConstantsOfTheirOwnHaveACurve) {
  std::vector<RunRecord> runs(2);
  runs[0].metrics.push_back({.key = "learning_rate", .steps = {1, 2}, .values = {0.1, 0.1}});
  runs[1].metrics.push_back({.key = "learning_rate", .steps = {1, 2}, .values = {0.2, 0.2}});
  EXPECT_THAT(titles_of(charts_of(runs)), ElementsAre("Learning rate"));
  EXPECT_TRUE(constant_keys(runs).empty());
}

}  // namespace metric_charts_test
}  // namespace cpx::report
