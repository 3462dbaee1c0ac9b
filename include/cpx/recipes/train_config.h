// SPDX-License-Identifier: Apache-2.0
// The config of cpx-train: every key with its default. What a key means, and its limits, stand in
// the visit_fields() of train_config.cpp; docs/config.md is made from them.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cpx/config/fields.h"
#include "cpx/config/load.h"
#include "cpx/data/preferences.h"

namespace cpx::recipes {

enum class ComputeType { kAuto, kFloat32, kBfloat16, kFloat16 };
constexpr std::array<std::string_view, 4> enum_names(ComputeType) {
  return {"auto", "float32", "bfloat16", "float16"};
}

enum class Quantization { kNone, kNf4, kFp4, kInt8 };
constexpr std::array<std::string_view, 4> enum_names(Quantization) {
  return {"none", "nf4", "fp4", "int8"};
}

enum class TextTemplate { kPlain, kLlama2, kTulu, kChat };
constexpr std::array<std::string_view, 4> enum_names(TextTemplate) {
  return {"plain", "llama2", "tulu", "chat"};
}

enum class PaddingRule { kExclude, kPublished };
constexpr std::array<std::string_view, 2> enum_names(PaddingRule) {
  return {"exclude", "published"};
}

enum class CentroidKind { kBatch, kGroup, kBase };
constexpr std::array<std::string_view, 3> enum_names(CentroidKind) {
  return {"batch", "group", "base"};
}

enum class DistanceKind { kAbsolute, kSigned };
constexpr std::array<std::string_view, 2> enum_names(DistanceKind) {
  return {"absolute", "signed"};
}

/// Over which texts a number is taken.
enum class GroupScope { kBatch, kGroup };
constexpr std::array<std::string_view, 2> enum_names(GroupScope) { return {"batch", "group"}; }

enum class CycleFineTuning { kTexts, kPairs };
constexpr std::array<std::string_view, 2> enum_names(CycleFineTuning) { return {"texts", "pairs"}; }

enum class DpoLoss { kSigmoid, kHinge, kIpo, kRobust };
constexpr std::array<std::string_view, 4> enum_names(DpoLoss) {
  return {"sigmoid", "hinge", "ipo", "robust"};
}

enum class SimpoLoss { kSigmoid, kHinge };
constexpr std::array<std::string_view, 2> enum_names(SimpoLoss) { return {"sigmoid", "hinge"}; }

enum class KlPenalty { kKl, kAbs, kMse, kK3, kFull };
constexpr std::array<std::string_view, 5> enum_names(KlPenalty) {
  return {"kl", "abs", "mse", "k3", "full"};
}

enum class ValueHeadInit { kLinear, kNormal };
constexpr std::array<std::string_view, 2> enum_names(ValueHeadInit) { return {"linear", "normal"}; }

enum class EvaluationSampling { kGreedy, kSample };
constexpr std::array<std::string_view, 2> enum_names(EvaluationSampling) {
  return {"greedy", "sample"};
}

enum class RewardOutput { kLogit, kProbability };
constexpr std::array<std::string_view, 2> enum_names(RewardOutput) {
  return {"logit", "probability"};
}

enum class OptimizerKind { kAdamw };
constexpr std::array<std::string_view, 1> enum_names(OptimizerKind) { return {"adamw"}; }

enum class ScheduleKind { kConstant, kLinear, kCosine, kWsd };
constexpr std::array<std::string_view, 4> enum_names(ScheduleKind) {
  return {"constant", "linear", "cosine", "wsd"};
}

enum class Recompute { kAuto, kNone, kFull };
constexpr std::array<std::string_view, 3> enum_names(Recompute) { return {"auto", "none", "full"}; }

enum class SelectionMetric { kLoss, kSeparation, kRatio, kScore };
constexpr std::array<std::string_view, 4> enum_names(SelectionMetric) {
  return {"loss", "separation", "ratio", "score"};
}

struct ModelOptions {
  std::filesystem::path path;
  ComputeType dtype = ComputeType::kAuto;
  Quantization quantization = Quantization::kNone;
  bool double_quantization = false;

