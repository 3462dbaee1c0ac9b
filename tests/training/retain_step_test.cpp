// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/retain_step.h"

#include <cmath>
#include <gmock/gmock.h>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/training/trainer.h"
#include "record_steps.h"
#include "scripted_task.h"
#include "step_check.h"
#include "tiny_run.h"

namespace cpx::training {
namespace retain_step_test {

using testing::HasSubstr;

const std::vector<std::string> kTexts = {"20 21 2", "22 23 24 2", "25 26 27 28 2",
                                         "29 30 31 32 33 2", "34 35 36 37 38 39 2"};

std::vector<RetainedText> retained(const std::vector<std::string>& texts = kTexts) {
  std::vector<RetainedText> result;
  for (size_t i = 0; i < texts.size(); ++i) {
    result.push_back({.text = texts[i], .where = fmt::format("everyday.txt: text {}", i + 1)});
  }
  return result;
}

void zero_adapter(TinyModel& model) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model.trainable()) {
    if (parameter.name.find("lora_B") != std::string::npos) parameter.value.zero_();
  }
}

// Contrastive perplexity on tiny records with retained texts beside it.
class Task {
 public:
  explicit Task(const RetainStepOptions& options,
                const std::vector<RetainedText>& texts = retained(),
                std::shared_ptr<NllCache> cache = nullptr)
      : encoder_(number_encoder()),
        retained_(std::make_unique<ScriptedTask>(5), texts, encoder_, options, std::move(cache)) {}

  RetainedTask* operator->() { return &retained_; }
  RetainedTask& operator*() { return retained_; }

 private:
  data::TextEncoder encoder_;
  RetainedTask retained_;
};

double inner_loss(TinyModel& model) {
  ScriptedTask inner(5);
  return loss_of(model, *inner.prepare(model, 0, 0));
}

// Mean squared distance of the retained texts' tokens from the base's, by plain softmax.
double plain_distance(TinyModel& model, const std::vector<std::string>& texts) {
  double sum = 0.0;
  int64_t tokens = 0;
  for (const auto& text : texts) {
    const auto nll = plain_token_nll(model, text);
    const nn::AdapterOffGuard adapter_off;
    const auto base = plain_token_nll(model, text);
    for (size_t t = 0; t < nll.size(); ++t) sum += std::pow(nll[t] - base[t], 2);
    tokens += std::ssize(nll);
  }
  return sum / static_cast<double>(tokens);
}

TEST(RetainedTask, AddsNothingWhereTheModelIsItsBase) {
  Task task({.weight = 10.0, .texts_per_micro_batch = 2});
  TinyModel model;
  zero_adapter(model);
  EXPECT_NEAR(loss_of(model, *task->prepare(model, 0, 0)), inner_loss(model), 1e-10);
}

TEST(RetainedTask, AddsTheWeightedDistanceFromTheBase) {
  Task task({.weight = 10.0, .texts_per_micro_batch = 5});
  TinyModel model;
  const double added = loss_of(model, *task->prepare(model, 0, 0)) - inner_loss(model);
  const double expected = 10.0 * plain_distance(model, kTexts);
  EXPECT_GT(expected, 0.01);
  EXPECT_NEAR(added, expected, 1e-4 * expected + 1e-5);
}

TEST(RetainedTask, LossAndContrastGrowAlike) {
  Task task({.weight = 10.0, .texts_per_micro_batch = 5});
  ScriptedTask inner(5);
  TinyModel model;
  const auto one = task->prepare(model, 0, 0);
  const auto other = inner.prepare(model, 0, 0);
  const auto with = one->forward_backward(model, one->info().counts, {});
  const auto without = other->forward_backward(model, other->info().counts, {});
  EXPECT_GT(with.loss, without.loss);
  EXPECT_NEAR(*with.contrast - *without.contrast, with.loss - without.loss, 1e-9);
  EXPECT_EQ(with.positives.tokens, without.positives.tokens);
}

TEST(RetainedTask, AdapterGradientMatchesFiniteDifferences) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(2);
  auto options = tiny_step_options();
  options.objective.alpha = 1.0;
  RetainedTask task(contrast_step(records, {}, encoder, options), retained(), encoder,
                    {.weight = 10.0, .texts_per_micro_batch = 3});
  TinyModel model;
  expect_gradient_matches_differences(model, *task.prepare(model, 0, 0));
}

