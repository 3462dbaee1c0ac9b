// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/train_config.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "cpx/config/print.h"
#include "cpx/core/error.h"
#include "cpx/core/text.h"

namespace cpx::recipes {

using config::FieldVisitor;

// ---- the keys ----------------------------------------------------------------------------------

void ModelOptions::visit_fields(FieldVisitor& visit) {
  visit.field(
      "path", path,
      "Folder of a Hugging Face model, a .gguf file, or owner/name[@revision] of the Hugging Face "
      "cache",
      {.required = true});
  visit.field(
      "dtype", dtype,
      "Type that is computed in; auto measures the CPU, or takes bfloat16 on a GPU; float16 "
      "is refused for training");
  visit.field("quantization", quantization,
              "Of the frozen base weights; only none in this version");
  visit.field("double_quantization", double_quantization,
              "Quantizes the quantization's own constants too; only false in this version");
}

void AdapterOptions::visit_fields(FieldVisitor& visit) {
  visit.field("rank", rank, "Rank of the LoRA matrices: more of it learns more and costs memory",
              {.at_least = 1});
  visit.field("alpha", alpha, "Scale of the adapter: its output is multiplied by alpha / rank",
              {.above = 0});
  visit.field("dropout", dropout, "Share of the adapter's inputs that is dropped in training",
              {.at_least = 0, .below = 1});
  visit.field(
      "target_modules", target_modules,
      "Linear layers that get an adapter: ends of their names (lm_head too), or all-linear: "
      "all but lm_head",
      {.non_empty = true, .instead_of_list = kAllLinear});
  visit.field("rslora", rslora, "Multiplies by alpha / sqrt(rank) instead");
  visit.field("init_from", init_from,
              "A PEFT folder, or owner/name of the cache, to go on from; rank, alpha, rslora and "
              "target_modules come from it");
}

void DataOptions::visit_fields(FieldVisitor& visit) {
  visit.field("train", train,
              "Files to train on; * and ? stand for any characters of the file name",
              {.required = true, .non_empty = true, .is_path = true});
  visit.field("eval", eval, "Files to evaluate on; none: no evaluation, and no best/",
              {.is_path = true});
  visit.field("retain", retain,
              "Files of plain texts (a text a line; JSON texts, or objects with text) that are "
              "held where the base has them; objective.retain is their weight",
              {.is_path = true});
  visit.field("template", text_template,
              "Form that texts are put in: plain as they are; chat is the model's own");
  visit.field("append_eos", append_eos, "Ends each text that was not cut by the EOS token");
  visit.field("max_tokens", max_tokens, "Longer texts are cut to this many tokens",
              {.at_least = 2});
  visit.field(
      "shuffle", shuffle,
      "Order and texts drawn anew each epoch; false: file order and a record's first texts");
  visit.field("drop_last", drop_last,
              "Leaves out an epoch's last micro batch when it is not full (published: true)");
}

void RetainKeys::visit_fields(FieldVisitor& visit) {
  visit.field("retain", retain,
              "Weight of the squared distance of the texts in data.retain from the base's token "
              "log-likelihoods: keeps other text as it is (published: 0)",
              {.at_least = 0});
  visit.field("retain_texts", retain_texts, "Texts of data.retain beside each micro batch",
              {.at_least = 1});
  visit.field("cache_base", cache_base,
              "Keeps what the base says of texts on disk: later runs read it",
              {.free_on_resume = true});
  visit.field("base_cache", base_cache,
              "File of the cache, which several runs may share; null: base_nll.bin in "
              "training.output",
              {.free_on_resume = true});
}

void ContrastivePerplexityOptions::visit_fields(FieldVisitor& visit) {
  visit.field("num_positives", num_positives, "Neutral texts drawn from each record",
              {.at_least = 1});
  visit.field("num_hard_negatives", num_hard_negatives, "Toxic texts drawn from the same record",
              {.at_least = 0});
  visit.field("num_random_negatives", num_random_negatives,
              "Toxic texts drawn from other target groups (published: 6); at alpha 100 they get no "
              "gradient and only enter the loss's divisor",
              {.at_least = 0});
  visit.field("alpha", alpha, "Margin added to the logits of hard negatives", {.at_least = 0});
  visit.field("beta", beta, "Weight of the contrastive term", {.at_least = 0});
  visit.field("tau", tau, "Divides the scores: smaller is sharper", {.above = 0});
  visit.field("label_smoothing", label_smoothing, "Share of the label spread over all texts",
              {.at_least = 0, .below = 1});
  visit.field(
      "padding", padding,
      "exclude: own tokens only; published: the pad tokens in front count in a text's mean");
  visit.field(
      "centroid", centroid,
      "What texts are compared with: the positives' mean of the micro batch (published), of "
      "the group, or under the frozen base");
  visit.field("distance", distance,
              "absolute (published); signed: a negative's score falls only as it becomes less "
              "probable than the centroid");
  visit.field("anchor", anchor,
              "Weight of the positives' mean negative log-likelihood (published: 0)",
              {.at_least = 0});
  visit.field("hold", hold,
              "Weight of the positives' squared distance from the base's token log-likelihoods: "
              "keeps neutral text as it is (published: 0)",
              {.at_least = 0});
  base.visit_fields(visit);
}

void PrototypeOptions::visit_fields(FieldVisitor& visit) {
  visit.field("num_positives", num_positives, "Neutral texts drawn from each record",
              {.at_least = 1});
  visit.field("num_hard_negatives", num_hard_negatives, "Toxic texts drawn from the same record",
              {.at_least = 0});
  visit.field("longest", longest,
              "Whose longest text the mean log-likelihoods are scaled by: the micro batch's "
              "(published) or the group's");
  base.visit_fields(visit);
}

void TransferOptions::visit_fields(FieldVisitor& visit) {
  visit.field("num_positives", num_positives,
              "Neutral texts drawn from each record; as many toxic ones lead to the input",
              {.at_least = 1});
  visit.field("num_hard_negatives", num_hard_negatives,
              "Toxic texts drawn from the same record, each behind the input", {.at_least = 1});
  visit.field("alpha", alpha, "Weight of the contrast", {.at_least = 0});
  base.visit_fields(visit);
}

void CycleOptions::visit_fields(FieldVisitor& visit) {
  visit.field("num_positives", num_positives, "Neutral texts drawn from each record",
              {.at_least = 1});
  visit.field("num_hard_negatives", num_hard_negatives, "Toxic texts drawn from the same record",
              {.at_least = 1});
  visit.field("fine_tuning", fine_tuning,
              "What is learned: texts are both kinds of instruction pairs, toxic and neutral "
              "texts; pairs are instruction pairs alone");
  visit.field("alpha", alpha, "Weight of the contrast", {.at_least = 0});
  visit.field("label_smoothing", label_smoothing,
              "Share of the contrast's label spread over all texts", {.at_least = 0, .below = 1});
  visit.field("centroid", centroid,
              "What texts are compared with: the positives' mean of the micro batch (published) or "
              "of the group");
  base.visit_fields(visit);
}

void SftOptions::visit_fields(FieldVisitor& visit) {
  visit.field("num_positives", num_positives, "Neutral texts drawn from each record",
              {.at_least = 1});
}

void PreferenceKeys::visit_fields(FieldVisitor& visit) {
  visit.field("prompt", prompt,
              "What a record's input becomes a prompt by, at {input} (published: this one); files "
              "of pairs may have prompts of their own");
  visit.field("pairs_per_group", pairs_per_group,
              "At most so many pairs of a prompt in an epoch; 0: every pairing of its answers",
              {.at_least = 0});
  visit.field("rejected_per_chosen", rejected_per_chosen,
              "Rejected answers in a pair; 0: all of the prompt", {.at_least = 0});
  visit.field("max_prompt_tokens", max_prompt_tokens,
              "A longer prompt loses its beginning; 0: no limit but data.max_tokens",
              {.at_least = 0});
  visit.field("share_prompts", share_prompts,
              "Computes a pair's prompt once for all its answers: less time and memory, the same "
              "numbers");
}

void DpoOptions::visit_fields(FieldVisitor& visit) {
  visit.field("loss", loss,
              "sigmoid (published), hinge, ipo (by mean log-probabilities), or robust: sigmoid "
              "unbiased by labels that are flipped as often as label_smoothing");
  visit.field("beta", beta, "Smaller values let the policy go further from the reference",
              {.above = 0});
  visit.field("label_smoothing", label_smoothing,
              "How often a preference is taken to be the wrong way round (sigmoid, robust)",
              {.at_least = 0, .below = 0.5});
  preferences.visit_fields(visit);
  visit.field("reference_adapter", reference_adapter,
              "A PEFT folder, or owner/name of the cache, that makes the reference; null: the "
              "adapter as it starts, which is "
              "the base model for a fresh one");
  visit.field("cache_reference", cache_reference,
              "Keeps the reference's log-probabilities on disk: later epochs and runs read them",
              {.free_on_resume = true});
  visit.field("reference_cache", reference_cache,
              "File of the cache, which several runs may share; null: reference_nll.bin in "
              "training.output",
              {.free_on_resume = true});
}

void SimpoOptions::visit_fields(FieldVisitor& visit) {
  visit.field("loss", loss, "sigmoid (published) or hinge");
  visit.field("beta", beta, "Scale of the mean log-probabilities", {.above = 0});
  visit.field("gamma_beta_ratio", gamma_beta_ratio,
              "Margin by which a chosen answer is to lead, over beta", {.at_least = 0});
  visit.field("label_smoothing", label_smoothing,
              "How often a preference is taken to be the wrong way round (sigmoid)",
              {.at_least = 0, .below = 0.5});
  visit.field("sft_weight", sft_weight,
              "Weight of the chosen answers' mean negative log-likelihood", {.at_least = 0});
  preferences.visit_fields(visit);
}

void PpoOptions::visit_fields(FieldVisitor& visit) {
  visit.field("ppo_epochs", ppo_epochs, "Passes over a rollout (published: 1)", {.at_least = 1});
  visit.field("init_kl_coef", init_kl_coef,
              "Weight of the divergence from the reference in the rewards, at the start",
              {.at_least = 0});
  visit.field("adap_kl_ctrl", adap_kl_ctrl,
              "Moves that weight so that the divergence comes near target; false: it stays");
  visit.field("target", target, "Divergence of a response that the controller aims at",
              {.above = 0});
  visit.field("horizon", horizon, "Responses over which the controller acts", {.above = 0});
  visit.field("kl_penalty", kl_penalty,
              "Divergence of a token: kl, abs, mse and k3 estimate it by the sampled token, full "
              "takes the whole vocabulary");
  visit.field("gamma", gamma, "Weight of the next token's value", {.at_least = 0, .at_most = 1});
  visit.field("lam", lam, "Lambda of the advantage estimation", {.at_least = 0, .at_most = 1});
  visit.field("cliprange", cliprange, "Range of the ratio of probabilities about 1 that is learned",
              {.above = 0});
  visit.field("cliprange_value", cliprange_value, "The same of a value about the old one",
              {.above = 0});
  visit.field("vf_coef", vf_coef, "Weight of the value loss", {.at_least = 0});
  visit.field("ratio_threshold", ratio_threshold,
              "A micro batch whose mean ratio of probabilities lies above it is skipped",
              {.above = 0});
  visit.field("early_stopping", early_stopping,
              "Skips a rollout's other passes once the policy has moved by 1.5 target_kl");
  visit.field("target_kl", target_kl, "See early_stopping", {.above = 0});
  visit.field("whiten_rewards", whiten_rewards, "Scales the rewards of a rollout to deviation 1");
  visit.field("use_score_scaling", use_score_scaling,
              "Divides scores by the deviation of all scores so far");
  visit.field("use_score_norm", use_score_norm, "With scaling: takes their mean away first");
  visit.field("score_clip", score_clip, "Limits scores to +- this, last of all; null: no limit",
              {.above = 0});
  visit.field("missing_eos_penalty", missing_eos_penalty,
              "Taken from the score of a response that no stop token ends; null: nothing",
              {.at_least = 0});
  visit.field("value_head_dropout", value_head_dropout,
              "Share of the value head's inputs that is dropped in training",
              {.at_least = 0, .below = 1});
  visit.field("value_head_init", value_head_init,
              "How the value head starts: linear as torch's layer, or normal without a bias");
  visit.field("value_head_std", value_head_std, "Deviation of the normal start", {.at_least = 0});
}

void RolloutOptions::visit_fields(FieldVisitor& visit) {
  visit.field("prompt", prompt,
              "What a record's input becomes a prompt by, at {input}; files of prompts may have "
              "prompts of their own");
  visit.field("append_rejected", append_rejected,
              "Goes on with a toxic paraphrase, without a blank between (published: true)");
  visit.field("min_prompt_tokens", min_prompt_tokens, "Shorter texts are left out",
              {.at_least = 1});
  visit.field("max_prompt_tokens", max_prompt_tokens,
              "Texts are cut to a number of tokens drawn from min_prompt_tokens to it; 0: not cut",
              {.at_least = 0});
  visit.field("held_out", held_out,
              "Part of the prompts that is evaluated on where there is no data.eval",
              {.at_least = 0, .below = 1});
  visit.field("batch_size", batch_size,
              "Prompts of a rollout: a multiple of training.groups x training.accumulate",
              {.at_least = 1});
  visit.field("temperature", temperature, "Of the sampling; 0: the likeliest token",
              {.at_least = 0});
  visit.field("top_k", top_k, "Samples from so many likeliest tokens; 0: from all",
              {.at_least = 0});
  visit.field("top_p", top_p, "Samples from the likeliest tokens that reach this probability",
              {.above = 0, .at_most = 1});
  visit.field("min_new_tokens", min_new_tokens,
              "The longest that a response may get is drawn from it ...", {.at_least = 1});
  visit.field("max_new_tokens", max_new_tokens, "... to this, for each response", {.at_least = 1});
  visit.field("stops_at_eos", stops_at_eos, "EOS ends a response");
  visit.field("stop_token", stop_token,
              "A token, as the vocabulary spells it, that ends a response too; null: none");
  visit.field("min_tokens_before_stop", min_tokens_before_stop,
              "Before so many tokens no response is ended", {.at_least = 0});
  visit.field("evaluation", evaluation,
              "Responses of an evaluation: greedy, or a sample that is the same each time");
}

void RewardOptions::visit_fields(FieldVisitor& visit) {
  visit.field(
      "model", model,
      "Folder of a RoBERTa classifier, or owner/name of the cache; this or words must be given");
  visit.field("words", words,
              "In place of a classifier: label 0 counts the words of a response that are among "
              "these, label 1 the others");
  visit.field("label", label, "The rewarded label, by name or index (published: 0)");
  visit.field("output", output, "The label's logit (published) or its probability");
  visit.field("scale", scale, "Factor on it; negative: the label is to be avoided");
  visit.field("with_prompt", with_prompt, "The prompt is part of the text that is scored");
}

void OptimizerOptions::visit_fields(FieldVisitor& visit) {
  visit.field("name", name, "The optimizer");
  visit.field("lr", lr, "Highest learning rate", {.above = 0});
  visit.field("betas", betas, "Decay of the averages of gradient and squared gradient",
              {.at_least = 0, .below = 1});
  visit.field("eps", eps, "Added to the divisor of an update", {.above = 0});
  visit.field("weight_decay", weight_decay, "Pull towards zero, times the learning rate; 0: off",
              {.at_least = 0});
  visit.field("max_grad_norm", max_grad_norm, "A longer gradient is shortened to this; 0: off",
              {.at_least = 0});
  visit.field("lora_plus_ratio", lora_plus_ratio,
              "Learning rate of the B matrices over that of the A matrices (LoRA+)", {.above = 0});
}

void ScheduleOptions::visit_fields(FieldVisitor& visit) {
  visit.field("name", name, "Course of the learning rate; wsd: constant, then down to 0");
  visit.field("warmup_ratio", warmup_ratio, "First part of the steps, in which it rises from 0",
              {.at_least = 0, .at_most = 1});
  visit.field("decay_ratio", decay_ratio, "Last part of the steps, in which wsd falls",
              {.at_least = 0, .at_most = 1});
}

void TrainingOptions::visit_fields(FieldVisitor& visit) {
  visit.field("epochs", epochs,
              "Times through the data; 0: no limit, and so where only max_steps is given",
              {.at_least = 0, .free_on_resume = true});
  visit.field("max_steps", max_steps,
              "Optimizer steps; 0: no limit; with epochs, what is reached first ends the run",
              {.at_least = 0, .free_on_resume = true});
  visit.field("groups", groups,
              "Groups (a record's texts) in one micro batch: memory grows with it",
              {.at_least = 1});
  visit.field("accumulate", accumulate, "Micro batches in one optimizer step", {.at_least = 1});
  visit.field("seed", seed, "Seed of order, draws, dropout and the adapter's start",
              {.at_least = 0});
  visit.field("output", output, "Folder of the run", {.required = true, .free_on_resume = true});
  visit.field(
      "recompute", recompute,
      "What the backward pass computes again instead of keeping: full takes less memory and "
      "more time; auto decides by the memory at hand",
      {.free_on_resume = true});
}

void EvaluationOptions::visit_fields(FieldVisitor& visit) {
  visit.field("every_steps", every_steps, "Optimizer steps between evaluations; 0: off",
              {.at_least = 0, .free_on_resume = true});
  visit.field("early_stopping_patience", early_stopping_patience,
              "Evaluations without a better metric that end the run; 0: off",
              {.at_least = 0, .free_on_resume = true});
  visit.field(
      "metric", metric,
      "Says which checkpoint is best: loss (lower), separation (higher) or ratio (higher) of "
      "toxic against neutral text; of ppo loss, or the responses' mean score (higher)");
}

void CheckpointOptions::visit_fields(FieldVisitor& visit) {
  visit.field("every_steps", every_steps, "Optimizer steps between checkpoints; 0: off",
              {.at_least = 0, .free_on_resume = true});
  visit.field("keep_last", keep_last, "Checkpoints kept, the newest ones; 0: all",
              {.at_least = 0, .free_on_resume = true});
  visit.field("keep_best", keep_best, "Keeps the adapter of the best evaluation as best/",
              {.free_on_resume = true});
}

void LoggingOptions::visit_fields(FieldVisitor& visit) {
  visit.field("every_steps", every_steps, "Optimizer steps between progress lines; 0: off",
              {.at_least = 0, .free_on_resume = true});
  visit.field("tensorboard", tensorboard, "Writes TensorBoard event files",
              {.free_on_resume = true});
}

void TrainConfig::visit_fields(FieldVisitor& visit) {
  visit.field("version", version, "Form of the config", {.at_least = 1, .at_most = 1});
  visit.field("model", model, "The base model, which stays as it is");
  visit.field("adapter", adapter, "The LoRA adapter, which is what is trained");
  visit.field("data", data, "The texts");
  visit.one_of("objective", objective, "What is minimised; the other keys are those of the name",
               /*later=*/{});
  const auto is_ppo = [this] { return std::holds_alternative<PpoOptions>(objective); };
  visit.field("rollout", rollout, "What is sampled; of objective ppo alone",
              {.owner = PpoOptions::kName, .is_owner_current = is_ppo});
  visit.field("reward", reward, "What responses are scored by; of objective ppo alone",
              {.owner = PpoOptions::kName, .is_owner_current = is_ppo});
  visit.field("optimizer", optimizer, "How the adapter is changed");
  visit.field("schedule", schedule, "Course of the learning rate over the steps");
  visit.field("training", training, "Length and size of the run");
  visit.field("evaluation", evaluation, "Evaluation on `data.eval` during the run");
  visit.field("checkpoint", checkpoint, "What is kept to go on from");
  visit.field("logging", logging, "What is shown and written of each step");
}

const RetainKeys* retain_keys(const ObjectiveOptions& objective) {
  return std::visit(
      [](const auto& options) -> const RetainKeys* {
        if constexpr (requires { options.base; }) {
          return &options.base;
        } else {
          return nullptr;
        }
      },
      objective);
}

bool AdapterOptions::targets_all_linear() const {
  return target_modules.size() == 1 && target_modules.front() == kAllLinear;
}

// ---- checks ------------------------------------------------------------------------------------

namespace {

// With this margin a random negative's weight, e^-alpha, is lost beside 1 in float32.
constexpr double kMarginWithoutGradient = 16.0;

// The faults of a config whose values are good each by itself.
class Checks {
 public:
  Checks(const TrainConfig& config, std::vector<std::string>& faults)
      : config_(config), faults_(faults) {}