  void visit_fields(config::FieldVisitor& visit);
};

struct AdapterOptions {
  int64_t rank = 64;
  double alpha = 16.0;
  double dropout = 0.1;
  std::vector<std::string> target_modules = {"q_proj", "v_proj"};  // or only kAllLinear
  bool rslora = false;
  std::optional<std::filesystem::path> init_from;

  static constexpr std::string_view kAllLinear = "all-linear";
  bool targets_all_linear() const;

  void visit_fields(config::FieldVisitor& visit);
};

struct DataOptions {
  std::vector<std::string> train;   // globs
  std::vector<std::string> eval;    // globs
  std::vector<std::string> retain;  // globs
  TextTemplate text_template = TextTemplate::kPlain;
  bool append_eos = true;
  int64_t max_tokens = 256;
  bool shuffle = true;
  bool drop_last = false;

  void visit_fields(config::FieldVisitor& visit);
};

/// Keys of the objectives that can hold texts where the frozen base has them.
struct RetainKeys {
  double retain = 0.0;
  int64_t retain_texts = 4;
  bool cache_base = true;
  std::optional<std::filesystem::path> base_cache;

  void visit_fields(config::FieldVisitor& visit);
};

struct ContrastivePerplexityOptions {
  static constexpr std::string_view kName = "contrastive_perplexity";
  static constexpr std::string_view kDoc =
      "Toxic texts are pushed from the neutral texts' perplexity (Klein and Nabi, ACL 2025)";

  int64_t num_positives = 6;
  int64_t num_hard_negatives = 6;
  int64_t num_random_negatives = 0;
  double alpha = 100.0;
  double beta = 1.0;
  double tau = 1.0;
  double label_smoothing = 0.0;
  PaddingRule padding = PaddingRule::kExclude;
  CentroidKind centroid = CentroidKind::kBatch;
  DistanceKind distance = DistanceKind::kAbsolute;
  double anchor = 0.0;
  double hold = 0.0;
  RetainKeys base;

  void visit_fields(config::FieldVisitor& visit);
};

struct PrototypeOptions {
  static constexpr std::string_view kName = "prototype";
  static constexpr std::string_view kDoc =
      "Contrastive perplexity around the input sentence, on mean log-likelihoods scaled by length "
      "(the published LLaMA-2 script)";

  int64_t num_positives = 2;
  int64_t num_hard_negatives = 6;
  GroupScope longest = GroupScope::kBatch;
  RetainKeys base;

  void visit_fields(config::FieldVisitor& visit);
};

struct TransferOptions {
  static constexpr std::string_view kName = "transfer";
  static constexpr std::string_view kDoc =
      "The neutral input is learned as what follows a toxic text, beside a contrast of such "
      "concatenations (the published sequence-to-sequence script)";

  int64_t num_positives = 3;
  int64_t num_hard_negatives = 6;
  double alpha = 100.0;
  RetainKeys base;

  void visit_fields(config::FieldVisitor& visit);
};

struct CycleOptions {
  static constexpr std::string_view kName = "cycle";
  static constexpr std::string_view kDoc =
      "Instructions from toxic to neutral text and back are learned, beside the contrast of the "
      "plain texts (the published cycle script)";

  int64_t num_positives = 6;
  int64_t num_hard_negatives = 6;
  CycleFineTuning fine_tuning = CycleFineTuning::kTexts;
  double alpha = 100.0;
  double label_smoothing = 0.0;
  GroupScope centroid = GroupScope::kBatch;
  RetainKeys base;

  void visit_fields(config::FieldVisitor& visit);
};

struct SftOptions {
  static constexpr std::string_view kName = "sft";
  static constexpr std::string_view kDoc =
      "The mean negative log-likelihood of the neutral texts, a token weighing the same everywhere";

  int64_t num_positives = 6;

  void visit_fields(config::FieldVisitor& visit);
};

/// Keys that the preference objectives share.
struct PreferenceKeys {
  std::string prompt = std::string(data::kPublishedPromptTemplate);
  int64_t pairs_per_group = 1;
  int64_t rejected_per_chosen = 1;
  int64_t max_prompt_tokens = 0;
  bool share_prompts = true;