// The tokens of a step's retained texts, all its micro batches together, divide each one's sum.
TEST(RetainedTask, MicroBatchesOfAStepAddUpToItsMean) {
  Task task({.weight = 10.0, .texts_per_micro_batch = 1, .shuffle = false});
  ScriptedTask inner(5);
  TinyModel model;
  objectives::StepCounts counts;
  std::vector<std::unique_ptr<MicroBatch>> with;
  std::vector<std::unique_ptr<MicroBatch>> without;
  for (int64_t i = 0; i < 3; ++i) {
    with.push_back(task->prepare(model, 0, i));
    without.push_back(inner.prepare(model, 0, i));
    counts += with.back()->info().counts;
  }
  EXPECT_EQ(counts.retained_tokens, 2 + 3 + 4);
  double added = 0.0;
  for (size_t i = 0; i < 3; ++i) {
    added += with[i]->forward_backward(model, counts, {}).loss -
             without[i]->forward_backward(model, counts, {}).loss;
  }
  const double expected = 10.0 * plain_distance(model, {kTexts[0], kTexts[1], kTexts[2]});
  EXPECT_NEAR(added, expected, 1e-4 * expected + 1e-5);
}

TEST(RetainedTask, CountsTokensAndPaddingOfBothPasses) {
  Task task({.texts_per_micro_batch = 2, .shuffle = false});
  ScriptedTask inner(5);
  TinyModel model;
  const auto one = task->prepare(model, 0, 0);
  const auto other = inner.prepare(model, 0, 0);
  EXPECT_EQ(one->info().num_tokens, other->info().num_tokens + 3 + 4);
  EXPECT_EQ(one->info().num_padded_tokens, other->info().num_padded_tokens + 1);
  EXPECT_EQ(one->info().counts.positive_tokens, other->info().counts.positive_tokens);
  EXPECT_EQ(one->info().records, other->info().records);
}

// One text beside each of five micro batches; the texts have 2, 3, 4, 5 and 6 predicted tokens.
std::vector<int64_t> tokens_of_epoch(Task& task, TinyModel& model, int64_t epoch) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < task->num_micro_batches(); ++i) {
    tokens.push_back(task->prepare(model, epoch, i)->info().counts.retained_tokens);
  }
  return tokens;
}

TEST(RetainedTask, EachTextIsTakenOnceBeforeAnyIsTakenAgain) {
  Task task({.texts_per_micro_batch = 1, .seed = 3});
  TinyModel model;
  std::set<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 6; ++epoch) {
    const auto tokens = tokens_of_epoch(task, model, epoch);
    EXPECT_THAT(tokens, testing::UnorderedElementsAre(2, 3, 4, 5, 6));
    orders.insert(tokens);
  }
  EXPECT_GT(orders.size(), 3);
}

TEST(RetainedTask, OrderIsThatOfTheFilesWithoutShuffling) {
  Task task({.texts_per_micro_batch = 1, .shuffle = false});
  TinyModel model;
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    EXPECT_THAT(tokens_of_epoch(task, model, epoch), testing::ElementsAre(2, 3, 4, 5, 6));
  }
}

// Two texts beside each of five micro batches: an epoch is two rounds, and the third micro batch
// holds the last text of the first and the first one of the second.
TEST(RetainedTask, RoundsGoOnAcrossMicroBatches) {
  Task task({.texts_per_micro_batch = 2, .shuffle = false});
  TinyModel model;
  EXPECT_THAT(tokens_of_epoch(task, model, 0),
              testing::ElementsAre(2 + 3, 4 + 5, 6 + 2, 3 + 4, 5 + 6));
}

TEST(RetainedTask, AllTextsAreTakenWhereThereAreFewer) {
  Task task({.texts_per_micro_batch = 100});
  TinyModel model;
  EXPECT_EQ(task->prepare(model, 1, 2)->info().counts.retained_tokens, 2 + 3 + 4 + 5 + 6);
}