  void run() {
    check_model();
    check_adapter();
    check_objective();
    check_length();
    check_evaluation();
  }

 private:
  template <class... Args>
  void fault(std::string_view key, fmt::format_string<Args...> format, Args&&... args) {
    faults_.push_back(fmt::format("[{}] {}: {}", config_.sources.where(key), key,
                                  fmt::format(format, std::forward<Args>(args)...)));
  }

  void check_model() {
    const ModelOptions& model = config_.model;
    if (model.dtype == ComputeType::kFloat16) {
      fault("model.dtype",
            "got 'float16', expected auto, float32 or bfloat16: the gradients of training leave "
            "float16's range.");
    }
    if (model.quantization != Quantization::kNone) {
      fault("model.quantization", "'{}' is not in this version, expected none.",
            config::enum_name(model.quantization));
    }
    if (model.double_quantization) {
      fault("model.double_quantization", "'true' is not in this version, expected false.");
    }
  }

  void check_adapter() {
    const std::vector<std::string>& names = config_.adapter.target_modules;
    const std::set<std::string> different(names.begin(), names.end());
    if (different.size() != names.size()) {
      fault("adapter.target_modules", "a name is given twice, expected different names.");
    }
    if (names.size() > 1 && different.contains(std::string(AdapterOptions::kAllLinear))) {
      fault("adapter.target_modules", "got {} beside other names, expected it alone, or names.",
            AdapterOptions::kAllLinear);
    }
  }

