// SPDX-License-Identifier: Apache-2.0
// Prototype: contrastive perplexity around the input sentence.
#include "cpx/objectives/prototype.h"

#include "contrast_data.h"
#include "cpx/training/prototype_step.h"
#include "objective.h"

namespace cpx::recipes {

namespace {

class Prototype final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Prototype>(*this); }

  std::string_view name() const override { return "prototype"; }
  std::string_view doc() const override {
    return "Contrastive perplexity around the input sentence, on mean log-likelihoods scaled by "
           "length (the published LLaMA-2 script)";
  }

  void visit_fields(config::FieldVisitor& visit) override {
    visit.field("num_positives", groups_.num_positives, "Neutral texts drawn from each record",
                {.at_least = 1});
    visit.field("num_hard_negatives", groups_.num_hard_negatives,
                "Toxic texts drawn from the same record", {.at_least = 0});
    options_.visit_fields(visit);
    retain_.visit_fields(visit);
  }

  const RetainKeys* retain_keys() const override { return &retain_; }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    const int64_t texts = 1 + groups_.num_positives + groups_.num_hard_negatives;
    return group_batch_bound(config, texts, config.data.max_tokens, &retain_);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    const auto make_task = [options = options_](const training::GroupData& groups,
                                                const TaskContext& /*context*/) {
      return training::prototype_step(groups, options);
    };
    return contrast_run_data(config,
                             {.groups = groups_, .retain = &retain_, .make_task = make_task});
  }

 private:
  data::GroupOptions groups_ = {.num_positives = 2, .with_input = true};
  objectives::PrototypeOptions options_;
  RetainKeys retain_;
};

}  // namespace

std::unique_ptr<Objective> make_prototype() { return std::make_unique<Prototype>(); }

}  // namespace cpx::recipes
