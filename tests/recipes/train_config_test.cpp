// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/train_config.h"

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/core/random.h"
#include "tests/support/errors.h"

namespace cpx::recipes {
namespace train_config_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr const char* kLeastConfig =
    "model: {path: m}\n"
    "data: {train: [d.json]}\n"
    "training: {output: out}\n";

TrainConfig least_config(const std::vector<std::string>& overrides = {}) {
  return parse_train_config(kLeastConfig, "t.yaml", overrides);
}

std::vector<std::string> faults_of(const std::string& text,
                                   const std::vector<std::string>& overrides = {}) {
  return testing_support::faults_of([&] { parse_train_config(text, "t.yaml", overrides); });
}

// The faults of the least config with lines added; the first added line is line 4.
std::vector<std::string> faults_with(const std::string& lines) {
  return faults_of(kLeastConfig + lines);
}

std::vector<std::string> faults_of_overrides(const std::vector<std::string>& overrides) {
  return faults_of(kLeastConfig, overrides);
}

// The value of a key as the resolved config spells it; "no such key" where there is none.
std::string value_of(const TrainConfig& config, std::string_view key) {
  for (const auto& [name, value] : config_settings(config)) {
    if (name == key) return value;
  }
  return "no such key";
}

TEST(TrainConfig, DefaultsAreThoseOfTheDesign) {
  EXPECT_EQ(train_config_yaml(least_config()), R"(version: 1
model:
  path: m
  dtype: auto
  quantization: none
  double_quantization: false
adapter:
  rank: 64
  alpha: 16.0
  dropout: 0.1
  target_modules: [q_proj, v_proj]
  rslora: false
  init_from: null
data:
  train: [d.json]
  eval: []
  retain: []
  template: plain
  append_eos: true
  max_tokens: 256
  shuffle: true
  drop_last: false
  share_prefixes: true
objective:
  name: contrastive_perplexity
  num_positives: 6
  num_hard_negatives: 6
  num_random_negatives: 0
  form: code
  alpha: 100.0
  beta: 1.0
  tau: 1.0
  negative_weight: 1.0
  phi: mean_nll
  label_smoothing: 0.0
  padding: exclude
  centroid: batch
  distance: absolute
  push: score
  push_aim: 1.5
  push_tokens: all
  anchor: 0.0
  hold: 0.0
  hold_by: nll
  retain: 0.0
  retain_texts: 4
  cache_base: true
  base_cache: null
optimizer:
  name: adamw
  lr: 0.0002
  betas: [0.9, 0.999]
  eps: 1.0e-08
  weight_decay: 0.001
  max_grad_norm: 0.3
  lora_plus_ratio: 1.0
schedule:
  name: constant
  warmup_ratio: 0.0
  warmup_steps: 0
  decay_ratio: 0.1
  min_lr_ratio: 0.0
  power: 1.0
training:
  epochs: 4
  max_steps: 0
  groups: 2
  accumulate: 1
  seed: 42
  output: out
  recompute: auto
  save_samples:
    prompts: []
    prompt_file: null
    every_steps: null
    max_new_tokens: 64
evaluation:
  every_steps: 50
  early_stopping_patience: 0
  metric: loss
checkpoint:
  every_steps: 50
  keep_last: 3
  keep_best: true
logging:
  every_steps: 1
  tensorboard: true
)");
}

TEST(TrainConfig, ResolvedYamlLoadsToTheSameConfig) {
  const TrainConfig config = least_config(
      {"objective.name=sft", "objective.num_positives=3", "adapter.target_modules=all-linear",
       "adapter.init_from=runs/first/final", "optimizer.lr=2.2e-5", "training.max_steps=7",
       "data.eval=['*.json', \"a b.json\"]"});
  const std::string yaml = train_config_yaml(config);
  EXPECT_EQ(train_config_yaml(parse_train_config(yaml, "config.yaml")), yaml);
  EXPECT_THAT(yaml, HasSubstr("objective:\n  name: sft\n  num_positives: 3\noptimizer:"));
  EXPECT_THAT(yaml, HasSubstr("  target_modules: all-linear\n"));
  EXPECT_TRUE(config.adapter.targets_all_linear());
}

TEST(TrainConfig, TellsAllMissingKeys) {
  EXPECT_THAT(
      faults_of("version: 1\n"),
      ElementsAre(
          "[t.yaml] model.path: missing, expected a path. Folder of a Hugging Face model, a "
          ".gguf file, or owner/name[@revision] of the Hugging Face cache.",
          "[t.yaml] data.train: missing, expected a list of texts, at least one. Files to "
          "train on; * and ? stand for any characters of the file name.",
          "[t.yaml] training.output: missing, expected a path. Folder of the run."));
}

TEST(TrainConfig, MissingKeysMayComeFromTheCommandLine) {
  EXPECT_THAT(faults_of("version: 1\n", {"model.path=m", "data.train=[d]", "training.output=o"}),
              IsEmpty());
}

TEST(TrainConfig, RefusesAnotherVersion) {
  EXPECT_THAT(faults_with("version: 2\n"), ElementsAre("[t.yaml:4] version: got '2', expected 1."));
}

TEST(TrainConfig, TellsWhatIsNotInThisVersion) {
  EXPECT_THAT(
      faults_with("objective: {name: dpop}\n"),
      ElementsAre(
          "[t.yaml:4] objective.name: got 'dpop', expected contrastive_perplexity, "
          "prototype, transfer, cycle, sft, dpo, simpo, orpo, cpo, npo, kto or ppo. Did you mean "
          "'dpo'?"));
  EXPECT_THAT(
      faults_of_overrides({"model.quantization=nf4", "model.double_quantization=true"}),
      ElementsAre(
          "[command line: model.quantization=nf4] model.quantization: 'nf4' is not in this "
          "version, expected none.",
          "[command line: model.double_quantization=true] model.double_quantization: 'true' "
          "is not in this version, expected false."));
}

TEST(TrainConfig, TellsWhoseKeyAnotherObjectivesKeyIs) {
  EXPECT_THAT(faults_with("objective:\n  name: sft\n  alpha: 3\n"),
              ElementsAre("[t.yaml:6] objective.alpha: a key of contrastive_perplexity, transfer "
                          "and cycle, but objective.name is sft."));
}

TEST(TrainConfig, RetainedTextsAndTheirWeightNeedEachOther) {
  EXPECT_THAT(faults_of_overrides({"data.retain=[a.txt, b.txt]"}),
              ElementsAre("[command line: data.retain=[a.txt, b.txt]] data.retain: got 2 patterns "
                          "beside objective.retain 0, expected none: they would not be held. Set "
                          "objective.retain, their weight, or leave them out."));
  EXPECT_THAT(faults_of_overrides({"objective.retain=0.3"}),
              ElementsAre("[command line: objective.retain=0.3] objective.retain: got 0.3 without "
                          "data.retain, expected 0: there are no texts to hold. Name files of "
                          "plain texts in data.retain."));
  EXPECT_THAT(faults_of_overrides({"objective.name=sft", "data.retain=[a.txt]"}),
              ElementsAre("[command line: data.retain=[a.txt]] data.retain: got 1 pattern, "
                          "expected none: objective sft holds no texts. Leave it out."));
  for (const char* name : {"contrastive_perplexity", "prototype", "transfer", "cycle"}) {
    EXPECT_THAT(faults_of_overrides({std::string("objective.name=") + name, "objective.retain=0.3",
                                     "data.retain=[a.txt]"}),
                IsEmpty())
        << name;
  }
}

TEST(TrainConfig, ACacheOfTheBaseThatIsOffHasNoFile) {
  EXPECT_THAT(
      faults_with("objective: {name: cycle, cache_base: false, base_cache: c.bin}\n"),
      ElementsAre("[t.yaml:4] objective.base_cache: got 'c.bin' beside cache_base false, expected "
                  "null."));
}

TEST(TrainConfig, KeysThatThePapersFormHasNotAreTold) {
  EXPECT_THAT(
      faults_with("objective: {form: paper, label_smoothing: 0.1, num_hard_negatives: 0}\n"),
      ElementsAre("[t.yaml] objective.centroid: got batch beside form paper, expected group or "
                  "base: there each group has its own.",
                  "[t.yaml:4] objective.label_smoothing: got 0.1 beside form paper, expected 0: it "
                  "has no labels.",
                  "[t.yaml:4] objective.num_hard_negatives: got 0 beside form paper and without "
                  "random negatives, expected 1 or more: the loss would be 0."));
  EXPECT_THAT(faults_with("objective: {form: paper, centroid: group}\n"), IsEmpty());
}

TEST(TrainConfig, KeysThatTheBoundedPushHasNotAreTold) {
  EXPECT_THAT(
      faults_with("objective: {push: npo, form: paper, centroid: group, num_hard_negatives: 0}\n"),
      ElementsAre("[t.yaml:4] objective.form: got paper beside push npo, expected code: npo has no "
                  "scores.",
                  "[t.yaml:4] objective.num_hard_negatives: got 0 beside push npo and without "
                  "random negatives, expected 1 or more: there would be nothing to push."));
  EXPECT_THAT(faults_with("objective: {push: npo, hold: 1}\n"), IsEmpty());
}

TEST(TrainConfig, TwoLengthsOfWarmupAreTold) {
  EXPECT_THAT(faults_with("schedule: {warmup_ratio: 0.1, warmup_steps: 5}\n"),
              ElementsAre("[t.yaml:4] schedule.warmup_steps: got 5 beside warmup_ratio 0.1, "
                          "expected one of them."));
}

TEST(TrainConfig, PreferenceKeysThatContradictAreTold) {
  EXPECT_THAT(
      faults_with("objective: {name: dpo, loss: hinge, label_smoothing: 0.1}\n"),
      ElementsAre("[t.yaml:4] objective.label_smoothing: got 0.1 beside loss hinge, expected 0: "
                  "only sigmoid, robust and exo_pair smooth."));
  EXPECT_THAT(
      faults_with("objective: {name: dpo, loss: exo_pair}\n"),
      ElementsAre(
          "[t.yaml] objective.label_smoothing: got 0 beside loss exo_pair, expected more: "
          "it is the distance from certainty that the loss aims at (its paper has 0.001)."));
  EXPECT_THAT(
      faults_with("objective: {name: cpo, loss: hinge, label_smoothing: 0.1}\n"),
      ElementsAre("[t.yaml:4] objective.label_smoothing: got 0.1 beside loss hinge, expected 0: "
                  "only sigmoid smooths."));
  EXPECT_THAT(
      faults_with("objective: {name: orpo, rejected_per_chosen: 2}\n"),
      ElementsAre("[t.yaml:4] objective.rejected_per_chosen: got 2, expected 1: orpo has one "
                  "rejected answer."));
  EXPECT_THAT(
      faults_with("objective: {name: npo, cache_reference: false, reference_cache: c.bin}\n"),
      ElementsAre("[t.yaml:4] objective.reference_cache: got 'c.bin' beside cache_reference false, "
                  "expected null."));
  EXPECT_THAT(
      faults_with("objective: {name: dpo, loss: ipo, rejected_per_chosen: 2}\n"),
      ElementsAre("[t.yaml:4] objective.rejected_per_chosen: got 2 beside loss ipo, expected 1: "
                  "only sigmoid takes several rejected answers."));
  EXPECT_THAT(
      faults_with("objective: {name: dpo, label_smoothing: 0.1, rejected_per_chosen: 2}\n"),
      ElementsAre("[t.yaml:4] objective.rejected_per_chosen: got 2 beside label_smoothing 0.1, "
                  "expected 1: only sigmoid without smoothing takes several rejected answers."));
  EXPECT_THAT(
      faults_with("objective: {name: dpo, cache_reference: false, reference_cache: c.bin}\n"),
      ElementsAre("[t.yaml:4] objective.reference_cache: got 'c.bin' beside cache_reference "
                  "false, expected null."));
  EXPECT_THAT(faults_with("objective: {name: dpo, prompt: Say it}\n"),
              ElementsAre("[t.yaml:4] objective.prompt: got 'Say it', expected {input} in it, "
                          "where a record's input goes."));
  EXPECT_THAT(faults_with("objective: {name: dpo, max_prompt_tokens: 256}\n"),
              ElementsAre("[t.yaml:4] objective.max_prompt_tokens: got 256 beside "
                          "data.max_tokens 256, expected less: an answer needs room."));
  EXPECT_THAT(faults_with("objective: {name: simpo, rejected_per_chosen: 0}\n"),
              ElementsAre("[t.yaml:4] objective.rejected_per_chosen: got 0, expected 1: simpo has "
                          "one rejected answer."));
  EXPECT_THAT(faults_with("objective: {name: simpo, loss: hinge, label_smoothing: 0.2}\n"),
              ElementsAre("[t.yaml:4] objective.label_smoothing: got 0.2 beside loss hinge, "
                          "expected 0: only sigmoid smooths."));
}

TEST(TrainConfig, KtoKeysThatContradictAreTold) {
  EXPECT_THAT(faults_with("objective: {name: kto, prompt: Say it}\n"),
              ElementsAre("[t.yaml:4] objective.prompt: got 'Say it', expected {input} in it, "
                          "where a record's input goes."));
  EXPECT_THAT(faults_with("objective: {name: kto, max_prompt_tokens: 256}\n"),
              ElementsAre("[t.yaml:4] objective.max_prompt_tokens: got 256 beside "
                          "data.max_tokens 256, expected less: an answer needs room."));
  EXPECT_THAT(faults_with("objective: {name: kto, desirable_weight: 0, undesirable_weight: 0}\n"),
              ElementsAre("[t.yaml:4] objective.desirable_weight: got 0 beside "
                          "undesirable_weight 0, expected one > 0: nothing would be trained."));
  EXPECT_THAT(
      faults_with("objective: {name: kto, cache_reference: false, reference_cache: c.bin}\n"),
      ElementsAre("[t.yaml:4] objective.reference_cache: got 'c.bin' beside cache_reference "
                  "false, expected null."));
}

constexpr const char* kPpo = "objective: {name: ppo}\nreward: {model: r}\n";

TEST(TrainConfig, RolloutAndRewardBelongToPpo) {
  EXPECT_THAT(faults_with("objective: {name: sft}\nrollout: {batch_size: 4}\nreward: {model: r}\n"),
              ElementsAre("[t.yaml:5] rollout: a section of ppo, but objective.name is sft.",
                          "[t.yaml:6] reward: a section of ppo, but objective.name is sft."));
  // Where they stand before the objective, too.
  EXPECT_THAT(faults_with("reward: {model: r}\nrollout: {batch_size: 4}\nobjective: {name: ppo}\n"),
              IsEmpty());
  EXPECT_THAT(faults_of(std::string(kLeastConfig) + kPpo, {"rollout.batch_size=8"}), IsEmpty());
  EXPECT_THAT(faults_of_overrides({"rollout.batch_size=8"}),
              ElementsAre("[command line: rollout.batch_size=8] rollout: a section of ppo, but "
                          "objective.name is contrastive_perplexity."));
  EXPECT_THAT(faults_with(std::string(kPpo) + "rollout: {batch_sise: 8}\n"),
              ElementsAre(HasSubstr("[t.yaml:6] rollout.batch_sise: unknown key. Did you mean "
                                    "'rollout.batch_size'?")));
}

TEST(TrainConfig, RolloutAndRewardAreOnlyPrintedWithPpo) {
  EXPECT_THAT(train_config_yaml(least_config()), testing::Not(HasSubstr("rollout:")));
  const auto ppo = parse_train_config(std::string(kLeastConfig) + kPpo, "t.yaml");
  const std::string yaml = train_config_yaml(ppo);
  EXPECT_THAT(yaml, HasSubstr("\nrollout:\n  prompt: \"{input}\"\n"));
  EXPECT_THAT(yaml, HasSubstr("\nreward:\n  model: r\n"));
  EXPECT_EQ(train_config_yaml(parse_train_config(yaml, "config.yaml")), yaml);
}

TEST(TrainConfig, PpoKeysThatContradictAreTold) {
  const auto faults = [](const std::vector<std::string>& overrides) {
    return faults_of(std::string(kLeastConfig) + kPpo, overrides);
  };
  EXPECT_THAT(faults({"rollout.batch_size=6", "training.accumulate=2"}),
              ElementsAre("[command line: rollout.batch_size=6] rollout.batch_size: got 6, "
                          "expected a multiple of 4 (training.groups 2 x training.accumulate 2): "
                          "a step learns from one rollout."));
  EXPECT_THAT(faults({"rollout.max_new_tokens=10"}),
              ElementsAre("[command line: rollout.max_new_tokens=10] rollout.max_new_tokens: got "
                          "10, expected at least 20 (rollout.min_new_tokens)."));
  EXPECT_THAT(faults({"rollout.max_prompt_tokens=10"}),
              ElementsAre("[command line: rollout.max_prompt_tokens=10] "
                          "rollout.max_prompt_tokens: got 10, expected at least 30 "
                          "(rollout.min_prompt_tokens), or 0."));
  EXPECT_THAT(faults({"rollout.prompt=Say it"}),
              ElementsAre(HasSubstr("rollout.prompt: got 'Say it', expected {input} in it")));
  EXPECT_THAT(faults({"reward.words=[tea]"}),
              ElementsAre("[t.yaml:5] reward.model: got both, expected either a classifier or "
                          "reward.words."));
  EXPECT_THAT(faults({"reward.model=null"}),
              ElementsAre(HasSubstr("reward.model: got neither, expected either a classifier")));
  EXPECT_THAT(faults({"reward.model=null", "reward.words=[tea]", "reward.output=probability"}),
              ElementsAre(HasSubstr("reward.output: got probability, expected logit: words are "
                                    "counted.")));
}

TEST(TrainConfig, TheMetricMustBeOneOfTheObjectives) {
  EXPECT_THAT(faults_of_overrides({"evaluation.metric=score"}),
              ElementsAre(HasSubstr("evaluation.metric: got score, expected loss, separation or "
                                    "ratio: only ppo has scores.")));
  EXPECT_THAT(faults_of(std::string(kLeastConfig) + kPpo, {"evaluation.metric=ratio"}),
              ElementsAre(HasSubstr("evaluation.metric: got ratio, expected loss or score: ppo has "
                                    "no texts of two sides.")));
}

TEST(TrainConfig, HeldOutPromptsAreEvaluationEnoughForPatience) {
  const std::string text = std::string(kLeastConfig) + kPpo;
  EXPECT_THAT(faults_of(text, {"evaluation.early_stopping_patience=2"}),
              ElementsAre(HasSubstr("expected 0 where data.eval is empty")));
  EXPECT_THAT(faults_of(text, {"evaluation.early_stopping_patience=2", "rollout.held_out=0.1"}),
              IsEmpty());
}

TEST(TrainConfig, RefusesFloat16) {
  EXPECT_THAT(
      faults_of_overrides({"model.dtype=float16"}),
      ElementsAre("[command line: model.dtype=float16] model.dtype: got 'float16', expected "
                  "auto, float32 or bfloat16: the gradients of training leave float16's "
                  "range."));
}

TEST(TrainConfig, RefusesNumbersOutOfRange) {
  for (const char* text : {"adapter.rank=0",
                           "adapter.alpha=0",
                           "adapter.dropout=1",
                           "adapter.dropout=-0.1",
                           "data.max_tokens=1",
                           "objective.num_positives=0",
                           "objective.num_hard_negatives=-1",
                           "objective.num_random_negatives=-1",
                           "objective.tau=0",
                           "objective.label_smoothing=1",
                           "objective.anchor=-1",
                           "objective.hold=-1",
                           "objective.beta=-1",
                           "objective.alpha=-1",
                           "optimizer.lr=0",
                           "optimizer.betas=[0.9, 1]",
                           "optimizer.eps=0",
                           "optimizer.weight_decay=-1",
                           "optimizer.max_grad_norm=-1",
                           "optimizer.lora_plus_ratio=0",
                           "schedule.warmup_ratio=1.1",
                           "schedule.decay_ratio=-0.1",
                           "training.epochs=-1",
                           "training.max_steps=-1",
                           "training.groups=0",
                           "training.accumulate=0",
                           "training.seed=-1",
                           "evaluation.every_steps=-1",
                           "evaluation.early_stopping_patience=-1",
                           "checkpoint.every_steps=-1",
                           "checkpoint.keep_last=-1",
                           "logging.every_steps=-1",
                           "data.train=[]",
                           "adapter.target_modules=[]"}) {
    EXPECT_THAT(faults_of_overrides({text}), ElementsAre(HasSubstr("expected "))) << text;
  }
}

TEST(TrainConfig, RefusesTargetModulesThatContradict) {
  EXPECT_THAT(faults_of_overrides({"adapter.target_modules=[q_proj, q_proj]"}),
              ElementsAre("[command line: adapter.target_modules=[q_proj, q_proj]] "
                          "adapter.target_modules: a name is given twice, expected different "
                          "names."));
  EXPECT_THAT(faults_of_overrides({"adapter.target_modules=[all-linear, lm_head]"}),
              ElementsAre("[command line: adapter.target_modules=[all-linear, lm_head]] "
                          "adapter.target_modules: got all-linear beside other names, expected it "
                          "alone, or names."));
}

TEST(TrainConfig, RefusesAnObjectiveWithoutWeights) {
  EXPECT_THAT(faults_of_overrides({"objective.beta=0"}),
              ElementsAre("[command line: objective.beta=0] objective.beta: beta, anchor and hold "
                          "are all 0, expected one > 0: nothing would be trained."));
  EXPECT_THAT(faults_of_overrides({"objective.beta=0", "objective.hold=1"}), IsEmpty());
}

TEST(TrainConfig, RefusesAScheduleLongerThanTheRun) {
  EXPECT_THAT(
      faults_with("schedule:\n  name: wsd\n  warmup_ratio: 0.5\n  decay_ratio: 0.75\n"),
      ElementsAre(
          "[t.yaml:7] schedule.decay_ratio: got 0.75 beside warmup_ratio 0.5, expected a sum "
          "of at most 1."));
  // Only wsd decays by ratio.
  EXPECT_THAT(faults_of_overrides({"schedule.warmup_ratio=1"}), IsEmpty());
}

TEST(TrainConfig, StepsAloneLiftTheLimitOfEpochs) {
  EXPECT_EQ(least_config({"training.max_steps=60"}).training.epochs, 0);
  const TrainConfig both = least_config({"training.max_steps=60", "training.epochs=2"});
  EXPECT_EQ(both.training.epochs, 2);
  EXPECT_EQ(both.training.max_steps, 60);
  EXPECT_EQ(least_config({"training.max_steps=0"}).training.epochs, 4);
  EXPECT_THAT(faults_of_overrides({"training.epochs=0"}),
              ElementsAre("[command line: training.epochs=0] training.epochs: epochs and max_steps "
                          "are both 0, expected one > 0."));
}

TEST(TrainConfig, EarlyStoppingNeedsEvaluations) {
  EXPECT_THAT(
      faults_of_overrides({"evaluation.early_stopping_patience=3", "evaluation.every_steps=0"}),
      ElementsAre("[command line: evaluation.early_stopping_patience=3] "
                  "evaluation.early_stopping_patience: got 3, expected 0 where data.eval is empty.",
                  "[command line: evaluation.early_stopping_patience=3] "
                  "evaluation.early_stopping_patience: got 3, expected 0 where "
                  "evaluation.every_steps is 0."));
  EXPECT_THAT(faults_of_overrides({"evaluation.early_stopping_patience=3", "data.eval=[e.json]"}),
              IsEmpty());
}

TEST(TrainConfig, FaultsOfValuesAndBetweenThemAreToldTogether) {
  EXPECT_THAT(faults_of_overrides({"optimizer.lr=fast", "model.dtype=float16"}),
              ElementsAre(HasSubstr("optimizer.lr: got 'fast'"), HasSubstr("got 'float16'")));
}

TEST(TrainConfig, NoticesRandomNegativesWithoutGradient) {
  EXPECT_THAT(train_config_notices(least_config()), IsEmpty());
  EXPECT_THAT(
      train_config_notices(least_config({"objective.num_random_negatives=6"})),
      ElementsAre("[command line: objective.num_random_negatives=6] "
                  "objective.num_random_negatives: at alpha 100 random negatives get no "
                  "gradient (their weight is e^-100), they only enter the loss's divisor."));
  EXPECT_THAT(
      train_config_notices(least_config({"objective.num_random_negatives=6", "objective.alpha=1"})),
      IsEmpty());
  EXPECT_THAT(train_config_notices(least_config({"objective.num_hard_negatives=0"})),
              ElementsAre("[command line: objective.num_hard_negatives=0] "
                          "objective.num_hard_negatives: without negatives the contrastive term "
                          "only draws the positives together."));
}

std::vector<std::string> notices_of(std::vector<std::string> overrides) {
  return train_config_notices(least_config(overrides));
}

TEST(TrainConfig, NoticesKeysWithoutEffect) {
  EXPECT_THAT(notices_of({"schedule.decay_ratio=0.2", "schedule.name=cosine"}),
              ElementsAre("[command line: schedule.decay_ratio=0.2] schedule.decay_ratio: has no "
                          "effect: only schedule.name wsd has it."));
  EXPECT_THAT(
      notices_of({"evaluation.every_steps=10", "evaluation.metric=ratio"}),
      ElementsAre("[command line: evaluation.every_steps=10] evaluation.every_steps: has no "
                  "effect: there is no data.eval.",
                  "[command line: evaluation.metric=ratio] evaluation.metric: has no "
                  "effect: there is no evaluation."));
  EXPECT_THAT(notices_of({"data.eval=[e.json]", "evaluation.every_steps=0"}),
              ElementsAre("[command line: data.eval=[e.json]] data.eval: has no effect: "
                          "evaluation.every_steps is 0."));
  EXPECT_THAT(notices_of({"checkpoint.every_steps=0", "checkpoint.keep_last=9"}),
              ElementsAre("[command line: checkpoint.keep_last=9] checkpoint.keep_last: has no "
                          "effect: checkpoint.every_steps is 0."));
  EXPECT_THAT(notices_of({"objective.beta=0", "objective.anchor=1", "objective.tau=2"}),
              ElementsAre("[command line: objective.tau=2] objective.tau: has no effect: "
                          "objective.beta is 0."));
  EXPECT_THAT(
      notices_of({"objective.push=npo", "objective.distance=signed"}),
      ElementsAre("[t.yaml] objective.hold: with push npo and without hold, anchor and retain "
                  "nothing keeps neutral text in place.",
                  "[command line: objective.distance=signed] objective.distance: has no "
                  "effect: objective.push npo has no scores."));
  EXPECT_THAT(notices_of({"objective.push_aim=2"}),
              ElementsAre("[command line: objective.push_aim=2] objective.push_aim: has no effect: "
                          "only objective.push npo has it."));
  EXPECT_THAT(notices_of({"objective.base_cache=b.bin"}),
              ElementsAre("[command line: objective.base_cache=b.bin] objective.base_cache: has no "
                          "effect: no log-likelihood of the base is asked for."));
  EXPECT_THAT(notices_of({"objective.name=ppo", "reward.words=[a]", "objective.target_kl=2",
                          "rollout.temperature=0", "rollout.top_k=5"}),
              ElementsAre("[command line: objective.target_kl=2] objective.target_kl: has no "
                          "effect: objective.early_stopping is false.",
                          "[command line: rollout.top_k=5] rollout.top_k: has no effect: "
                          "rollout.temperature is 0."));
}

TEST(TrainConfig, NoticesTextsThatAreNeverWritten) {
  EXPECT_THAT(notices_of({"training.save_samples.every_steps=5"}),
              ElementsAre("[command line: training.save_samples.every_steps=5] "
                          "training.save_samples.every_steps: has no "
                          "effect: there are no training.save_samples.prompts."));
  EXPECT_THAT(
      notices_of({"training.save_samples.prompts=[a]", "training.save_samples.every_steps=0"}),
      ElementsAre(
          "[command line: training.save_samples.prompts=[a]] training.save_samples.prompts: has no "
          "effect: training.save_samples.every_steps is 0."));
  EXPECT_THAT(notices_of({"training.save_samples.prompt_file=p.txt", "evaluation.every_steps=0"}),
              ElementsAre("[command line: training.save_samples.prompt_file=p.txt] "
                          "training.save_samples.prompt_file: "
                          "has no effect: evaluation.every_steps is 0."));
}

TEST(TrainConfig, TextsComeWithEvaluationsUnlessTheyHaveACadence) {
  EXPECT_EQ(least_config().generation_every_steps(), 0);
  EXPECT_EQ(least_config({"training.save_samples.prompts=[a]"}).generation_every_steps(), 50);
  EXPECT_EQ(
      least_config({"training.save_samples.prompts=[a]", "training.save_samples.every_steps=7"})
          .generation_every_steps(),
      7);
  // Without data.eval the cadence of evaluations has this effect.
  EXPECT_THAT(notices_of({"training.save_samples.prompts=[a]", "evaluation.every_steps=10"}),
              IsEmpty());
}

TEST(TrainConfig, KeysThatHaveTheirEffectOrTheirDefaultAreNotNoticed) {
  EXPECT_THAT(notices_of({"schedule.decay_ratio=0.2", "schedule.name=wsd"}), IsEmpty());
  EXPECT_THAT(notices_of({"schedule.decay_ratio=0.1", "evaluation.every_steps=50"}), IsEmpty());
  EXPECT_THAT(notices_of({"evaluation.every_steps=10", "data.eval=[e.json]"}), IsEmpty());
  EXPECT_THAT(notices_of({"objective.base_cache=b.bin", "objective.hold=0.5"}), IsEmpty());
  // A resolved config gives every key.
  const std::string yaml = train_config_yaml(least_config());
  EXPECT_THAT(train_config_notices(parse_train_config(yaml, "config.resolved.yaml")), IsEmpty());
}

TEST(TrainConfig, ShapeOfAnInitialAdapterIsTakenOver) {
  TrainConfig config = least_config({"adapter.init_from=runs/first", "adapter.alpha=32",
                                     "adapter.target_modules=[v_proj, k_proj]"});
  adopt_adapter_shape(
      config, {.rank = 8, .alpha = 32.0, .target_modules = {"k_proj", "v_proj"}, .rslora = true});
  EXPECT_EQ(config.adapter.rank, 8);
  EXPECT_EQ(config.adapter.alpha, 32.0);
  EXPECT_THAT(config.adapter.target_modules, ElementsAre("k_proj", "v_proj"));
  EXPECT_TRUE(config.adapter.rslora);
}

TEST(TrainConfig, GivenKeysMayNotContradictAnInitialAdapter) {
  TrainConfig config = parse_train_config(std::string(kLeastConfig) +
                                              "adapter:\n  init_from: runs/first\n  rank: 64\n"
                                              "  target_modules: all-linear\n",
                                          "t.yaml", {});
  EXPECT_THAT(testing_support::faults_of([&] {
                adopt_adapter_shape(
                    config, {.rank = 8, .alpha = 8.0, .target_modules = {"q_proj", "v_proj"}});
              }),
              ElementsAre("[t.yaml:6] adapter.rank: got 64, expected 8 (from runs/first). Leave "
                          "the key out.",
                          "[t.yaml:7] adapter.target_modules: got [all-linear], expected [q_proj, "
                          "v_proj] (from runs/first). Leave the key out."));
}

TEST(TrainConfig, TheOptimizerIsAdamwOrTheSameIn8Bits) {
  EXPECT_FALSE(least_config().optimizer.has_8bit_state());
  EXPECT_TRUE(least_config({"optimizer.name=adamw_8bit"}).optimizer.has_8bit_state());
  EXPECT_THAT(faults_of_overrides({"optimizer.name=adamw_bnb_8bit"}),
              ElementsAre("[command line: optimizer.name=adamw_bnb_8bit] optimizer.name: got "
                          "'adamw_bnb_8bit', expected one of adamw, adamw_8bit. Did you mean "
                          "'adamw_8bit'?"));
}

TEST(TrainConfig, DifferencesNameWhatMayNotChangeOnResume) {
  const TrainConfig saved = least_config();
  EXPECT_THAT(config_differences(saved, saved), IsEmpty());
  EXPECT_THAT(config_differences(
                  saved, least_config({"optimizer.lr=1e-3", "model.path=other", "training.epochs=9",
                                       "logging.every_steps=10", "checkpoint.keep_last=1"})),
              ElementsAre("model.path: got other, expected m (from the saved run).",
                          "optimizer.lr: got 0.001, expected 0.0002 (from the saved run)."));
  EXPECT_THAT(
      config_differences(least_config({"objective.name=sft"}),
                         least_config({"objective.num_positives=6"})),
      testing::Contains("objective.name: got contrastive_perplexity, expected sft (from the saved "
                        "run)."));
}

TEST(TrainConfig, KeysFreeOnResumeAreLengthCadenceAndPlace) {
  EXPECT_THAT(
      keys_free_on_resume(),
      UnorderedElementsAre(
          "training.epochs", "training.max_steps", "training.output", "training.recompute",
          "evaluation.every_steps", "evaluation.early_stopping_patience", "checkpoint.every_steps",
          "checkpoint.keep_last", "checkpoint.keep_best", "logging.every_steps",
          "logging.tensorboard", "training.save_samples.prompts",
          "training.save_samples.prompt_file", "training.save_samples.every_steps",
          "training.save_samples.max_new_tokens", "objective.cache_base", "objective.base_cache"));
}

TEST(TrainConfig, AnyBytesGiveAConfigOrFaults) {
  const std::string text =
      read_text_file(std::filesystem::path(CPX_SOURCE_DIR) / "configs" / "demo.yaml");
  int num_refused = 0;
  for (uint64_t round = 0; round < 1000; ++round) {
    CounterRng rng(/*seed=*/1, {round});
    std::string changed = text.substr(0, round % 2 == 0 ? text.size() : rng.below(text.size()));
    for (uint64_t change = 0; change < 1 + round % 3 && !changed.empty(); ++change) {
      static constexpr std::string_view kBytes = "\n\t :-[]{}'\"&*<!|>%@#,?01eE.\\\x01\xff";
      changed[rng.below(changed.size())] = kBytes[rng.below(kBytes.size())];
    }
    try {
      const std::string yaml = train_config_yaml(parse_train_config(changed, "t.yaml"));
      EXPECT_EQ(train_config_yaml(parse_train_config(yaml, "config.yaml")), yaml) << changed;
    } catch (const ConfigError& error) {
      for (const Fault& fault : error.faults()) {
        EXPECT_THAT(fault.text(), testing::Not(HasSubstr("\n"))) << changed;
      }
      ++num_refused;
    }
  }
  EXPECT_GT(num_refused, 300);
}

// The files of configs/ and all its folders.
std::vector<std::filesystem::path> shipped_configs() {
  std::vector<std::filesystem::path> files;
  for (const char* folder : {"configs", "benchmarks/configs"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(
             std::filesystem::path(CPX_SOURCE_DIR) / folder,
             std::filesystem::directory_options::follow_directory_symlink)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  return files;
}

TEST(ShippedConfigs, AllLoadResolveAndLoadAgain) {
  const std::vector<std::filesystem::path> files = shipped_configs();
  EXPECT_GE(files.size(), 5);
  for (const auto& file : files) {
    SCOPED_TRACE(file.string());
    EXPECT_EQ(file.extension(), ".yaml");
    try {
      const std::string yaml = train_config_yaml(load_train_config(file));
      EXPECT_EQ(train_config_yaml(parse_train_config(yaml, "config.yaml")), yaml);
    } catch (const ConfigError& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(ShippedConfigs, OpenWithNeedsLaunchLineAndOneOverride) {
  for (const auto& file : shipped_configs()) {
    SCOPED_TRACE(file.string());
    const std::string text = read_text_file(file);
    const std::string name = file.lexically_relative(CPX_SOURCE_DIR).string();
    EXPECT_THAT(text, testing::StartsWith("# SPDX-License-Identifier: Apache-2.0\n"));
    EXPECT_THAT(text, HasSubstr("# Needs: "));
    EXPECT_THAT(text, HasSubstr("# Launch:        cpx-train --config " + name));
    EXPECT_THAT(text, HasSubstr("# One override:  cpx-train --config " + name));
  }
}

TEST(ShippedConfigs, MistralIsThePublishedRecipe) {
  const auto root = std::filesystem::path(CPX_SOURCE_DIR) / "configs";
  for (const char* name : {"mistral.yaml", "published/mistral.yaml"}) {
    SCOPED_TRACE(name);
    const TrainConfig config = load_train_config(root / name);
    EXPECT_EQ(config.model.dtype, ComputeType::kBfloat16);
    EXPECT_EQ(config.adapter.rank, 64);
    EXPECT_EQ(config.adapter.alpha, 16);
    EXPECT_EQ(config.adapter.dropout, 0.1);
    EXPECT_THAT(config.adapter.target_modules, ElementsAre("q_proj", "v_proj"));
    EXPECT_EQ(value_of(config, "objective.num_positives"), "5");
    EXPECT_EQ(value_of(config, "objective.num_hard_negatives"), "5");
    EXPECT_EQ(value_of(config, "objective.alpha"), "100.0");
    EXPECT_EQ(config.optimizer.lr, 2.2e-5);
    EXPECT_EQ(config.optimizer.weight_decay, 0);
    EXPECT_EQ(config.schedule.kind, training::ScheduleKind::kLinear);
    EXPECT_EQ(config.schedule.warmup_ratio, 0.005);
    EXPECT_EQ(config.training.epochs, 5);
    EXPECT_EQ(config.training.groups, 2);
    EXPECT_EQ(config.training.accumulate, 6);
  }
}

TEST(ShippedConfigs, PublishedMistralHasThePublishedQuirks) {
  const auto root = std::filesystem::path(CPX_SOURCE_DIR) / "configs" / "published";
  const TrainConfig config = load_train_config(root / "mistral.yaml");
  EXPECT_EQ(value_of(config, "objective.padding"), "published");
  EXPECT_EQ(value_of(config, "objective.centroid"), "batch");
  EXPECT_EQ(value_of(config, "objective.distance"), "absolute");
  EXPECT_TRUE(config.data.drop_last);
}

// No published script hands lr_scheduler_type, max_grad_norm or weight_decay to its
// TrainingArguments, whose defaults are linear, 1.0 and 0. PPO's loop has an Adam of its own,
// without schedule and clipping.
TEST(ShippedConfigs, PublishedSchedulesAreThoseInEffect) {
  const auto root = std::filesystem::path(CPX_SOURCE_DIR) / "configs" / "published";
  int num_configs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (entry.path().filename() == "ppo.yaml") continue;
    SCOPED_TRACE(entry.path().string());
    const TrainConfig config = load_train_config(entry.path());
    EXPECT_EQ(config.schedule.kind, training::ScheduleKind::kLinear);
    EXPECT_EQ(config.optimizer.max_grad_norm, 1.0);
    EXPECT_EQ(config.optimizer.weight_decay, 0.0);
    ++num_configs;
  }
  EXPECT_GE(num_configs, 9);
}

// The published README's command for train_mistral.py, and its script's defaults.
TEST(ShippedConfigs, MistralReadmeIsThePublishedCommand) {
  const auto root = std::filesystem::path(CPX_SOURCE_DIR) / "configs" / "published";
  const TrainConfig config = load_train_config(root / "mistral-readme.yaml");
  EXPECT_EQ(value_of(config, "objective.num_positives"), "6");
  EXPECT_EQ(value_of(config, "objective.num_hard_negatives"), "6");
  EXPECT_EQ(value_of(config, "objective.num_random_negatives"), "6");
  EXPECT_EQ(value_of(config, "objective.alpha"), "100.0");
  EXPECT_EQ(value_of(config, "objective.padding"), "published");
  EXPECT_THAT(config.adapter.target_modules, ElementsAre("q_proj", "v_proj", "k_proj", "o_proj"));
  EXPECT_EQ(config.adapter.rank, 64);
  EXPECT_EQ(config.optimizer.lr, 2e-5);
  EXPECT_EQ(config.schedule.warmup_ratio, 0);
  EXPECT_EQ(config.training.epochs, 3);
  EXPECT_EQ(config.training.groups, 2);
  EXPECT_EQ(config.training.accumulate, 4);
}

// The published README's command for train_mistral_hard_negatives.py, and its script's defaults;
// PEFT's default layers for a Mistral are q_proj and v_proj.
TEST(ShippedConfigs, HardNegativesIsThePublishedCommand) {
  const auto root = std::filesystem::path(CPX_SOURCE_DIR) / "configs" / "published";
  const TrainConfig config = load_train_config(root / "hard-negatives.yaml");
  EXPECT_EQ(value_of(config, "objective.num_positives"), "5");
  EXPECT_EQ(value_of(config, "objective.num_hard_negatives"), "5");
  EXPECT_EQ(value_of(config, "objective.num_random_negatives"), "6");
  EXPECT_EQ(value_of(config, "objective.padding"), "published");
  EXPECT_THAT(config.adapter.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(config.optimizer.lr, 2.2e-5);
  EXPECT_EQ(config.schedule.warmup_ratio, 0);
  EXPECT_EQ(config.training.epochs, 5);
  EXPECT_EQ(config.training.groups, 2);
  EXPECT_EQ(config.training.accumulate, 6);
}

// The counts and weights of the published scripts are the defaults; cycle's alpha is divided
// otherwise (docs/objectives.md).
TEST(ShippedConfigs, PublishedVariantsAreThePublishedScripts) {
  const auto root = std::filesystem::path(CPX_SOURCE_DIR) / "configs" / "published";
  const TrainConfig prototype = load_train_config(root / "prototype.yaml");
  EXPECT_EQ(value_of(prototype, "objective.num_positives"), "2");
  EXPECT_EQ(value_of(prototype, "objective.num_hard_negatives"), "6");
  EXPECT_EQ(value_of(prototype, "objective.longest"), "batch");
  EXPECT_EQ(prototype.optimizer.lr, 1e-4);
  EXPECT_EQ(prototype.training.groups * prototype.training.accumulate, 16);

  const TrainConfig transfer = load_train_config(root / "transfer.yaml");
  EXPECT_EQ(value_of(transfer, "objective.num_positives"), "3");
  EXPECT_EQ(value_of(transfer, "objective.num_hard_negatives"), "6");
  EXPECT_EQ(value_of(transfer, "objective.alpha"), "100.0");
  EXPECT_EQ(transfer.training.groups * transfer.training.accumulate, 20);

  const TrainConfig cycle = load_train_config(root / "cycle.yaml");
  EXPECT_EQ(value_of(cycle, "objective.num_positives"), "6");
  EXPECT_EQ(value_of(cycle, "objective.num_hard_negatives"), "6");
  EXPECT_NEAR(std::stod(value_of(cycle, "objective.alpha")) / (6 + 1), 100.0 / 19, 1e-12);
  EXPECT_EQ(value_of(cycle, "objective.centroid"), "batch");

  // train_zephyr.py divides by 2 x positives + 1.
  const TrainConfig zephyr = load_train_config(root / "zephyr.yaml");
  EXPECT_EQ(value_of(zephyr, "objective.num_positives"), "6");
  EXPECT_EQ(value_of(zephyr, "objective.num_hard_negatives"), "6");
  EXPECT_NEAR(std::stod(value_of(zephyr, "objective.alpha")) / (6 + 1), 100.0 / 13, 1e-12);
  EXPECT_EQ(zephyr.optimizer.lr, 2e-4);
  EXPECT_EQ(zephyr.training.groups * zephyr.training.accumulate, 8);
  for (const TrainConfig& config : {prototype, transfer, cycle, zephyr}) {
    EXPECT_EQ(config.schedule.kind, training::ScheduleKind::kLinear);
    EXPECT_TRUE(config.data.drop_last);
  }
}

TEST(ShippedConfigs, PublishedDpoIsThePublishedScript) {
  const auto root = std::filesystem::path(CPX_SOURCE_DIR) / "configs" / "published";
  const TrainConfig config = load_train_config(root / "dpo.yaml");
  EXPECT_THAT(value_of(config, "objective.prompt"), HasSubstr("### Input: ```{input}```"));
  EXPECT_EQ(value_of(config, "objective.prompt"),
            value_of(least_config({"objective.name=dpo"}), "objective.prompt"));
  EXPECT_EQ(value_of(config, "objective.max_prompt_tokens"), "128");
  EXPECT_EQ(value_of(config, "objective.beta"), "0.1");
  EXPECT_EQ(config.data.max_tokens, 512);
  EXPECT_EQ(config.adapter.rank, 64);
  EXPECT_THAT(config.adapter.target_modules, testing::Contains("lm_head"));
  EXPECT_EQ(config.adapter.target_modules.size(), 8);
  EXPECT_EQ(config.optimizer.lr, 2e-4);
  EXPECT_EQ(config.schedule.kind, training::ScheduleKind::kLinear);
}

TEST(ShippedConfigs, PublishedPpoIsThePublishedScript) {
  const auto root = std::filesystem::path(CPX_SOURCE_DIR) / "configs" / "published";
  const TrainConfig config = load_train_config(root / "ppo.yaml");
  EXPECT_EQ(value_of(config, "objective.ppo_epochs"), "1");
  EXPECT_EQ(config.adapter.target_modules.size(), 8);
  EXPECT_THAT(config.adapter.target_modules, testing::Contains("lm_head"));
  EXPECT_EQ(config.optimizer.lr, 2.94e-5);
  EXPECT_EQ(config.optimizer.max_grad_norm, 0.0);
  EXPECT_EQ(config.schedule.kind, training::ScheduleKind::kConstant);
  EXPECT_EQ(config.training.groups, 4);
  EXPECT_EQ(config.training.accumulate, 2);
  const std::vector<std::pair<const char*, const char*>> published = {
      {"rollout.held_out", "0.2"},
      {"rollout.batch_size", "16"},
      {"rollout.min_prompt_tokens", "30"},
      {"rollout.max_prompt_tokens", "40"},
      {"rollout.min_new_tokens", "20"},
      {"rollout.max_new_tokens", "30"},
      {"rollout.top_k", "0"},
      {"rollout.top_p", "1.0"},
      {"reward.with_prompt", "false"},
      {"reward.label", "\"0\""},
      {"reward.output", "logit"},
  };
  for (const auto& [key, value] : published) EXPECT_EQ(value_of(config, key), value) << key;
}

// CPX_WRITE_DOCS=1 makes this test write the file instead of comparing it.
TEST(TrainConfigDocs, ConfigPageListsEveryKeyAsItIs) {
  const auto page = std::filesystem::path(CPX_SOURCE_DIR) / "docs" / "config.md";
  if (std::getenv("CPX_WRITE_DOCS") != nullptr) {
    write_file_atomically(page, train_config_markdown());
  }
  EXPECT_EQ(read_text_file(page), train_config_markdown())
      << "docs/config.md is out of date. Write it anew: CPX_WRITE_DOCS=1 "
         "build/dev/bin/tests/cpx_recipes_tests --gtest_filter='TrainConfigDocs.*'";
}

TEST(TrainConfigDocs, HelpListsEveryKey) {
  const std::string help = train_config_help();
  EXPECT_THAT(help, HasSubstr("  model.path (path; required)\n"));
  EXPECT_THAT(help, HasSubstr("  optimizer.lr (number > 0; default 0.0002)\n"));
  EXPECT_THAT(help, HasSubstr("  objective.hold [contrastive_perplexity] (number >= 0; default "
                              "0.0)\n"));
  EXPECT_THAT(help, HasSubstr("  objective.num_positives [sft] (whole number >= 1; default 6)\n"));
  EXPECT_THAT(help, testing::Not(HasSubstr("not in this version: p")));
}

}  // namespace train_config_test
}  // namespace cpx::recipes