  void check_objective() {
    const auto* contrast = std::get_if<ContrastivePerplexityOptions>(&config_.objective);
    if (contrast != nullptr && contrast->beta == 0 && contrast->anchor == 0 &&
        contrast->hold == 0) {
      fault("objective.beta",
            "beta, anchor and hold are all 0, expected one > 0: nothing would be trained.");
    }
    check_retain();
    if (const auto* dpo = std::get_if<DpoOptions>(&config_.objective)) check_dpo(*dpo);
    if (const auto* simpo = std::get_if<SimpoOptions>(&config_.objective)) check_simpo(*simpo);
    if (is_ppo()) check_ppo();
  }

  // data.retain and objective.retain need each other.
  void check_retain() {
    const std::vector<std::string>& files = config_.data.retain;
    const RetainKeys* keys = retain_keys(config_.objective);
    if (keys == nullptr) {
      if (!files.empty()) {
        fault("data.retain", "got {}, expected none: objective {} holds no texts. Leave it out.",
              counted(std::ssize(files), "pattern"),
              std::visit([](const auto& options) { return options.kName; }, config_.objective));
      }
      return;
    }
    if (keys->retain == 0 && !files.empty()) {
      fault("data.retain",
            "got {} beside objective.retain 0, expected none: they would not be held. Set "
            "objective.retain, their weight, or leave them out.",
            counted(std::ssize(files), "pattern"));
    }
    if (keys->retain > 0 && files.empty()) {
      fault("objective.retain",
            "got {} without data.retain, expected 0: there are no texts to hold. Name files of "
            "plain texts in data.retain.",
            keys->retain);
    }
    if (!keys->cache_base && keys->base_cache) {
      fault("objective.base_cache", "got '{}' beside cache_base false, expected null.",
            keys->base_cache->string());
    }
  }

