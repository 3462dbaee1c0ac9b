// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/ppo_step.h"

#include <cmath>
#include <functional>
#include <gmock/gmock.h>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/training/trainer.h"
#include "tests/support/errors.h"
#include "tests/support/tensors.h"
#include "tiny_ppo.h"

namespace cpx::training {
namespace ppo_step_test {

namespace fs = std::filesystem;
using testing::_;
using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing_support::is_close;
using testing_support::message_of;
using torch::Tensor;

std::vector<nlohmann::json> lines_of(const fs::path& file) {
  std::vector<nlohmann::json> lines;
  std::istringstream content(read_text_file(file));
  for (std::string line; std::getline(content, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

// The lines of optimizer steps.
std::vector<nlohmann::json> step_lines(const fs::path& run) {
  auto lines = lines_of(run / "metrics.jsonl");
  std::erase_if(lines, [](const auto& line) { return !line.contains("loss"); });
  return lines;
}

// One micro batch a step, evaluation and checkpoints only at the end, no dropout.
TrainerOptions step_options(const fs::path& run) {
  auto options = tiny_options(run);
  options.epochs = 1;
  options.accumulate = 1;
  options.schedule = {};
  options.evaluate_every = 0;
  options.checkpoint_every = 0;
  return options;
}

std::string error_of(const std::function<void()>& action) {
  return message_of<std::exception>([&] { action(); });
}

// Prompts of a micro batch, as its records name them: "rollout 0, prompt 5".
std::vector<int64_t> prompts_of(const MicroBatch& micro_batch) {
  std::vector<int64_t> prompts;
  for (const std::string& record : micro_batch.info().records) {
    prompts.push_back(std::stoll(record.substr(record.rfind(' '))));
  }
  return prompts;
}

// ---- Order --------------------------------------------------------------------------------------

TEST(PpoStep, CountsItsMicroBatches) {
  auto options = tiny_ppo_options();
  options.ppo_epochs = 3;
  EXPECT_EQ(micro_batches_per_rollout(options), 6);
  EXPECT_EQ(rollouts_per_epoch(11, options), 2);
  const TinyPpo world(11);
  const TinyModel model;
  EXPECT_EQ(world.task(model, options).num_micro_batches(), 12);
}

TEST(PpoStep, EachPassVisitsARolloutsResponsesOnceInAnOrderOfItsOwn) {
  const TinyPpo world(16);
  TinyModel model;
  auto options = tiny_ppo_options();
  options.batch_size = 8;
  auto task = world.task(model, options);
  std::vector<std::vector<int64_t>> passes;
  for (int64_t index = 0; index < 16; ++index) {
    if (index % 4 == 0) passes.emplace_back();
    const auto prompts = prompts_of(*task.prepare(model, 0, index));
    EXPECT_THAT(prompts, SizeIs(2));
    passes.back().insert(passes.back().end(), prompts.begin(), prompts.end());
  }
  const auto members = [&](size_t pass) {
    return std::set<int64_t>(passes[pass].begin(), passes[pass].end());
  };
  EXPECT_THAT(members(0), SizeIs(8));
  EXPECT_EQ(members(0), members(1));
  EXPECT_NE(passes[0], passes[1]);
  EXPECT_EQ(members(2), members(3));
  std::set<int64_t> epoch = members(0);
  epoch.merge(members(2));
  EXPECT_THAT(epoch, SizeIs(16));
}

// ---- A rollout ----------------------------------------------------------------------------------

// The figures again, from the responses' own texts through plain operators.
TEST(PpoStep, AdvantagesAreThoseOfObjectives) {
  const TinyPpo world(4);
  TinyModel model;
  auto options = tiny_ppo_options();
  options.kl.init_kl_coef = 0.3;
  options.scores = {.missing_eos_penalty = 0.5, .use_score_scaling = true};
  auto task = world.task(model, options);
  task.prepare(model, 0, 0);
  const Rollout& rollout = task.rollout();

  const auto head = task.trainable();
  std::vector<double> nll, reference_nll, values;
  std::vector<objectives::ResponseScore> scores;
  const torch::NoGradGuard no_grad;
  for (const Response& response : rollout.responses) {
    Tensor hidden;
    const auto own = plain_nll(plain_log_probs(model, response, &hidden), response);
    const auto value = at::linear(hidden, head[0].value, head[1].value).squeeze(1);
    for (const double number : nn::to_doubles(own)) nll.push_back(number);
    for (const double number : nn::to_doubles(value)) values.push_back(number);
    {
      const nn::AdapterOffGuard adapter_off;
      const auto reference = plain_nll(plain_log_probs(model, response), response);
      for (const double number : nn::to_doubles(reference)) reference_nll.push_back(number);
    }
    const auto rewarded = std::ranges::count_if(response.ids, is_rewarded);
    scores.push_back({.score = static_cast<double>(rewarded), .has_eos = response.ids.back() == 2});
  }
  const auto ranges = token_ranges(rollout.responses);
  const auto processed = objectives::process_scores(scores, options.scores, {});
  const auto rewards = objectives::token_rewards(
      {.responses = ranges, .token_nll = nll, .reference_token_nll = reference_nll},
      processed.scores, objectives::KlPenalty::kKl, 0.3);
  const auto expected = objectives::compute_advantages(ranges, values, rewards.rewards, {});
  const auto equals = [](const std::vector<double>& actual, const std::vector<double>& wanted) {
    return is_close(at::tensor(actual, at::kDouble), at::tensor(wanted, at::kDouble), at::kFloat);
  };
  EXPECT_TRUE(equals(rollout.old_nll, nll));
  EXPECT_TRUE(equals(rollout.old_values, values));
  EXPECT_TRUE(equals(rollout.advantages, expected.advantages));
  EXPECT_TRUE(equals(rollout.returns, expected.returns));
  EXPECT_NEAR(rollout.figures.at("kl"), rewards.mean_kl, 1e-5);
  for (size_t i = 0; i < scores.size(); ++i) EXPECT_EQ(rollout.scores[i], scores[i].score);
}

TEST(PpoStep, TheKlCoefficientIsUpdatedOnceARollout) {
  const TinyPpo world(8);
  TinyModel model;
  auto options = tiny_ppo_options();
  options.kl = {.init_kl_coef = 0.2, .target = 0.001, .horizon = 40.0};
  auto task = world.task(model, options);
  EXPECT_EQ(task.kl_coef(), 0.2);
  task.prepare(model, 0, 0);
  const double kl = task.rollout().figures.at("kl");
  const double expected = objectives::updated_kl_coef(0.2, options.kl, kl, 4);
  EXPECT_NE(expected, 0.2);
  EXPECT_EQ(task.kl_coef(), expected);
  EXPECT_EQ(task.rollout().figures.at("kl_coef"), 0.2);
  task.prepare(model, 0, 3);
  EXPECT_EQ(task.kl_coef(), expected);
  task.prepare(model, 0, 4);
  EXPECT_EQ(task.rollout().figures.at("kl_coef"), expected);
}

// ---- The update ---------------------------------------------------------------------------------

// The loss of some responses by LibTorch's own operators, text by text.
Tensor plain_loss(TinyModel& model, const std::vector<nn::NamedParameter>& head,
                  const Rollout& rollout, const std::vector<int64_t>& prompts,
                  const objectives::PpoOptions& options) {
  const auto ranges = token_ranges(rollout.responses);
  Tensor sum = at::zeros({}, at::kDouble);
  int64_t num_tokens = 0;
  for (size_t i = 0; i < ranges.size(); ++i) {
    const Response& response = rollout.responses[i];
    if (std::ranges::find(prompts, response.prompt) == prompts.end()) continue;
    const auto slice = [&](const std::vector<double>& values) {
      return at::tensor(values, at::kDouble).narrow(0, ranges[i].first, ranges[i].count);
    };
    Tensor hidden;
    const auto nll = plain_nll(plain_log_probs(model, response, &hidden), response).to(at::kDouble);
    const auto values = at::linear(hidden, head[0].value, head[1].value).squeeze(1).to(at::kDouble);
    const auto ratio = (slice(rollout.old_nll) - nll).exp();
    const auto advantages = slice(rollout.advantages);
    const auto policy =
        at::maximum(-advantages * ratio,
                    -advantages * ratio.clamp(1.0 - options.cliprange, 1.0 + options.cliprange));
    const auto old_values = slice(rollout.old_values);
    const auto clipped = at::minimum(at::maximum(values, old_values - options.cliprange_value),
                                     old_values + options.cliprange_value);
    const auto returns = slice(rollout.returns);
    const auto value = 0.5 * at::maximum((values - returns).square(), (clipped - returns).square());
    sum = sum + policy.sum() + options.vf_coef * value.sum();
    num_tokens += ranges[i].count;
  }
  return sum / static_cast<double>(num_tokens);
}

std::vector<Tensor> values_of(const std::vector<nn::NamedParameter>& parameters) {
  std::vector<Tensor> values;
  for (const auto& parameter : parameters) values.push_back(parameter.value);
  return values;
}

// ||change_a - change_b|| <= 1e-3 ||change_b||.
void expect_equal_change(const Tensor& actual, const Tensor& expected, const Tensor& before) {
  const double change = (expected - before).norm().item<double>();
  EXPECT_GT(change, 0.0);
  EXPECT_LE((actual - expected).norm().item<double>(), 1e-3 * change);
}

// Six responses in three micro batches: three optimizer steps on one rollout.
TEST(PpoStep, ThreeStepsEqualPlainPyTorch) {
  const TinyPpo world(6);
  auto options = tiny_ppo_options();
  options.batch_size = 6;
  options.ppo_epochs = 1;
  options.value_head.dropout = 0.0;
  options.objective.cliprange = 0.002;  // so that the clipped forms take part
  options.objective.cliprange_value = 0.01;
  const auto run = fresh_folder();
  auto trainer_options = step_options(run);
  trainer_options.adamw = {.weight_decay = 0.01};
  TinyModel model;
  auto task = world.task(model, options);
  Trainer(model, task, tiny_info(), trainer_options).run();
  const auto lines = step_lines(run);
  ASSERT_THAT(lines, SizeIs(3));

  TinyModel plain_model;
  auto plain_task = world.task(plain_model, options);
  std::vector<std::vector<int64_t>> prompts;
  for (int64_t i = 0; i < 3; ++i) {
    prompts.push_back(prompts_of(*plain_task.prepare(plain_model, 0, i)));
  }
  const auto head = plain_task.trainable();
  std::vector<Tensor> trained = values_of(plain_model.trainable());
  for (const auto& parameter : head) trained.push_back(parameter.value);
  std::vector<Tensor> before;
  for (const Tensor& value : trained) before.push_back(value.detach().clone());
  torch::optim::AdamW adamw(
      trained, torch::optim::AdamWOptions(trainer_options.learning_rate).weight_decay(0.01));
  double clipped = 0.0;
  double clipped_values = 0.0;
  for (size_t step = 0; step < 3; ++step) {
    adamw.zero_grad();
    const auto loss =
        plain_loss(plain_model, head, task.rollout(), prompts[step], options.objective);
    loss.backward();
    const double norm = torch::nn::utils::clip_grad_norm_(trained, 1.0);
    adamw.step();
    EXPECT_NEAR(lines[step]["loss"].get<double>(), loss.item<double>(), 1e-5) << step;
    EXPECT_NEAR(lines[step]["grad_norm"].get<double>(), norm, 1e-4 * norm) << step;
    clipped += lines[step]["clip_fraction"].get<double>();
    clipped_values += lines[step]["value_clip_fraction"].get<double>();
  }
  EXPECT_GT(clipped, 0.0);
  EXPECT_GT(clipped_values, 0.0);
  std::vector<Tensor> actual = values_of(model.trainable());
  for (const auto& parameter : task.trainable()) actual.push_back(parameter.value);
  for (size_t i = 0; i < trained.size(); ++i) {
    expect_equal_change(actual[i].detach(), trained[i].detach(), before[i]);
  }
}

// Two micro batches of two responses in a step weigh every token the same, as one of four does.
TEST(PpoStep, AccumulatedMicroBatchesEqualOne) {
  const TinyPpo world(4);
  const auto folder = fresh_folder();
  auto options = tiny_ppo_options();
  options.ppo_epochs = 1;
  options.value_head.dropout = 0.0;
  std::vector<nlohmann::json> lines;
  for (const int64_t prompts : {2, 4}) {
    options.prompts_per_micro_batch = prompts;
    auto trainer_options = step_options(folder / std::to_string(prompts));
    trainer_options.accumulate = 4 / prompts;
    TinyModel model;
    auto task = world.task(model, options);
    Trainer(model, task, tiny_info(), trainer_options).run();
    lines.push_back(step_lines(trainer_options.output).at(0));
  }
  for (const char* key : {"loss", "grad_norm", "value_loss", "explained_variance"}) {
    const double expected = lines[1][key];
    EXPECT_NEAR(lines[0][key].get<double>(), expected, 1e-5 * std::abs(expected)) << key;
  }
}

// ---- Skipped steps ------------------------------------------------------------------------------

Tensor all_weights(const TinyModel& model, const PpoStep& task) {
  std::vector<Tensor> values;
  for (const auto& parameter : model.trainable()) values.push_back(parameter.value.flatten());
  for (const auto& parameter : task.trainable()) values.push_back(parameter.value.flatten());
  return at::cat(values).detach().clone();
}

// A KL of next to nothing stops a rollout after its first pass: of four steps a rollout the last
// two are skipped. AdamW's momentum would move the weights all the same.
TEST(PpoStep, StepsAfterAnEarlyStopMoveNothing) {
  const TinyPpo world(4);
  auto options = tiny_ppo_options();
  options.early_stopping = true;
  options.target_kl = 1e-9;
  const auto weights_after = [&](int64_t steps, bool stops) {
    auto own = options;
    own.early_stopping = stops;
    TinyModel model;
    auto task = world.task(model, own);
    auto trainer_options = step_options(fresh_folder());
    trainer_options.max_steps = steps;
    const auto result = Trainer(model, task, tiny_info(), trainer_options).run();
    EXPECT_EQ(result.state.step, steps);
    EXPECT_EQ(result.state.skipped_steps, 0);
    return all_weights(model, task);
  };
  const auto after_pass = weights_after(2, true);
  EXPECT_TRUE(weights_after(3, true).equal(after_pass));
  EXPECT_TRUE(weights_after(4, true).equal(after_pass));
  EXPECT_FALSE(weights_after(4, false).equal(after_pass));
}

TEST(PpoStep, AnEarlyStopIsToldAndEndsWithTheRollout) {
  const TinyPpo world(8);
  auto options = tiny_ppo_options();
  options.early_stopping = true;
  options.target_kl = 1e-9;
  TinyModel model;
  auto task = world.task(model, options);
  const auto run = fresh_folder();
  Trainer(model, task, tiny_info(), step_options(run)).run();
  std::vector<int> skipped;
  for (const auto& line : step_lines(run)) {
    skipped.push_back(static_cast<int>(line["skipped_micro_batches"].get<double>()));
    EXPECT_EQ(line.contains("policy_loss"), skipped.back() == 0);
  }
  EXPECT_THAT(skipped, ElementsAre(0, 0, 1, 1, 0, 0, _, _));
}

// The mean ratio is about 1, so a threshold of 0.1 skips every micro batch.
TEST(PpoStep, MicroBatchesAboveTheRatioThresholdMoveNothing) {
  const TinyPpo world(4);
  auto options = tiny_ppo_options();
  options.objective.ratio_threshold = 0.1;
  TinyModel model;
  auto task = world.task(model, options);
  const auto before = all_weights(model, task);
  const auto run = fresh_folder();
  const auto result = Trainer(model, task, tiny_info(), step_options(run)).run();
  EXPECT_EQ(result.state.step, 4);
  EXPECT_EQ(result.state.skipped_steps, 0);
  EXPECT_TRUE(all_weights(model, task).equal(before));
}

// ---- A toy reward -------------------------------------------------------------------------------

TEST(PpoStep, TheCountOfATokenRisesWithinThirtySteps) {
  const TinyPpo world(16);
  auto options = tiny_ppo_options();
  options.batch_size = 16;
  options.prompts_per_micro_batch = 16;
  options.ppo_epochs = 1;
  options.rollout.stop_ids = {};
  options.kl.init_kl_coef = 0.02;
  const auto run = fresh_folder();
  auto trainer_options = step_options(run);
  trainer_options.epochs = 0;
  trainer_options.max_steps = 30;
  trainer_options.learning_rate = 0.1;
  TinyModel model;
  PpoStep task(model, world.prompts, {}, world.encoder.tokenizer(),
               RewardModel(std::make_shared<WordListScorer>(std::vector<std::string>{"5"}), {}),
               options);
  Trainer(model, task, tiny_info(), trainer_options).run();
  const auto lines = step_lines(run);
  const auto mean_reward = [&](size_t begin) {
    double sum = 0.0;
    for (size_t i = begin; i < begin + 5; ++i) sum += lines[i]["reward_mean"].get<double>();
    return sum / 5.0;
  };
  EXPECT_LT(mean_reward(0), 0.3);
  EXPECT_GT(mean_reward(25), 1.0);
}

// ---- Evaluation ---------------------------------------------------------------------------------

TEST(PpoStep, EvaluationScoresTheSameResponsesToHeldOutPromptsEachTime) {
  const TinyPpo world(12, /*held_out=*/0.25);
  TinyModel model;
  auto options = tiny_ppo_options();
  options.kl_penalty = objectives::KlPenalty::kMse;
  for (const bool is_greedy : {true, false}) {
    options.evaluation = is_greedy ? EvaluationSampling::kGreedy : EvaluationSampling::kSample;
    auto task = world.task(model, options);
    EXPECT_TRUE(task.has_evaluation());
    const auto result = task.evaluate(model);
    const auto again = task.evaluate(model);
    std::map<std::string, double> figures;
    for (const Figure& figure : result.figures) figures[figure.name] = figure.value;
    EXPECT_GT(figures.at("kl"), 0.0);
    EXPECT_GE(figures.at("response_tokens"), 1.0);
    EXPECT_LE(figures.at("response_tokens"), 6.0);
    EXPECT_DOUBLE_EQ(result.loss, -(result.score.value() - 0.2 * figures.at("kl")));
    EXPECT_EQ(again.loss, result.loss);
    EXPECT_EQ(again.score, result.score);
  }
}

TEST(PpoStep, WithoutHeldOutPromptsThereIsNoEvaluation) {
  const TinyPpo world(8);
  TinyModel model;
  auto task = world.task(model, tiny_ppo_options());
  EXPECT_FALSE(task.has_evaluation());
  EXPECT_EQ(error_of([&] { task.evaluate(model); }), "[evaluate] there are no evaluation prompts.");
}

TEST(PpoStep, SelectionByTheScore) {
  const TinyPpo world(12, /*held_out=*/0.25);
  TinyModel model;
  auto task = world.task(model, tiny_ppo_options());
  const auto result = task.evaluate(model);
  EXPECT_EQ(metric_name(SelectionMetric::kScore), "score");
  EXPECT_EQ(metric_value(SelectionMetric::kScore, result), result.score);
  EXPECT_TRUE(is_better(SelectionMetric::kScore, 2.0, 1.0));
  EXPECT_FALSE(is_better(SelectionMetric::kScore, 1.0, 2.0));
}

// ---- What is told -------------------------------------------------------------------------------

TEST(PpoStep, MetricsHoldTheFiguresOfRolloutAndUpdate) {
  const TinyPpo world(12, /*held_out=*/0.25);
  TinyModel model;
  auto task = world.task(model, tiny_ppo_options());
  const auto run = fresh_folder();
  auto options = step_options(run);
  options.evaluate_every = 4;
  options.tensorboard = true;
  Trainer(model, task, tiny_info(), options).run();
  const auto lines = step_lines(run);
  ASSERT_THAT(lines, SizeIs(8));
  for (const auto& line : lines) {
    for (const char* key :
         {"reward_mean", "reward_std", "kl", "kl_coef", "non_score_reward", "entropy",
          "response_tokens", "stopped_share", "policy_loss", "value_loss", "clip_fraction",
          "value_clip_fraction", "approx_kl", "policy_kl", "ratio", "explained_variance"}) {
      EXPECT_TRUE(line.contains(key) && line[key].is_number()) << key;
    }
  }
  // Times are those of sampling, once a rollout.
  EXPECT_TRUE(lines[0].contains("sampling_seconds"));
  EXPECT_FALSE(lines[1].contains("sampling_seconds"));
  EXPECT_TRUE(lines[4].contains("sampling_seconds"));
  // loss = policy + vf_coef * value; entropy is at most that of 64 equal chances.
  const auto& line = lines[2];
  EXPECT_NEAR(line["loss"].get<double>(),
              line["policy_loss"].get<double>() + 0.1 * line["value_loss"].get<double>(), 1e-12);
  EXPECT_LT(line["entropy"].get<double>(), std::log(64.0));
  EXPECT_GT(line["entropy"].get<double>(), 0.0);

  std::vector<nlohmann::json> evaluations = lines_of(run / "metrics.jsonl");
  std::erase_if(evaluations, [](const auto& one) { return !one.contains("eval_loss"); });
  ASSERT_THAT(evaluations, SizeIs(3));
  for (const char* key : {"eval_score", "eval_kl", "eval_response_tokens", "eval_score_std"}) {
    EXPECT_TRUE(evaluations[0][key].is_number()) << key;
  }
  EXPECT_FALSE(evaluations[0].contains("eval_ratio"));
}

TEST(PpoStep, SamplesTellPromptResponseAndScore) {
  const TinyPpo world(12, /*held_out=*/0.25);
  TinyModel model;
  auto task = world.task(model, tiny_ppo_options());
  const auto run = fresh_folder();
  auto options = step_options(run);
  options.evaluate_every = 8;
  Trainer(model, task, tiny_info(), options).run();
  const auto samples = lines_of(run / "samples.jsonl");
  // Three held-out prompts before and after, two rollouts of four.
  ASSERT_THAT(samples, SizeIs(3 + 4 + 4 + 3));
  std::vector<int64_t> steps;
  for (const auto& line : samples) {
    steps.push_back(line["step"]);
    const std::string response = line["response"];
    int64_t rewarded = 0;
    std::istringstream words(response);
    for (int64_t id = 0; words >> id;) rewarded += is_rewarded(id) ? 1 : 0;
    EXPECT_EQ(line["score"].get<double>(), static_cast<double>(rewarded)) << response;
    EXPECT_FALSE(line["prompt"].get<std::string>().empty());
  }
  EXPECT_THAT(steps, ElementsAre(0, 0, 0, 1, 1, 1, 1, 5, 5, 5, 5, 8, 8, 8));
  EXPECT_EQ(samples[0]["evaluation"], true);
  EXPECT_EQ(samples[3]["rollout"], 0);
  EXPECT_EQ(samples[7]["rollout"], 1);
}

TEST(PpoStep, TheValueHeadLiesBesideTheAdapter) {
  const TinyPpo world(12, /*held_out=*/0.25);
  TinyModel model;
  auto task = world.task(model, tiny_ppo_options());
  const auto run = fresh_folder();
  auto options = step_options(run);
  options.evaluate_every = 4;
  options.checkpoint_every = 4;
  Trainer(model, task, tiny_info(), options).run();
  for (const char* name : {"final", "best", "checkpoints/step-000008"}) {
    EXPECT_TRUE(fs::exists(run / name / "value_head.safetensors")) << name;
    // The adapter's file holds the adapter alone.
    EXPECT_EQ(adapter_values(run / name).numel(), 2 * (2 * 16 + 2 * 16) - 2 * 8) << name;
  }
  EXPECT_FALSE(fs::exists(run / "final" / "ppo_state.json"));
  EXPECT_TRUE(fs::exists(run / "checkpoints" / "step-000008" / "ppo_state.json"));
}

// ---- Faults -------------------------------------------------------------------------------------

class BrokenScorer : public nn::TextScorer {
 public:
  torch::Tensor logits(std::span<const std::string> texts) override {
    return at::full({std::ssize(texts), 1}, std::numeric_limits<float>::quiet_NaN());
  }
  const std::vector<std::string>& labels() const override { return labels_; }
  LabelKind label_kind() const override { return LabelKind::kValues; }
  int64_t max_tokens() const override { return 512; }

 private:
  std::vector<std::string> labels_ = {"value"};
};

TEST(PpoStep, AScoreThatIsNotFiniteIsRefused) {
  const TinyPpo world(4);
  TinyModel model;
  PpoStep task(model, world.prompts, {}, world.encoder.tokenizer(),
               RewardModel(std::make_shared<BrokenScorer>(), {}), tiny_ppo_options());
  const auto message = error_of([&] { task.prepare(model, 0, 0); });
  EXPECT_THAT(message, HasSubstr("[reward] prompt "));
  EXPECT_THAT(message, HasSubstr(" tokens is nan, expected a finite number. Check the "
                                 "classifier."));
}

TEST(PpoStep, TooFewPromptsAreRefused) {
  const TinyPpo world(3);
  const TinyModel model;
  EXPECT_EQ(error_of([&] { world.task(model, tiny_ppo_options()); }),
            "[ppo] got 3 prompts to train on, expected at least 4 for one rollout "
            "(rollout.batch_size). Lower it or add data.");
}

TEST(PpoStep, PromptsTooLongForTheContextAreRefused) {
  const TinyPpo world(4);
  const TinyModel model;
  auto options = tiny_ppo_options();
  options.rollout.max_new_tokens = 60;
  EXPECT_EQ(error_of([&] { world.task(model, options); }),
            "[rollout] prompts of up to 5 tokens and 60 new ones: got 65, expected at most 64 (the "
            "model's context). Lower rollout.max_prompt_tokens or rollout.max_new_tokens.");
}

TEST(PpoStep, SizesThatDoNotFitTogetherAreRefused) {
  const TinyPpo world(4);
  const TinyModel model;
  auto options = tiny_ppo_options();
  options.prompts_per_micro_batch = 3;
  EXPECT_EQ(error_of([&] { world.task(model, options); }),
            "[ppo] rollout.batch_size: got 4, expected a multiple of the 3 prompts of a micro "
            "batch (training.groups).");
  options = tiny_ppo_options();
  options.ppo_epochs = 0;
  EXPECT_EQ(error_of([&] { world.task(model, options); }),
            "[ppo] ppo_epochs: got 0, expected 1 or more.");
  options = tiny_ppo_options();
  options.early_stopping = true;
  options.target_kl = 0.0;
  EXPECT_EQ(error_of([&] { world.task(model, options); }),
            "[ppo] target_kl: got 0, expected more than 0 with early_stopping.");
}

}  // namespace ppo_step_test
}  // namespace cpx::training
