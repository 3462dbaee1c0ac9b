// SPDX-License-Identifier: Apache-2.0
// Proximal policy optimization as a step task: prompts to sampled responses, to scores, to
// advantages, and several passes of clipped steps over them. Formulas: docs/objectives.md.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "cpx/data/prompts.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/objectives/ppo.h"
#include "cpx/objectives/ppo_rewards.h"
#include "cpx/tokenizer/tokenizer.h"
#include "cpx/training/reward_model.h"
#include "cpx/training/rollout.h"
#include "cpx/training/step_task.h"
#include "cpx/training/value_head.h"

namespace cpx::training {

/// How an evaluation samples its responses: the likeliest tokens, or as training does, always with
/// the same random numbers.
enum class EvaluationSampling { kGreedy, kSample };
constexpr std::array<std::string_view, 2> enum_names(EvaluationSampling) {
  return {"greedy", "sample"};
}

struct PpoStepOptions {
  RolloutOptions rollout = {};
  int64_t batch_size = 16;              // prompts of a rollout; an epoch's rest is left out
  int64_t prompts_per_micro_batch = 4;  // divides batch_size
  int64_t ppo_epochs = 1;               // passes over a rollout
  /// The prompt is part of the text that is scored.
  bool scores_prompt = false;
  objectives::ScoreOptions scores = {};
  objectives::KlPenalty kl_penalty = objectives::KlPenalty::kKl;
  objectives::KlOptions kl = {};
  objectives::AdvantageOptions advantages = {};
  objectives::PpoOptions objective = {};
  /// After a pass whose last micro batch moved the policy further than 1.5 target_kl, the rollout's
  /// other passes are skipped.
  bool early_stopping = false;
  double target_kl = 1.0;
  ValueHeadOptions value_head = {};
  EvaluationSampling evaluation = EvaluationSampling::kGreedy;
  ReferencePolicy reference = {};
  uint64_t seed = 0;  // of the order in which a pass visits a rollout's responses

  /// Names the config keys of the fields (see config/fields.h), but for those of the rollout.
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("ppo_epochs", ppo_epochs, "Passes over a rollout (published: 1)", {.at_least = 1});
    visit_kl(visit);
    visit.field("gamma", advantages.gamma, "Weight of the next token's value",
                {.at_least = 0, .at_most = 1});
    visit.field("lam", advantages.lam, "Lambda of the advantage estimation",
                {.at_least = 0, .at_most = 1});
    visit_loss(visit);
    visit.field("early_stopping", early_stopping,
                "Skips a rollout's other passes once the policy has moved by 1.5 target_kl");
    visit.field("target_kl", target_kl, "See early_stopping", {.above = 0});
    visit.field("whiten_rewards", advantages.whiten_rewards,
                "Scales the rewards of a rollout to deviation 1");
    visit_scores(visit);
    visit_value_head(visit);
  }

 private:
  template <class Visitor>
  void visit_kl(Visitor& visit) {
    visit.field("init_kl_coef", kl.init_kl_coef,
                "Weight of the divergence from the reference in the rewards, at the start",
                {.at_least = 0});
    visit.field("adap_kl_ctrl", kl.adap_kl_ctrl,
                "Moves that weight so that the divergence comes near target; false: it stays");
    visit.field("target", kl.target, "Divergence of a response that the controller aims at",
                {.above = 0});
    visit.field("horizon", kl.horizon, "Responses over which the controller acts", {.above = 0});
    visit.field("kl_penalty", kl_penalty,
                "Divergence of a token: kl, abs, mse and k3 estimate it by the sampled token, full "
                "takes the whole vocabulary");
  }

  template <class Visitor>
  void visit_loss(Visitor& visit) {
    visit.field("cliprange", objective.cliprange,
                "Range of the ratio of probabilities about 1 that is learned", {.above = 0});
    visit.field("cliprange_value", objective.cliprange_value,
                "The same of a value about the old one", {.above = 0});
    visit.field("vf_coef", objective.vf_coef, "Weight of the value loss", {.at_least = 0});
    visit.field("ratio_threshold", objective.ratio_threshold,
                "A micro batch whose mean ratio of probabilities lies above it is skipped",
                {.above = 0});
  }