  void check_dpo(const DpoOptions& dpo) {
    check_prompt(dpo.preferences);
    const bool smooths = dpo.loss == DpoLoss::kSigmoid || dpo.loss == DpoLoss::kRobust;
    if (dpo.label_smoothing > 0 && !smooths) {
      fault("objective.label_smoothing",
            "got {} beside loss {}, expected 0: only sigmoid and "
            "robust smooth.",
            dpo.label_smoothing, config::enum_name(dpo.loss));
    }
    if (dpo.loss != DpoLoss::kSigmoid && dpo.preferences.rejected_per_chosen != 1) {
      fault("objective.rejected_per_chosen",
            "got {} beside loss {}, expected 1: only sigmoid "
            "takes several rejected answers.",
            dpo.preferences.rejected_per_chosen, config::enum_name(dpo.loss));
    }
    if (dpo.label_smoothing > 0 && dpo.preferences.rejected_per_chosen != 1) {
      fault("objective.rejected_per_chosen",
            "got {} beside label_smoothing {}, expected 1: only sigmoid without smoothing takes "
            "several rejected answers.",
            dpo.preferences.rejected_per_chosen, dpo.label_smoothing);
    }
    if (!dpo.cache_reference && dpo.reference_cache) {
      fault("objective.reference_cache", "got '{}' beside cache_reference false, expected null.",
            dpo.reference_cache->string());
    }
  }

