// SPDX-License-Identifier: Apache-2.0
// Transfer: the neutral input is learned as what follows a toxic text.
#include "cpx/objectives/transfer.h"

#include "contrast_data.h"
#include "cpx/training/transfer_step.h"
#include "objective.h"

namespace cpx::recipes {

namespace {

class Transfer final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Transfer>(*this); }

  std::string_view name() const override { return "transfer"; }
  std::string_view doc() const override {
    return "The neutral input is learned as what follows a toxic text, beside a contrast of such "
           "concatenations (the published sequence-to-sequence script)";
  }

  void visit_fields(config::FieldVisitor& visit) override {
    visit.field("num_positives", groups_.num_positives,
                "Neutral texts drawn from each record; as many toxic ones lead to the input",
                {.at_least = 1});
    visit.field("num_hard_negatives", groups_.num_hard_negatives,
                "Toxic texts drawn from the same record, each behind the input", {.at_least = 1});
    options_.visit_fields(visit);
    retain_.visit_fields(visit);
  }

  const RetainKeys* retain_keys() const override { return &retain_; }

  // Concatenations of two texts: see data::transfer_items().
  BatchSizes batch_bound(const TrainConfig& config) const override {
    const int64_t texts = 2 * groups_.num_positives + groups_.num_hard_negatives;
    return group_batch_bound(config, texts, 2 * config.data.max_tokens, &retain_);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    const auto items = [](const data::GroupTexts& texts, const data::TextEncoder& encoder) {
      return shown_items(data::transfer_items(texts, encoder));
    };
    const auto make_task = [options = options_](const training::GroupData& groups,
                                                const TaskContext& /*context*/) {
      return training::transfer_step(groups, options);
    };
    return contrast_run_data(
        config, {.groups = groups_, .retain = &retain_, .items = items, .make_task = make_task});
  }

 private:
  data::GroupOptions groups_ = {.num_positives = 3, .with_input = true};
  objectives::TransferOptions options_;
  RetainKeys retain_;
};

}  // namespace

std::unique_ptr<Objective> make_transfer() { return std::make_unique<Transfer>(); }

}  // namespace cpx::recipes