  void visit_fields(config::FieldVisitor& visit);
};

struct DpoOptions {
  static constexpr std::string_view kName = "dpo";
  static constexpr std::string_view kDoc =
      "Direct preference optimization: neutral texts are preferred to toxic ones, measured against "
      "a frozen reference (Rafailov et al., arXiv 2305.18290)";

  DpoLoss loss = DpoLoss::kSigmoid;
  double beta = 0.1;
  double label_smoothing = 0.0;
  PreferenceKeys preferences;
  std::optional<std::filesystem::path> reference_adapter;
  bool cache_reference = true;
  std::optional<std::filesystem::path> reference_cache;

  void visit_fields(config::FieldVisitor& visit);
};

struct SimpoOptions {
  static constexpr std::string_view kName = "simpo";
  static constexpr std::string_view kDoc =
      "Simple preference optimization: as dpo by the mean log-probabilities of answers, without a "
      "reference (Meng et al., arXiv 2405.14734)";

  SimpoLoss loss = SimpoLoss::kSigmoid;
  double beta = 2.0;
  double gamma_beta_ratio = 0.25;
  double label_smoothing = 0.0;
  double sft_weight = 0.0;
  PreferenceKeys preferences;

  void visit_fields(config::FieldVisitor& visit);
};

struct PpoOptions {
  static constexpr std::string_view kName = "ppo";
  static constexpr std::string_view kDoc =
      "Proximal policy optimization: sampled responses are scored by a classifier, and what scores "
      "well is made more probable (Schulman et al., arXiv 1707.06347); keys are named as in TRL";

  int64_t ppo_epochs = 4;
  double init_kl_coef = 0.2;
  bool adap_kl_ctrl = true;
  double target = 6.0;
  double horizon = 10000.0;
  KlPenalty kl_penalty = KlPenalty::kKl;
  double gamma = 1.0;
  double lam = 0.95;
  double cliprange = 0.2;
  double cliprange_value = 0.2;
  double vf_coef = 0.1;
  double ratio_threshold = 10.0;
  bool early_stopping = false;
  double target_kl = 1.0;
  bool whiten_rewards = false;
  bool use_score_scaling = false;
  bool use_score_norm = false;
  std::optional<double> score_clip;
  std::optional<double> missing_eos_penalty;
  double value_head_dropout = 0.1;
  ValueHeadInit value_head_init = ValueHeadInit::kLinear;
  double value_head_std = 0.2;

  void visit_fields(config::FieldVisitor& visit);
};

using ObjectiveOptions =
    std::variant<ContrastivePerplexityOptions, PrototypeOptions, TransferOptions, CycleOptions,
                 SftOptions, DpoOptions, SimpoOptions, PpoOptions>;

/// The keys of retained texts; null for an objective without them.
const RetainKeys* retain_keys(const ObjectiveOptions& objective);

/// What PPO samples.
struct RolloutOptions {
  std::string prompt = "{input}";
  bool append_rejected = false;
  int64_t min_prompt_tokens = 30;
  int64_t max_prompt_tokens = 40;
  double held_out = 0.0;
  int64_t batch_size = 16;
  double temperature = 1.0;
  int64_t top_k = 0;
  double top_p = 1.0;
  int64_t min_new_tokens = 20;
  int64_t max_new_tokens = 30;
  bool stops_at_eos = true;
  std::optional<std::string> stop_token;
  int64_t min_tokens_before_stop = 0;
  EvaluationSampling evaluation = EvaluationSampling::kGreedy;

  void visit_fields(config::FieldVisitor& visit);
};

/// What PPO's responses are scored by.
struct RewardOptions {
  std::optional<std::filesystem::path> model;
  std::vector<std::string> words;
  std::string label = "0";
  RewardOutput output = RewardOutput::kLogit;
  double scale = 1.0;
  bool with_prompt = false;

  void visit_fields(config::FieldVisitor& visit);
};

struct OptimizerOptions {
  OptimizerKind name = OptimizerKind::kAdamw;
  double lr = 2.0e-4;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1.0e-8;
  double weight_decay = 0.001;
  double max_grad_norm = 0.3;
  double lora_plus_ratio = 1.0;