  void check_simpo(const SimpoOptions& simpo) {
    check_prompt(simpo.preferences);
    if (simpo.label_smoothing > 0 && simpo.loss == SimpoLoss::kHinge) {
      fault("objective.label_smoothing",
            "got {} beside loss hinge, expected 0: only sigmoid "
            "smooths.",
            simpo.label_smoothing);
    }
    if (simpo.preferences.rejected_per_chosen != 1) {
      fault("objective.rejected_per_chosen", "got {}, expected 1: simpo has one rejected answer.",
            simpo.preferences.rejected_per_chosen);
    }
  }

  bool is_ppo() const { return std::holds_alternative<PpoOptions>(config_.objective); }

  void check_ppo() {
    const RolloutOptions& rollout = config_.rollout;
    const int64_t in_step = config_.training.groups * config_.training.accumulate;
    if (rollout.batch_size % in_step != 0) {
      fault("rollout.batch_size",
            "got {}, expected a multiple of {} (training.groups {} x training.accumulate {}): a "
            "step learns from one rollout.",
            rollout.batch_size, in_step, config_.training.groups, config_.training.accumulate);
    }
    if (rollout.max_new_tokens < rollout.min_new_tokens) {
      fault("rollout.max_new_tokens", "got {}, expected at least {} (rollout.min_new_tokens).",
            rollout.max_new_tokens, rollout.min_new_tokens);
    }
    if (rollout.max_prompt_tokens > 0 && rollout.max_prompt_tokens < rollout.min_prompt_tokens) {
      fault("rollout.max_prompt_tokens",
            "got {}, expected at least {} (rollout.min_prompt_tokens), or 0.",
            rollout.max_prompt_tokens, rollout.min_prompt_tokens);
    }
    if (rollout.prompt.find("{input}") == std::string::npos) {
      fault("rollout.prompt", "got '{}', expected {{input}} in it, where a record's input goes.",
            rollout.prompt);
    }
    const RewardOptions& reward = config_.reward;
    if (reward.model.has_value() == !reward.words.empty()) {
      fault("reward.model", "got {}, expected either a classifier or reward.words.",
            reward.model ? "both" : "neither");
    }
    if (!reward.words.empty() && reward.output == RewardOutput::kProbability) {
      fault("reward.output", "got probability, expected logit: words are counted.");
    }
  }