// To the bit: the same position reached after other ones, or at once by a new object.
TEST(RetainedTask, PositionReachedAtOnceEqualsTheOneReachedInTurn) {
  TinyModel model;
  Task in_turn({.weight = 5.0, .texts_per_micro_batch = 2, .seed = 7});
  for (int64_t i = 0; i < 5; ++i) in_turn->prepare(model, 0, i);
  const double one = loss_of(model, *in_turn->prepare(model, 1, 3));
  Task at_once({.weight = 5.0, .texts_per_micro_batch = 2, .seed = 7});
  EXPECT_EQ(one, loss_of(model, *at_once->prepare(model, 1, 3)));
}

// Packs of two neighbours: three of them for five texts.
TEST(RetainedTask, BaseIsComputedOnceAText) {
  Task task({.texts_per_micro_batch = 2, .seed = 7});
  TinyModel model;
  for (int64_t epoch = 0; epoch < 4; ++epoch) tokens_of_epoch(task, model, epoch);
  EXPECT_EQ(task->num_base_passes(), 3);
}

TEST(RetainedTask, CacheGivesTheSameLossesToTheBitWithoutAPass) {
  const auto file = fresh_folder() / "base.nll";
  const Fingerprints key = {{"model", "tiny"}};
  const RetainStepOptions options{.weight = 5.0, .texts_per_micro_batch = 2, .seed = 7};
  TinyModel model;
  const auto losses = [&](Task& task) {
    std::vector<double> values;
    for (int64_t i = 0; i < 5; ++i) values.push_back(loss_of(model, *task->prepare(model, 0, i)));
    return values;
  };
  Task without(options);
  const auto expected = losses(without);
  {
    Task first(options, retained(), std::make_shared<NllCache>(file, key));
    EXPECT_EQ(losses(first), expected);
    EXPECT_EQ(first->num_base_passes(), 3);
  }
  Task second(options, retained(), std::make_shared<NllCache>(file, key));
  EXPECT_EQ(losses(second), expected);
  EXPECT_EQ(second->num_base_passes(), 0);
}

TEST(RetainedTask, TextWithoutAPredictedTokenIsLeftOutWithAWarning) {
  testing::internal::CaptureStderr();
  Task task({}, retained({"20 21 2", "5", "22 2"}));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("[everyday.txt: text 2] has no predicted token and is left out."));
  EXPECT_EQ(task->num_texts(), 2);
}

TEST(RetainedTask, NoTextWithAPredictedTokenIsADataError) {
  EXPECT_EQ(data_error_of([] { Task({}, retained({"5"})); }),
            "[data.retain] none of the texts has a predicted token: got 1 texts, expected one of "
            "at least two tokens. Set data.append_eos, or give other files.");
}

TEST(RetainedTask, NoTextsBesideAMicroBatchIsAnError) {
  EXPECT_THROW(Task({.texts_per_micro_batch = 0}), std::invalid_argument);
}

TEST(RetainedTask, NameAndEvaluationAreThoseOfTheInnerTask) {
  Task task({.weight = 100.0});
  ScriptedTask inner(5);
  TinyModel model;
  EXPECT_EQ(task->name(), inner.name());
  EXPECT_EQ(task->num_micro_batches(), inner.num_micro_batches());
  EXPECT_TRUE(task->has_evaluation());
  EXPECT_EQ(task->evaluate(model).loss, inner.evaluate(model).loss);
}

// A step of two micro batches tells the distance of both; the next one begins anew.
TEST(RetainedTask, EachStepTellsTheDistanceOfItsTexts) {
  Task task({.weight = 10.0, .texts_per_micro_batch = 1, .shuffle = false});
  TinyModel model;
  for (const int64_t begin : {0, 2}) {
    const auto first = task->prepare(model, 0, begin);
    const auto second = task->prepare(model, 0, begin + 1);
    objectives::StepCounts counts = first->info().counts;
    counts += second->info().counts;
    first->forward_backward(model, counts, {});
    second->forward_backward(model, counts, {});
    const auto figures = task->end_step(1);
    const auto text = static_cast<size_t>(begin);
    const double expected = plain_distance(model, {kTexts[text], kTexts[text + 1]});
    EXPECT_GT(expected, 1e-3);
    ASSERT_EQ(figures.size(), 1);
    EXPECT_EQ(figures[0].name, "retain_distance");
    EXPECT_NEAR(figures[0].value, expected, 1e-4 * expected + 1e-6);
  }
}

