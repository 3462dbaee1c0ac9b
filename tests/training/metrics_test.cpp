// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/metrics.h"

#include <cmath>
#include <gmock/gmock.h>
#include <limits>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"
#include "tiny_run.h"

namespace cpx::training {
namespace metrics_test {

using testing::HasSubstr;
using testing_support::message_of;

StepMetrics step_metrics(int64_t step) {
  StepMetrics metrics{.step = step,
                      .epoch = 0.5,
                      .learning_rate = 0.001,
                      .grad_norm = 0.25,
                      .tokens = 100,
                      .padded_tokens = 20,
                      .tokens_per_second = 50.0,
                      .cpu_seconds = 3.5,
                      .mfu = 0.5,
                      .peak_memory_mib = 2048.0,
                      .skipped_steps = 1};
  metrics.objective.loss = 75.5;
  metrics.objective.contrast = 0.5;
  metrics.objective.positives = {.texts = 2, .tokens = 10, .nll_sum = 0.0};
  return metrics;
}

TEST(Metrics, StepLineHasTheContractsKeysInOrder) {
  EXPECT_EQ(metrics_line(step_metrics(3)),
            "{\"step\":3,\"epoch\":0.5,\"loss\":75.5,\"learning_rate\":0.001,\"grad_norm\":0.25,"
            "\"tokens\":100,\"padded_tokens\":20,\"tokens_per_second\":50.0,\"cpu_seconds\":3.5,"
            "\"mfu\":0.5,\"peak_memory_mib\":2048.0,\"positive_perplexity\":1.0,\"contrast\":0.5,"
            "\"skipped_steps\":1}");
}

TEST(Metrics, WhatIsNotFiniteIsNullAndWhatHasNoMeaningIsLeftOut) {
  StepMetrics metrics = step_metrics(3);
  metrics.objective.loss = std::numeric_limits<double>::quiet_NaN();
  metrics.grad_norm = std::numeric_limits<double>::infinity();
  metrics.objective.contrast.reset();
  metrics.mfu.reset();
  const auto line = metrics_line(metrics);
  EXPECT_THAT(line, HasSubstr("\"loss\":null"));
  EXPECT_THAT(line, HasSubstr("\"grad_norm\":null"));
  EXPECT_THAT(line, testing::Not(HasSubstr("contrast")));
  EXPECT_THAT(line, testing::Not(HasSubstr("mfu")));
}

TEST(Metrics, EvaluationLineNamesBothSides) {
  EvaluationMetrics metrics{.step = 4, .epoch = 1.0, .result = {.loss = 75.25}, .seconds = 2.5};
  metrics.result.sides.toxic.perplexity = 30.0;
  metrics.result.sides.neutral.perplexity = 15.0;
  metrics.result.sides.ratio = 2.0;
  metrics.result.sides.separation = 0.75;
  EXPECT_EQ(metrics_line(metrics),
            "{\"step\":4,\"epoch\":1.0,\"eval_loss\":75.25,\"eval_toxic_perplexity\":30.0,"
            "\"eval_neutral_perplexity\":15.0,\"eval_ratio\":2.0,\"eval_separation\":0.75,"
            "\"eval_seconds\":2.5}");
}

TEST(Metrics, CutKeepsLinesUpToTheStepAndDropsATornOne) {
  const auto file = fresh_folder() / "metrics.jsonl";
  write_file_atomically(file,
                        "{\"step\":1}\n{\"step\":2}\n{\"step\":2,\"eval_loss\":1}\n"
                        "{\"step\":3}\n{\"step\":4,\"lo");
  cut_metrics(file, 2);
  EXPECT_EQ(read_text_file(file), "{\"step\":1}\n{\"step\":2}\n{\"step\":2,\"eval_loss\":1}\n");
  cut_metrics(file, 9);
  EXPECT_EQ(read_text_file(file), "{\"step\":1}\n{\"step\":2}\n{\"step\":2,\"eval_loss\":1}\n");
}

TEST(Metrics, CutOfAMissingFileDoesNothing) {
  const auto file = fresh_folder() / "metrics.jsonl";
  cut_metrics(file, 2);
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST(Metrics, CutNamesALineThatIsNoMetricsLine) {
  const auto file = fresh_folder() / "metrics.jsonl";
  write_file_atomically(file, "{\"step\":1}\nhello\n{\"step\":3}\n");
  EXPECT_EQ(message_of<DataError>([&] { cut_metrics(file, 2); }),
            "[" + file.string() +
                ": line 2] is no metrics line, expected a JSON object with an integer 'step'. "
                "Mend or remove the file.");
}

TEST(Metrics, LogAppendsLinesThatAreThereAtOnce) {
  const auto folder = fresh_folder();
  MetricsLog log(folder, /*step=*/0, /*with_tensorboard=*/true);
  log.add(step_metrics(1));
  EXPECT_EQ(read_text_file(folder / "metrics.jsonl"), metrics_line(step_metrics(1)) + "\n");
  log.add(EvaluationMetrics{.step = 1, .result = {.loss = 2.0}});
  EXPECT_EQ(repeatable_metrics(folder).size(), 2);
  EXPECT_FALSE(std::filesystem::is_empty(folder / "tensorboard"));
}

TEST(Metrics, LogThatGoesOnCutsTheStepsPastItsOwn) {
  const auto folder = fresh_folder();
  {
    MetricsLog log(folder, 0, false);
    for (int64_t step = 1; step <= 4; ++step) log.add(step_metrics(step));
  }
  MetricsLog log(folder, /*step=*/2, false);
  log.add(step_metrics(3));
  EXPECT_EQ(read_text_file(folder / "metrics.jsonl"), metrics_line(step_metrics(1)) + "\n" +
                                                          metrics_line(step_metrics(2)) + "\n" +
                                                          metrics_line(step_metrics(3)) + "\n");
}

// 4 * 1000 weights * 100 tokens in 2 s are 200000 FLOP/s, a fifth of a million.
TEST(Metrics, UtilisationCountsFourFlopsAWeightAndToken) {
  EXPECT_DOUBLE_EQ(model_flops_utilisation(1000, 100, 2.0, 1e6).value(), 0.2);
  EXPECT_EQ(model_flops_utilisation(1000, 100, 2.0, 0.0), std::nullopt);
}

TEST(Metrics, ProgressTellsLossSpeedUseAndMemory) {
  EXPECT_EQ(progress_detail(step_metrics(1)),
            "loss 75.5000  contrast 0.5000  50 tok/s  MFU 50 %  2048 MiB  1 skipped");
}

}  // namespace metrics_test
}  // namespace cpx::training
