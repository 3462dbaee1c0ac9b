// SPDX-License-Identifier: Apache-2.0
// Contrastive perplexity: toxic texts are pushed from the neutral texts' perplexity.
#include "cpx/objectives/contrastive_perplexity.h"

#include "contrast_data.h"
#include "cpx/training/contrast_step.h"
#include "objective.h"

namespace cpx::recipes {

namespace {

// With this margin a random negative's weight, e^-alpha, is lost beside 1 in float32.
constexpr double kMarginWithoutGradient = 16.0;

class ContrastivePerplexity final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override {
    return std::make_unique<ContrastivePerplexity>(*this);
  }

  std::string_view name() const override { return "contrastive_perplexity"; }
  std::string_view doc() const override {
    return "Toxic texts are pushed from the neutral texts' perplexity (Klein and Nabi, ACL 2025)";
  }

  void visit_fields(config::FieldVisitor& visit) override {
    visit.field("num_positives", groups_.num_positives, "Neutral texts drawn from each record",
                {.at_least = 1});
    visit.field("num_hard_negatives", groups_.num_hard_negatives,
                "Toxic texts drawn from the same record", {.at_least = 0});
    visit.field("num_random_negatives", groups_.num_random_negatives,
                "Toxic texts drawn from other target groups (published: 6); at alpha 100 they get "
                "no gradient and only enter the loss's divisor",
                {.at_least = 0});
    options_.visit_fields(visit);
    retain_.visit_fields(visit);
  }

  void check(const TrainConfig& /*config*/, ConfigFaults& faults) const override {
    if (options_.beta == 0 && options_.anchor == 0 && options_.hold == 0) {
      faults.add("objective.beta",
                 "beta, anchor and hold are all 0, expected one > 0: nothing would be trained.");
    }
    if (is_npo()) {
      check_bounded_push(faults);
    } else if (is_paper()) {
      check_paper(faults);
    }
  }

  void look_for_notices(const TrainConfig& /*config*/, ConfigNotices& notices) const override {
    if (is_npo()) {
      look_for_notices_of_push(notices);
    } else {
      look_for_notices_of_scores(notices);
    }
    notices.add_idle(retain_.retain == 0 && !options_.needs_base(),
                     {"objective.base_cache", "objective.cache_base"},
                     "no log-likelihood of the base is asked for");
    notices.add_idle(options_.hold == 0, {"objective.hold_by"}, "objective.hold is 0");
  }

  const RetainKeys* retain_keys() const override { return &retain_; }
  bool needs_base() const override { return options_.needs_base(); }
  bool holds_distributions() const override { return options_.holds_distributions(); }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    const int64_t texts =
        groups_.num_positives + groups_.num_hard_negatives + groups_.num_random_negatives;
    return group_batch_bound(config, texts, config.data.max_tokens, &retain_);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    const auto make_task = [options = options_](const training::GroupData& groups,
                                                const TaskContext& context) {
      return training::contrast_step(groups, options, context.base_cache);
    };
    return contrast_run_data(config,
                             {.groups = groups_, .retain = &retain_, .make_task = make_task});
  }

 private:
  using Options = objectives::ContrastiveOptions;

  bool is_paper() const { return options_.form == Options::Form::kPaper; }
  bool is_npo() const { return options_.push == Options::Push::kNpo; }
  bool has_hard() const { return groups_.num_hard_negatives > 0; }
  bool has_negatives() const { return has_hard() || groups_.num_random_negatives > 0; }

  void check_bounded_push(ConfigFaults& faults) const {
    if (is_paper()) {
      faults.add("objective.form", "got paper beside push npo, expected code: npo has no scores.");
    }
    if (!has_negatives()) {
      faults.add("objective.num_hard_negatives",
                 "got 0 beside push npo and without random negatives, expected 1 or more: there "
                 "would be nothing to push.");
    }
  }

  void look_for_notices_of_push(ConfigNotices& notices) const {
    if (options_.anchor == 0 && options_.hold == 0 && retain_.retain == 0) {
      notices.add("objective.hold",
                  "with push npo and without hold, anchor and retain nothing keeps neutral text in "
                  "place.");
    }
    notices.add_idle(true,
                     {"objective.alpha", "objective.centroid", "objective.distance",
                      "objective.phi", "objective.label_smoothing", "objective.negative_weight"},
                     "objective.push npo has no scores");
  }

  void check_paper(ConfigFaults& faults) const {
    if (options_.centroid == Options::Centroid::kBatch) {
      faults.add("objective.centroid",
                 "got batch beside form paper, expected group or base: there each group has its "
                 "own.");
    }
    if (options_.label_smoothing > 0) {
      faults.add("objective.label_smoothing",
                 "got {} beside form paper, expected 0: it has no labels.",
                 options_.label_smoothing);
    }
    if (!has_negatives()) {
      faults.add("objective.num_hard_negatives",
                 "got 0 beside form paper and without random negatives, expected 1 or more: the "
                 "loss would be 0.");
    }
  }

  void look_for_notices_of_scores(ConfigNotices& notices) const {
    if (!is_paper() && groups_.num_random_negatives > 0 && has_hard() &&
        options_.alpha >= kMarginWithoutGradient) {
      notices.add("objective.num_random_negatives",
                  "at alpha {} random negatives get no gradient (their weight is e^-{}), they only "
                  "enter the loss's divisor.",
                  options_.alpha, options_.alpha);
    }
    if (!has_negatives()) {
      notices.add("objective.num_hard_negatives",
                  "without negatives the contrastive term only draws the positives together.");
    }
    notices.add_idle(!has_hard(), {"objective.alpha"}, "objective.num_hard_negatives is 0");
    notices.add_idle(true, {"objective.push_aim"}, "only objective.push npo has it");
    notices.add_idle(is_paper(), {"objective.alpha"}, "only objective.form code has it");
    notices.add_idle(!is_paper(), {"objective.negative_weight"},
                     "only objective.form paper has it");
    notices.add_idle(
        options_.beta == 0,
        {"objective.alpha", "objective.tau", "objective.label_smoothing", "objective.distance"},
        "objective.beta is 0");
  }

  data::GroupOptions groups_;
  Options options_;
  RetainKeys retain_;
};

}  // namespace

std::unique_ptr<Objective> make_contrastive_perplexity() {
  return std::make_unique<ContrastivePerplexity>();
}

}  // namespace cpx::recipes
