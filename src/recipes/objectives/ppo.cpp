// SPDX-License-Identifier: Apache-2.0
// Proximal policy optimization on sampled responses.
#include "objective.h"
#include "ppo_keys.h"
#include "prompt_data.h"

namespace cpx::recipes {

namespace {

class Ppo final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Ppo>(*this); }

  std::string_view name() const override { return "ppo"; }
  std::string_view doc() const override {
    return "Proximal policy optimization: sampled responses are scored by a classifier, and what "
           "scores well is made more probable (Schulman et al., arXiv 1707.06347); keys are named "
           "as in TRL";
  }

  void visit_fields(config::FieldVisitor& visit) override { keys_.step.visit_fields(visit); }

  void visit_sections(config::FieldVisitor& visit) override {
    visit.field("rollout", keys_.rollout, "What is sampled; of objective ppo alone");
    visit.field("reward", keys_.reward, "What responses are scored by; of objective ppo alone");
  }

  void check(const TrainConfig& config, ConfigFaults& faults) const override {
    check_rollout(config, faults);
    const RewardKeys& reward = keys_.reward;
    if (reward.model.has_value() == !reward.words.empty()) {
      faults.add("reward.model", "got {}, expected either a classifier or reward.words.",
                 reward.model ? "both" : "neither");
    }
    if (!reward.words.empty() &&
        reward.score.output == training::RewardOptions::Output::kProbability) {
      faults.add("reward.output", "got probability, expected logit: words are counted.");
    }
  }

  void look_for_notices(const TrainConfig& config, ConfigNotices& notices) const override {
    const training::PpoStepOptions& step = keys_.step;
    notices.add_idle(!step.kl.adap_kl_ctrl, {"objective.target", "objective.horizon"},
                     "objective.adap_kl_ctrl is false");
    notices.add_idle(!step.early_stopping, {"objective.target_kl"},
                     "objective.early_stopping is false");
    notices.add_idle(!step.scores.use_score_scaling, {"objective.use_score_norm"},
                     "objective.use_score_scaling is false");
    notices.add_idle(step.value_head.init != training::ValueHeadOptions::Init::kNormal,
                     {"objective.value_head_std"}, "only objective.value_head_init normal has it");
    const RolloutKeys& rollout = keys_.rollout;
    notices.add_idle(rollout.sampling.temperature == 0, {"rollout.top_k", "rollout.top_p"},
                     "rollout.temperature is 0");
    notices.add_idle(!rollout.stops_at_eos && !rollout.stop_token,
                     {"rollout.min_tokens_before_stop"}, "no token ends a response");
    notices.add_idle(!config.data.eval.empty(), {"rollout.held_out"}, "data.eval has the prompts");
    notices.add_idle(config.evaluation.every_steps == 0, {"rollout.evaluation"},
                     "evaluation.every_steps is 0");
  }

  // What it samples is new each time: nothing is kept of what the reference says.
  std::optional<ReferenceKeys> reference() const override { return ReferenceKeys{}; }

  std::optional<OwnModel> own_model() const override {
    return OwnModel{.section = "reward",
                    .key = "reward.model",
                    .shown = keys_.reward.model ? keys_.reward.model->string() : "words",
                    .path = keys_.reward.model,
                    .load = [this] { make_reward(keys_.reward, torch::kCPU); }};
  }

  bool has_scores() const override { return true; }
  bool holds_out() const override { return keys_.rollout.prompts.held_out > 0; }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    const RolloutKeys& rollout = keys_.rollout;
    const int64_t prompt_tokens =
        rollout.prompts.max_tokens > 0 ? rollout.prompts.max_tokens : config.data.max_tokens;
    return recipes::batch_bound(config.training.groups,
                                prompt_tokens + rollout.sampling.max_new_tokens);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    return prompt_run_data(config, keys_);
  }

 private:
  void check_rollout(const TrainConfig& config, ConfigFaults& faults) const {
    const RolloutKeys& rollout = keys_.rollout;
    const data::PromptOptions& prompts = rollout.prompts;
    const int64_t in_step = config.training.groups * config.training.accumulate;
    if (rollout.batch_size % in_step != 0) {
      faults.add("rollout.batch_size",
                 "got {}, expected a multiple of {} (training.groups {} x training.accumulate {}): "
                 "a step learns from one rollout.",
                 rollout.batch_size, in_step, config.training.groups, config.training.accumulate);
    }
    if (rollout.sampling.max_new_tokens < rollout.sampling.min_new_tokens) {
      faults.add("rollout.max_new_tokens", "got {}, expected at least {} (rollout.min_new_tokens).",
                 rollout.sampling.max_new_tokens, rollout.sampling.min_new_tokens);
    }
    if (prompts.max_tokens > 0 && prompts.max_tokens < prompts.min_tokens) {
      faults.add("rollout.max_prompt_tokens",
                 "got {}, expected at least {} (rollout.min_prompt_tokens), or 0.",
                 prompts.max_tokens, prompts.min_tokens);
    }
    if (rollout.prompt.find("{input}") == std::string::npos) {
      faults.add("rollout.prompt",
                 "got '{}', expected {{input}} in it, where a record's input goes.",
                 rollout.prompt);
    }
  }

  PpoKeys keys_;
};

}  // namespace

std::unique_ptr<Objective> make_ppo() { return std::make_unique<Ppo>(); }

}  // namespace cpx::recipes