  void check_prompt(const PreferenceKeys& keys) {
    if (keys.prompt.find("{input}") == std::string::npos) {
      fault("objective.prompt", "got '{}', expected {{input}} in it, where a record's input goes.",
            keys.prompt);
    }
    if (keys.max_prompt_tokens >= config_.data.max_tokens) {
      fault("objective.max_prompt_tokens",
            "got {} beside data.max_tokens {}, expected less: an answer needs room.",
            keys.max_prompt_tokens, config_.data.max_tokens);
    }
  }

  void check_length() {
    const ScheduleOptions& schedule = config_.schedule;
    if (schedule.name == ScheduleKind::kWsd && schedule.warmup_ratio + schedule.decay_ratio > 1) {
      fault("schedule.decay_ratio", "got {} beside warmup_ratio {}, expected a sum of at most 1.",
            schedule.decay_ratio, schedule.warmup_ratio);
    }
    if (config_.training.epochs == 0 && config_.training.max_steps == 0) {
      fault("training.epochs", "epochs and max_steps are both 0, expected one > 0.");
    }
  }

  void check_evaluation() {
    const EvaluationOptions& evaluation = config_.evaluation;
    const bool is_of_sides = evaluation.metric == SelectionMetric::kSeparation ||
                             evaluation.metric == SelectionMetric::kRatio;
    if (is_ppo() ? is_of_sides : evaluation.metric == SelectionMetric::kScore) {
      fault("evaluation.metric", "got {}, expected {}.", config::enum_name(evaluation.metric),
            is_ppo() ? "loss or score: ppo has no texts of two sides"
                     : "loss, separation or ratio: only ppo has scores");
    }
    if (evaluation.early_stopping_patience == 0) {
      return;
    }
    const bool holds_out = is_ppo() && config_.rollout.held_out > 0;
    if (config_.data.eval.empty() && !holds_out) {
      fault("evaluation.early_stopping_patience", "got {}, expected 0 where data.eval is empty.",
            evaluation.early_stopping_patience);
    }
    if (evaluation.every_steps == 0) {
      fault("evaluation.early_stopping_patience",
            "got {}, expected 0 where evaluation.every_steps is 0.",
            evaluation.early_stopping_patience);
    }
  }