  template <class Visitor>
  void visit_scores(Visitor& visit) {
    visit.field("use_score_scaling", scores.use_score_scaling,
                "Divides scores by the deviation of all scores so far");
    visit.field("use_score_norm", scores.use_score_norm,
                "With scaling: takes their mean away first");
    visit.field("score_clip", scores.score_clip,
                "Limits scores to +- this, last of all; null: no limit", {.above = 0});
    visit.field("missing_eos_penalty", scores.missing_eos_penalty,
                "Taken from the score of a response that no stop token ends; null: nothing",
                {.at_least = 0});
  }

  template <class Visitor>
  void visit_value_head(Visitor& visit) {
    visit.field("value_head_dropout", value_head.dropout,
                "Share of the value head's inputs that is dropped in training",
                {.at_least = 0, .below = 1});
    visit.field("value_head_init", value_head.init,
                "How the value head starts: linear as torch's layer, or normal without a bias");
    visit.field("value_head_std", value_head.init_std, "Deviation of the normal start",
                {.at_least = 0});
  }
};

/// Micro batches of a rollout, and rollouts of an epoch.
int64_t micro_batches_per_rollout(const PpoStepOptions& options);
int64_t rollouts_per_epoch(int64_t num_prompts, const PpoStepOptions& options);

/// PPO. Micro batch (epoch, index) belongs to rollout index / micro_batches_per_rollout of the
/// epoch's rollouts, and is part of one of its ppo_epochs passes, each in an order of its own. A
/// rollout is sampled when its first micro batch is prepared; an optimizer step must not reach from
/// one rollout into the next, so the micro batches of a rollout are a multiple of the trainer's
/// `accumulate`. The KL coefficient is updated once a rollout.
///
/// Figures of a step: reward_mean, reward_std, kl, kl_coef, non_score_reward, entropy,
/// response_tokens, stopped_share of its rollout; policy_loss, value_loss, clip_fraction,
/// value_clip_fraction, approx_kl, policy_kl, ratio, value, explained_variance of its tokens; and
/// skipped_micro_batches. A rollout's first step also tells sampling_seconds, scoring_seconds,
/// policy_seconds.
///
/// samples.jsonl in the run folder: one object a response: step, rollout (or evaluation: true),
/// prompt, response, score, kl, tokens.
///
/// Evaluation: responses to the evaluation prompts; its loss is -(mean score - kl_coef * mean KL).
class PpoStep : public StepTask {
 public:
  /// Prompts and tokenizer must outlive the object; `eval_prompts` may be empty. The model is asked
  /// for its sizes and device. Throws ConfigError for sizes that do not fit together, and DataError
  /// where the prompts are too few for one rollout, or too long for the model.
  PpoStep(const nn::CausalLm& model, const data::Prompts& prompts,
          std::span<const data::EncodedPrompt> eval_prompts, const tokenizer::Tokenizer& tokenizer,
          RewardModel reward, const PpoStepOptions& options);
  ~PpoStep() override;

  std::string name() const override { return "ppo"; }
  int64_t num_micro_batches() const override;
  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) override;
  bool has_evaluation() const override;
  EvaluationResult evaluate(nn::CausalLm& model) override;

  std::vector<nn::NamedParameter> trainable() const override;
  void begin_run(const std::filesystem::path& run_folder, int64_t step) override;
  std::vector<Figure> end_step(int64_t step) override;
  void write_weights(const std::filesystem::path& folder) const override;
  void write_state(const std::filesystem::path& folder) const override;
  void read_state(const std::filesystem::path& folder) override;

  /// The rollout that is being learned from, for tests and reports; its number is -1 before the
  /// first one.
  const Rollout& rollout() const;
  /// Coefficient of the KL penalty of the next rollout.
  double kl_coef() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cpx::training