  void visit_fields(config::FieldVisitor& visit);
};

struct ScheduleOptions {
  ScheduleKind name = ScheduleKind::kConstant;
  double warmup_ratio = 0.0;
  double decay_ratio = 0.1;

  void visit_fields(config::FieldVisitor& visit);
};

struct TrainingOptions {
  int64_t epochs = 4;     // 0: no limit
  int64_t max_steps = 0;  // 0: no limit
  int64_t groups = 2;
  int64_t accumulate = 1;
  int64_t seed = 42;
  std::filesystem::path output;
  Recompute recompute = Recompute::kAuto;

  void visit_fields(config::FieldVisitor& visit);
};

struct EvaluationOptions {
  int64_t every_steps = 50;
  int64_t early_stopping_patience = 0;
  SelectionMetric metric = SelectionMetric::kLoss;

  void visit_fields(config::FieldVisitor& visit);
};

struct CheckpointOptions {
  int64_t every_steps = 50;
  int64_t keep_last = 3;
  bool keep_best = true;

  void visit_fields(config::FieldVisitor& visit);
};

struct LoggingOptions {
  int64_t every_steps = 1;
  bool tensorboard = true;

  void visit_fields(config::FieldVisitor& visit);
};

struct TrainConfig {
  int64_t version = 1;
  ModelOptions model;
  AdapterOptions adapter;
  DataOptions data;
  ObjectiveOptions objective;
  RolloutOptions rollout;  // of ppo alone, as the next
  RewardOptions reward;
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  TrainingOptions training;
  EvaluationOptions evaluation;
  CheckpointOptions checkpoint;
  LoggingOptions logging;

  config::Sources sources;  // which keys were given, and where

  void visit_fields(config::FieldVisitor& visit);
};

/// Loads and checks a config; `overrides` are "a.b=value". Throws ConfigError with all faults.
/// Files and folders that the config names are not looked at. Where max_steps is given and epochs
/// is not, epochs becomes 0.
TrainConfig load_train_config(const std::filesystem::path& file,
                              std::span<const std::string> overrides = {});

/// The same from text; `file_name` is for messages.
TrainConfig parse_train_config(std::string_view text, const std::string& file_name,
                               std::span<const std::string> overrides = {});

/// A config together with what is wrong with it.
struct CheckedTrainConfig {
  TrainConfig config;               // values with a fault keep their defaults
  std::vector<std::string> faults;  // empty: the config is good
};

/// As load_train_config(), with the faults handed back instead of thrown (for --validate, which
/// goes on to look at the data).
CheckedTrainConfig check_train_config(const std::filesystem::path& file,
                                      std::span<const std::string> overrides = {});

/// What is allowed but probably not meant, one line each (for --validate).
std::vector<std::string> train_config_notices(const TrainConfig& config);

/// The resolved config as YAML; loads to the same config.
std::string train_config_yaml(const TrainConfig& config);

/// Every key with its value as YAML, in declared order.
std::vector<std::pair<std::string, std::string>> config_settings(const TrainConfig& config);

/// All keys with type, default and meaning, for --help.
std::string train_config_help();

/// The text of docs/config.md.
std::string train_config_markdown();

/// What a PEFT folder fixes for the adapter that starts from it.
struct AdapterShape {
  int64_t rank = 0;
  double alpha = 0.0;
  std::vector<std::string> target_modules;
  bool rslora = false;
};

/// Takes over the shape of the adapter in adapter.init_from. Throws ConfigError when a key that
/// was given says otherwise (the order of target modules does not count).
void adopt_adapter_shape(TrainConfig& config, const AdapterShape& shape);

/// The keys whose values differ and that may not change on resume, with both values, one line
/// each: `saved` is the run's config, `current` what it is resumed with.
std::vector<std::string> config_differences(const TrainConfig& saved, const TrainConfig& current);

/// The keys that may change on resume.
std::vector<std::string> keys_free_on_resume();

}  // namespace cpx::recipes
