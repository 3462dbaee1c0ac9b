// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/choice_report.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace cpx::evaluation {
namespace choice_report_test {

using Json = nlohmann::json;

std::vector<RequestScore> scores_of(const std::vector<double>& log_likelihoods) {
  std::vector<RequestScore> scores;
  for (const double value : log_likelihoods) scores.push_back({.log_likelihood = value});
  return scores;
}

// A document of two choices, the first of which is right.
ChoiceDocument two_choices(const std::string& subject = "") {
  return {.lengths = {2, 2}, .gold = 0, .subject = subject};
}

const std::vector<RequestScore> kRight = scores_of({-1.0, -2.0});
const std::vector<RequestScore> kWrong = scores_of({-2.0, -1.0});

TaskFigures piqa_figures(const DocumentScores& scores, const DocumentScores* first = nullptr) {
  const std::vector<ChoiceDocument> documents(scores.size(), two_choices());
  return task_figures(*find_choice_task("piqa").task, "piqa", documents, scores, first);
}

TEST(TaskFigures, HaveMeanAndError) {
  const TaskFigures figures = piqa_figures({kRight, kWrong, kRight, kRight});
  EXPECT_EQ(figures.num_documents, 4);
  ASSERT_EQ(figures.metrics.size(), 2);
  EXPECT_EQ(figures.metrics[0].name, "acc");
  EXPECT_EQ(figures.metrics[0].value, 0.75);
  EXPECT_NEAR(*figures.metrics[0].error, 0.25, 1e-12);
  EXPECT_EQ(figures.metrics[1].name, "acc_norm");
}

TEST(TaskFigures, CountDocumentsWithoutANumber) {
  const auto broken = scores_of({std::numeric_limits<double>::quiet_NaN(), -1.0});
  EXPECT_EQ(piqa_figures({kRight, broken}).num_not_finite, 1);
}

// Anatomy and virology are of two categories, astronomy is of anatomy's.
TaskFigures mmlu_figures() {
  const std::vector<ChoiceDocument> documents = {two_choices("anatomy"),   two_choices("anatomy"),
                                                 two_choices("astronomy"), two_choices("astronomy"),
                                                 two_choices("astronomy"), two_choices("virology"),
                                                 two_choices("virology")};
  const DocumentScores scores = {kRight, kWrong, kRight, kRight, kWrong, kWrong, kRight};
  return task_figures(*find_choice_task("mmlu").task, "mmlu", documents, scores, nullptr);
}

TEST(TaskFigures, MmluIsPooledOverSubjects) {
  const TaskFigures figures = mmlu_figures();
  EXPECT_NEAR(figures.metrics[0].value, 4.0 / 7.0, 1e-12);
  // Subjects of 2, 3 and 2: variances 1/2, 1/3, 1/2 of the values, over 7 - 3 and 7.
  const double pooled = (1 * 0.5 + 2 * (1.0 / 3.0) + 1 * 0.5) / 4.0;
  EXPECT_NEAR(*figures.metrics[0].error, std::sqrt(pooled / 7.0), 1e-12);
  ASSERT_EQ(figures.parts.size(), 2);
  EXPECT_EQ(figures.parts[0].name, "stem");
  EXPECT_EQ(figures.parts[0].num_documents, 5);
  EXPECT_NEAR(figures.parts[0].metrics[0].value, 0.6, 1e-12);
  ASSERT_EQ(figures.parts[0].parts.size(), 2);
  EXPECT_EQ(figures.parts[0].parts[1].name, "astronomy");
  EXPECT_EQ(figures.parts[1].name, "other");
}

std::vector<ChoiceReport> two_reports() {
  const DocumentScores base = {kRight, kWrong, kRight, kWrong};
  const DocumentScores adapted = {kRight, kRight, kRight, kWrong};
  ChoiceReport first{.model = "m.gguf",
                     .origin = {.model_fingerprint = "1 bytes, a", .settings = {{"shots", 0L}}},
                     .tasks = {piqa_figures(base)},
                     .seconds = 1.5};
  ChoiceReport second = first;
  second.adapter = "run/best";
  second.tasks = {piqa_figures(adapted, &base)};
  return {first, second};
}

TEST(ChoiceReportJson, HasKindSettingsAndFigures) {
  const auto reports = two_reports();
  const Json json = Json::parse(choice_report_json(std::span(reports).first(1)));
  EXPECT_EQ(json.at("kind"), "choice");
  EXPECT_EQ(json.at("model"), "m.gguf");
  EXPECT_TRUE(json.at("adapter").is_null());
  EXPECT_EQ(json.at("model_fingerprint"), "1 bytes, a");
  EXPECT_EQ(json.at("settings").at("shots"), 0);
  EXPECT_EQ(json.at("definitions"), "as in lm-evaluation-harness 0.4.13");
  const Json& task = json.at("tasks").at(0);
  EXPECT_EQ(task.at("task"), "piqa");
  EXPECT_EQ(task.at("documents"), 4);
  EXPECT_EQ(task.at("acc"), 0.5);
  EXPECT_NEAR(task.at("acc_stderr").get<double>(), std::sqrt(1.0 / 12.0), 1e-12);
  EXPECT_FALSE(task.contains("acc_difference"));
}

TEST(ChoiceReportJson, SeveralAreAListThatComparesWithTheFirst) {
  const Json json = Json::parse(choice_report_json(two_reports()));
  ASSERT_EQ(json.size(), 2);
  const Json& task = json.at(1).at("tasks").at(0);
  EXPECT_EQ(json.at(1).at("adapter"), "run/best");
  EXPECT_EQ(task.at("acc_difference"), 0.25);
  EXPECT_EQ(task.at("acc_p_value"), 1.0);
  EXPECT_LE(task.at("acc_difference_interval").at("low").get<double>(), 0.0);
  EXPECT_GE(task.at("acc_difference_interval").at("high").get<double>(), 0.5);
}

TEST(ChoiceReportJson, GroupsHoldTheirSubjects) {
  ChoiceReport report{.model = "m", .tasks = {mmlu_figures()}};
  const Json task = Json::parse(choice_report_json(std::span(&report, 1))).at("tasks").at(0);
  EXPECT_EQ(task.at("groups").at(0).at("group"), "stem");
  EXPECT_EQ(task.at("groups").at(0).at("subjects").at(0).at("subject"), "anatomy");
  EXPECT_EQ(task.at("groups").at(0).at("subjects").at(0).at("acc"), 0.5);
}

TEST(ChoiceReportTable, SetsBaseAndAdapterSideBySide) {
  EXPECT_EQ(choice_report_table(two_reports()),
            "base       m.gguf\n"
            "adapter    m.gguf + run/best\n"
            "figures    as in lm-evaluation-harness 0.4.13\n"
            "\n"
            "task                  documents  metric                          base             "
            "adapter           difference [95 %]         p\n"
            "piqa                          4  acc                 0.5000 +- 0.2887    0.7500 +- "
            "0.2500  +0.2500 [+0.0000, +0.7500]    1.0000\n"
            "                                 acc_norm            0.5000 +- 0.2887    0.7500 +- "
            "0.2500  +0.2500 [+0.0000, +0.7500]    1.0000\n");
}

TEST(ChoiceReportTable, TellsDocumentsWithoutANumber) {
  const auto broken = scores_of({std::numeric_limits<double>::quiet_NaN(), -1.0});
  ChoiceReport report{.model = "m", .tasks = {piqa_figures({kRight, broken})}};
  EXPECT_NE(choice_report_table(std::span(&report, 1))
                .find("base: a log-likelihood of 1 documents is no number\n"),
            std::string::npos);
}

}  // namespace choice_report_test
}  // namespace cpx::evaluation
