// SPDX-License-Identifier: Apache-2.0
// Cycle: instructions from toxic to neutral text and back.
#include "cpx/objectives/cycle.h"

#include "contrast_data.h"
#include "cpx/training/cycle_step.h"
#include "objective.h"

namespace cpx::recipes {

namespace {

class Cycle final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Cycle>(*this); }

  std::string_view name() const override { return "cycle"; }
  std::string_view doc() const override {
    return "Instructions from toxic to neutral text and back are learned, beside the contrast of "
           "the plain texts (the published cycle script)";
  }

  void visit_fields(config::FieldVisitor& visit) override {
    visit.field("num_positives", groups_.num_positives, "Neutral texts drawn from each record",
                {.at_least = 1});
    visit.field("num_hard_negatives", groups_.num_hard_negatives,
                "Toxic texts drawn from the same record", {.at_least = 1});
    options_.visit_fields(visit);
    retain_.visit_fields(visit);
  }

  const RetainKeys* retain_keys() const override { return &retain_; }

  // Plain texts and pairs: see data::cycle_items().
  BatchSizes batch_bound(const TrainConfig& config) const override {
    const bool is_of_pairs = options_.fine_tuning == training::CycleStepOptions::FineTuning::kPairs;
    const int64_t texts = 2 * (groups_.num_positives + groups_.num_hard_negatives) +
                          (is_of_pairs ? groups_.num_positives : 0);
    return group_batch_bound(config, texts, config.data.max_tokens, &retain_);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    const auto items = [fine_tuning = options_.fine_tuning](const data::GroupTexts& texts,
                                                            const data::TextEncoder& encoder) {
      return shown_items(training::used_cycle_items(texts, encoder, fine_tuning));
    };
    const auto make_task = [options = options_](const training::GroupData& groups,
                                                const TaskContext& /*context*/) {
      return training::cycle_step(groups, options);
    };
    return contrast_run_data(config, {.groups = groups_,
                                      .encodes_inputs = true,
                                      .retain = &retain_,
                                      .items = items,
                                      .make_task = make_task});
  }

 private:
  data::GroupOptions groups_;
  training::CycleStepOptions options_;
  RetainKeys retain_;
};

}  // namespace

std::unique_ptr<Objective> make_cycle() { return std::make_unique<Cycle>(); }

}  // namespace cpx::recipes
