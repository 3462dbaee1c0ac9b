// SPDX-License-Identifier: Apache-2.0
// Supervised fine-tuning: on the neutral texts of contrast records, or on ordinary data.
#include "contrast_data.h"
#include "cpx/training/sft_step.h"
#include "objective.h"
#include "supervised_data.h"

namespace cpx::recipes {

namespace {

class Sft final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Sft>(*this); }

  std::string_view name() const override { return "sft"; }
  std::string_view doc() const override {
    return "The mean negative log-likelihood of the neutral texts, or of texts, completions and "
           "what the assistant says in conversations, a token weighing the same everywhere";
  }

  void visit_fields(config::FieldVisitor& visit) override {
    visit.field("num_positives", groups_.num_positives,
                "Neutral texts drawn from each contrast record", {.at_least = 1});
  }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    return group_batch_bound(config, groups_.num_positives, config.data.max_tokens);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    const auto make_task = [](const training::GroupData& groups, const TaskContext& /*context*/) {
      return training::sft_step(groups);
    };
    return supervised_run_data(
        config, contrast_run_data(config, {.groups = groups_, .make_task = make_task}));
  }

 private:
  data::GroupOptions groups_ = {.num_hard_negatives = 0};
};

}  // namespace

std::unique_ptr<Objective> make_sft() { return std::make_unique<Sft>(); }

}  // namespace cpx::recipes