  const TrainConfig& config_;
  std::vector<std::string>& faults_;
};

CheckedTrainConfig checked(TrainConfig config, config::Loaded loaded) {
  config.sources = std::move(loaded.sources);
  const TrainingOptions& training = config.training;
  if (training.max_steps > 0 && !config.sources.is_set("training.epochs")) {
    config.training.epochs = 0;
  }
  Checks(config, loaded.faults).run();
  return {std::move(config), std::move(loaded.faults)};
}

TrainConfig good_config(CheckedTrainConfig checked) {
  if (!checked.faults.empty()) throw ConfigError(std::move(checked.faults));
  return std::move(checked.config);
}

std::vector<config::FlatValue> flat_values(TrainConfig config) {
  return config::flatten(config::fields_of(config));
}

}  // namespace

CheckedTrainConfig check_train_config(const std::filesystem::path& file,
                                      std::span<const std::string> overrides) {
  TrainConfig config;
  config::Loaded loaded = config::load_file(config::fields_of(config), file, overrides);
  return checked(std::move(config), std::move(loaded));
}

TrainConfig load_train_config(const std::filesystem::path& file,
                              std::span<const std::string> overrides) {
  return good_config(check_train_config(file, overrides));
}

TrainConfig parse_train_config(std::string_view text, const std::string& file_name,
                               std::span<const std::string> overrides) {
  TrainConfig config;
  config::Loaded loaded = config::load_text(config::fields_of(config), text, file_name, overrides);
  return good_config(checked(std::move(config), std::move(loaded)));
}

namespace {

// Keys that were given, differ from their default, and change nothing.
class KeysWithoutEffect {
 public:
  explicit KeysWithoutEffect(const TrainConfig& config) : config_(config) {
    TrainConfig defaults;
    std::visit([&](const auto& options) { defaults.objective = std::decay_t<decltype(options)>(); },
               config.objective);
    for (const config::FlatValue& value : flat_values(defaults)) defaults_[value.key] = value.yaml;
    for (const config::FlatValue& value : flat_values(config)) values_[value.key] = value.yaml;
  }

  std::vector<std::string> run() {
    add_evaluation();
    const bool is_wsd = config_.schedule.name == ScheduleKind::kWsd;
    tell(!is_wsd, {"schedule.decay_ratio"}, "only schedule.name wsd has it");
    tell(config_.checkpoint.every_steps == 0, {"checkpoint.keep_last"},
         "checkpoint.every_steps is 0");
    const RetainKeys* retain = retain_keys(config_.objective);
    tell(retain != nullptr && retain->retain == 0, {"objective.retain_texts"},
         "objective.retain is 0");
    const auto* contrast = std::get_if<ContrastivePerplexityOptions>(&config_.objective);
    if (contrast != nullptr) add_contrast(*contrast);
    const auto* ppo = std::get_if<PpoOptions>(&config_.objective);
    if (ppo != nullptr) add_ppo(*ppo);
    return std::move(notices_);
  }

 private:
  void tell(bool is_idle, std::initializer_list<const char*> keys, std::string_view reason) {
    for (const char* key : keys) {
      if (!is_idle || !config_.sources.is_set(key) || values_[key] == defaults_[key]) continue;
      notices_.push_back(
          fmt::format("[{}] {}: has no effect: {}.", config_.sources.where(key), key, reason));
    }
  }

  void add_evaluation() {
    const bool is_ppo = std::holds_alternative<PpoOptions>(config_.objective);
    const bool has_texts = !config_.data.eval.empty() || (is_ppo && config_.rollout.held_out > 0);
    tell(!has_texts, {"evaluation.every_steps"}, "there is no data.eval");
    tell(config_.evaluation.every_steps == 0, {"data.eval"}, "evaluation.every_steps is 0");
    tell(!has_texts || config_.evaluation.every_steps == 0,
         {"evaluation.metric", "checkpoint.keep_best"}, "there is no evaluation");
  }

  void add_contrast(const ContrastivePerplexityOptions& contrast) {
    tell(contrast.num_hard_negatives == 0, {"objective.alpha"},
         "objective.num_hard_negatives is 0");
    tell(contrast.beta == 0,
         {"objective.alpha", "objective.tau", "objective.label_smoothing", "objective.distance"},
         "objective.beta is 0");
    tell(
        contrast.base.retain == 0 && contrast.hold == 0 && contrast.centroid != CentroidKind::kBase,
        {"objective.base_cache", "objective.cache_base"}, "the base is not asked for anything");
  }

  void add_ppo(const PpoOptions& ppo) {
    tell(!ppo.adap_kl_ctrl, {"objective.target", "objective.horizon"},
         "objective.adap_kl_ctrl is false");
    tell(!ppo.early_stopping, {"objective.target_kl"}, "objective.early_stopping is false");
    tell(!ppo.use_score_scaling, {"objective.use_score_norm"},
         "objective.use_score_scaling is false");
    tell(ppo.value_head_init != ValueHeadInit::kNormal, {"objective.value_head_std"},
         "only objective.value_head_init normal has it");
    const RolloutOptions& rollout = config_.rollout;
    tell(rollout.temperature == 0, {"rollout.top_k", "rollout.top_p"}, "rollout.temperature is 0");
    tell(!rollout.stops_at_eos && !rollout.stop_token, {"rollout.min_tokens_before_stop"},
         "no token ends a response");
    tell(!config_.data.eval.empty(), {"rollout.held_out"}, "data.eval has the prompts");
    tell(config_.evaluation.every_steps == 0, {"rollout.evaluation"},
         "evaluation.every_steps is 0");
  }

