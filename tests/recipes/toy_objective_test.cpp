// SPDX-License-Identifier: Apache-2.0
// A new objective is one file and one row: this file is the one, `toy_table` holds the other.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/recipes/train.h"
#include "src/recipes/contrast_data.h"
#include "src/recipes/objective.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx::recipes {
namespace toy_objective_test {

// `weight` times the mean NLL of the positives' tokens.
class Toy final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Toy>(*this); }
  std::string_view name() const override { return "toy"; }
  std::string_view doc() const override { return "The positives' mean NLL, weighted"; }

  void visit_fields(config::FieldVisitor& visit) override {
    visit.field("num_positives", groups_.num_positives, "Neutral texts drawn from each record",
                {.at_least = 1});
    visit.field("weight", weight_, "Factor on the loss", {.above = 0});
  }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    return group_batch_bound(config, groups_.num_positives, config.data.max_tokens);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    const auto loss = [weight = weight_](const objectives::TextBatch& batch,
                                         const objectives::StepCounts& step) {
      objectives::ObjectiveResult result;
      const double share = weight / static_cast<double>(step.positive_tokens);
      for (const double nll : batch.token_nll) result.loss += share * nll;
      result.gradient.assign(batch.token_nll.size(), share);
      return result;
    };
    const auto make_task = [loss](const training::GroupData& groups, const TaskContext&) {
      return training::text_step("toy", groups, loss);
    };
    return contrast_run_data(config, {.groups = groups_, .make_task = make_task});
  }

 private:
  data::GroupOptions groups_ = {.num_hard_negatives = 0};
  double weight_ = 1.0;
};

ObjectiveTable toy_table() {
  ObjectiveTable table = objective_table();
  table.push_back([]() -> std::unique_ptr<Objective> { return std::make_unique<Toy>(); });
  return table;
}

const ObjectiveTable kTable = toy_table();

std::vector<std::string> overrides(const std::string& objective) {
  return {"objective={" + objective + "}", "evaluation.every_steps=0", "data.eval=[]",
          "training.max_steps=2",          "model.dtype=float32",      "adapter.dropout=0"};
}

// The losses of a run of two steps, by its metrics.
std::vector<double> losses_of(const std::string& objective) {
  const testing_support::ScratchFolder folder;
  TrainCommand command;
  command.objectives = &kTable;
  command.config = std::filesystem::path(CPX_SOURCE_DIR) / "configs" / "tiny" / "sft.yaml";
  command.overrides = overrides(objective);
  const std::string root = CPX_SOURCE_DIR;
  command.overrides.push_back("model.path=" + root + "/tests/fixtures/models/llama_gqa");
  command.overrides.push_back("data.train=[" + root + "/data/demo/train/*.json]");
  command.overrides.push_back("training.output=" + folder.path().string());
  EXPECT_EQ(run_train(command), 0);
  std::vector<double> losses;
  std::ifstream lines(folder.path() / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    if (json.contains("loss")) losses.push_back(json["loss"]);
  }
  return losses;
}

// The same texts as sft's, so the first loss is twice sft's; the second one is another, as the
// adapter was trained in between.
TEST(ToyObjective, OneFileAndOneRowTrain) {
  const auto toy = losses_of("name: toy, num_positives: 2, weight: 2");
  const auto sft = losses_of("name: sft, num_positives: 2");
  ASSERT_EQ(toy.size(), 2);
  ASSERT_EQ(sft.size(), 2);
  EXPECT_NEAR(toy[0], 2 * sft[0], 1e-6 * toy[0]);
  EXPECT_NE(toy[0], toy[1]);
}

TEST(ToyObjective, ItsKeysAreThoseOfTheConfig) {
  const char* const least =
      "model: {path: m}\ndata: {train: [d.json]}\ntraining: {output: out}\n"
      "objective: {name: toy, weight: 0}\n";
  EXPECT_THAT(testing_support::faults_of([&] { parse_train_config(least, "t.yaml", {}, kTable); }),
              testing::ElementsAre("[t.yaml:4] objective.weight: got '0', expected a number > 0."));
}

TEST(ToyObjective, OthersDoNotKnowIt) {
  const char* const least =
      "model: {path: m}\ndata: {train: [d.json]}\ntraining: {output: out}\n"
      "objective: {name: toy}\n";
  EXPECT_THROW(parse_train_config(least, "t.yaml"), ConfigError);
}

}  // namespace toy_objective_test
}  // namespace cpx::recipes