// What a task can do besides its micro batches reaches the inner one.
class TalkingTask : public ScriptedTask {
 public:
  explicit TalkingTask(std::vector<std::string>& calls) : ScriptedTask(5), calls_(calls) {}

  std::vector<nn::NamedParameter> trainable() const override {
    return {{.name = "own", .value = torch::Tensor()}};
  }
  void begin_run(const std::filesystem::path& run, int64_t step) override {
    calls_.push_back(fmt::format("begin_run {} {}", run.string(), step));
  }
  std::vector<Figure> end_step(int64_t step) override {
    return {{.name = "inner", .value = static_cast<double>(step)}};
  }
  void write_weights(const std::filesystem::path& folder) const override {
    calls_.push_back("write_weights " + folder.string());
  }
  void write_state(const std::filesystem::path& folder) const override {
    calls_.push_back("write_state " + folder.string());
  }
  void read_state(const std::filesystem::path& folder) override {
    calls_.push_back("read_state " + folder.string());
  }

 private:
  std::vector<std::string>& calls_;
};

TEST(RetainedTask, HandsOnWhatElseATaskDoes) {
  std::vector<std::string> calls;
  const auto encoder = number_encoder();
  RetainedTask task(std::make_unique<TalkingTask>(calls), retained(), encoder, {});
  ASSERT_EQ(task.trainable().size(), 1);
  EXPECT_EQ(task.trainable()[0].name, "own");
  task.begin_run("run", 3);
  task.write_weights("best");
  task.write_state("checkpoint");
  task.read_state("checkpoint");
  EXPECT_THAT(calls, testing::ElementsAre("begin_run run 3", "write_weights best",
                                          "write_state checkpoint", "read_state checkpoint"));
  const auto figures = task.end_step(7);
  ASSERT_EQ(figures.size(), 2);
  EXPECT_EQ(figures[0].name, "inner");
  EXPECT_EQ(figures[0].value, 7);
}

// ---- Whole runs ---------------------------------------------------------------------------------

TrainerOptions options_for(const std::filesystem::path& run) {
  auto options = tiny_options(run);
  options.epochs = 3;
  return options;
}

// How far the retained texts lie from the base after a run that began there.
double distance_after_run(const std::filesystem::path& run, double weight) {
  Task task({.weight = weight, .texts_per_micro_batch = 5});
  TinyModel model;
  zero_adapter(model);
  EXPECT_NEAR(plain_distance(model, kTexts), 0.0, 1e-10);
  Trainer(model, *task, tiny_info(), options_for(run)).run();
  return plain_distance(model, kTexts);
}

TEST(RetainedTask, TrainingLeavesTheBaseAndIsPulledBackToIt) {
  const auto folder = fresh_folder();
  const double free = distance_after_run(folder / "free", /*weight=*/0.0);
  const double held = distance_after_run(folder / "held", /*weight=*/100.0);
  EXPECT_GT(free, 1e-4);
  EXPECT_LT(held, 0.5 * free);
  EXPECT_GT(held, 0.0);
}

TEST(RetainedTask, ResumedEqualsUninterrupted) {
  const auto folder = fresh_folder();
  const RetainStepOptions retain{.weight = 5.0, .texts_per_micro_batch = 2, .seed = 7};
  const auto train = [&](const std::filesystem::path& run, int64_t from_step) {
    Task task(retain);
    TinyModel model(/*dropout=*/0.3);
    Trainer trainer(model, *task, tiny_info(), options_for(run));
    if (from_step > 0) trainer.resume(run / "checkpoints" / fmt::format("step-{:06}", from_step));
    trainer.run();
  };
  train(folder / "whole", 0);
  for (const int64_t step : {1, 3, 5, 8}) {
    const auto run = folder / fmt::format("from_{}", step);
    train(run, 0);
    train(run, step);
    EXPECT_TRUE(adapter_values(run / "final").equal(adapter_values(folder / "whole" / "final")))
        << step;
    EXPECT_EQ(repeatable_metrics(run), repeatable_metrics(folder / "whole")) << step;
  }
}

}  // namespace retain_step_test
}  // namespace cpx::training