  const TrainConfig& config_;
  std::map<std::string, std::string, std::less<>> defaults_;
  std::map<std::string, std::string, std::less<>> values_;
  std::vector<std::string> notices_;
};

}  // namespace

std::vector<std::string> train_config_notices(const TrainConfig& config) {
  std::vector<std::string> notices;
  const auto add = [&](std::string_view key, std::string_view text) {
    notices.push_back(fmt::format("[{}] {}: {}", config.sources.where(key), key, text));
  };
  const auto* contrast = std::get_if<ContrastivePerplexityOptions>(&config.objective);
  if (contrast != nullptr && contrast->num_random_negatives > 0 &&
      contrast->num_hard_negatives > 0 && contrast->alpha >= kMarginWithoutGradient) {
    add("objective.num_random_negatives",
        fmt::format("at alpha {} random negatives get no gradient (their weight is e^-{}), they "
                    "only enter the loss's divisor.",
                    contrast->alpha, contrast->alpha));
  }
  if (contrast != nullptr && contrast->num_random_negatives == 0 &&
      contrast->num_hard_negatives == 0) {
    add("objective.num_hard_negatives",
        "without negatives the contrastive term only draws the positives together.");
  }
  std::ranges::move(KeysWithoutEffect(config).run(), std::back_inserter(notices));
  return notices;
}

// ---- what the keys give ------------------------------------------------------------------------

std::string train_config_yaml(const TrainConfig& config) {
  TrainConfig copy = config;
  return config::to_yaml(config::fields_of(copy));
}

std::vector<std::pair<std::string, std::string>> config_settings(const TrainConfig& config) {
  std::vector<std::pair<std::string, std::string>> settings;
  for (config::FlatValue& value : flat_values(config)) {
    settings.emplace_back(std::move(value.key), std::move(value.yaml));
  }
  return settings;
}

std::string train_config_help() {
  TrainConfig defaults;
  return config::key_help(config::fields_of(defaults));
}

std::string train_config_markdown() {
  TrainConfig defaults;
  return "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
         "<!-- Made from src/recipes/train_config.cpp; the test TrainConfigDocs rewrites it. -->\n"
         "# The config of cpx-train\n\n"
         "YAML; every key can be set on the command line as `key=value`, with the value in YAML "
         "(lists are\n`[x, y]`). Keys that are not listed are errors. Where a key counts or "
         "limits, "
         "0 switches it off.\nRelative paths are relative to the working folder; `~/` at the "
         "beginning "
         "of a path is the home folder.\nThe keys below an objective's heading are its own: beside "
         "another name they are errors.\n\n" +
         config::key_markdown(config::fields_of(defaults));
}

void adopt_adapter_shape(TrainConfig& config, const AdapterShape& shape) {
  AdapterOptions& adapter = config.adapter;
  std::vector<std::string> faults;
  const std::string folder = adapter.init_from ? adapter.init_from->string() : "";
  const auto adopt = [&](std::string_view name, auto& ours, const auto& theirs, bool is_equal,
                         const auto& show) {
    const std::string key = fmt::format("adapter.{}", name);
    if (!is_equal && config.sources.is_set(key)) {
      faults.push_back(fmt::format("[{}] {}: got {}, expected {} (from {}). Leave the key out.",
                                   config.sources.where(key), key, show(ours), show(theirs),
                                   folder));
    }
    ours = theirs;
  };
  const auto show_plain = [](const auto& value) { return fmt::format("{}", value); };
  const auto show_names = [](const std::vector<std::string>& names) {
    return fmt::format("[{}]", fmt::join(names, ", "));
  };
  adopt("rank", adapter.rank, shape.rank, adapter.rank == shape.rank, show_plain);
  adopt("alpha", adapter.alpha, shape.alpha, adapter.alpha == shape.alpha, show_plain);
  adopt("rslora", adapter.rslora, shape.rslora, adapter.rslora == shape.rslora, show_plain);
  const std::set<std::string> ours(adapter.target_modules.begin(), adapter.target_modules.end());
  const std::set<std::string> theirs(shape.target_modules.begin(), shape.target_modules.end());
  adopt("target_modules", adapter.target_modules, shape.target_modules, ours == theirs, show_names);
  if (!faults.empty()) {
    throw ConfigError(std::move(faults));
  }
}

std::vector<std::string> config_differences(const TrainConfig& saved, const TrainConfig& current) {
  std::map<std::string, std::string> saved_values;
  for (const config::FlatValue& value : flat_values(saved)) {
    saved_values[value.key] = value.yaml;
  }
  std::vector<std::string> differences;
  for (const config::FlatValue& value : flat_values(current)) {
    const auto found = saved_values.find(value.key);
    const std::string before = found == saved_values.end() ? "nothing" : found->second;
    if (!value.rule.free_on_resume && before != value.yaml) {
      differences.push_back(fmt::format("{}: got {}, expected {} (from the saved run).", value.key,
                                        value.yaml, before));
    }
  }
  return differences;
}

std::vector<std::string> keys_free_on_resume() {
  std::vector<std::string> keys;
  for (const config::FlatValue& value : flat_values({})) {
    if (value.rule.free_on_resume) {
      keys.push_back(value.key);
    }
  }
  return keys;
}

}  // namespace cpx::recipes
