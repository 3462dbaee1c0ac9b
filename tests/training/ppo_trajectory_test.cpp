// SPDX-License-Identifier: Apache-2.0
// Twelve optimizer steps on three given rollouts equal those of TRL's classic PPOTrainer, value
// head and adaptive KL coefficient included: made by scripts/fixtures/make_ppo_training.py.
// Legend: N rows, V vocabulary.
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "cpx/data/prompts.h"
#include "cpx/nn/kv_cache.h"
#include "cpx/training/ppo_step.h"
#include "tests/support/names.h"
#include "tiny_run.h"
#include "trajectory.h"

namespace cpx::training {
namespace ppo_trajectory_test {

using Json = nlohmann::json;

std::vector<Json> responses_of(const Fixture& fixture) {
  std::vector<Json> responses;
  for (const Json& rollout : fixture.json["rollouts"]) {
    for (const Json& response : rollout["responses"]) responses.push_back(response);
  }
  return responses;
}

// The fixture's model, but what it samples is given: after a token comes always the same other one.
// A state in decoding is the token itself, [1], which is all that the logits for sampling need.
class ScriptedModel : public nn::CausalLm {
 public:
  explicit ScriptedModel(const Fixture& fixture) : model_(model_of(fixture)) {
    for (const Json& response : responses_of(fixture)) {
      int64_t before = response["prompt"].back();
      for (const int64_t id : response["response"].get<std::vector<int64_t>>()) {
        next_[before] = id;
        before = id;
      }
    }
  }

  torch::Tensor prefill(nn::KvCache& cache, const torch::Tensor& ids,
                        const std::vector<nn::PromptSlot>& prompts) override {
    cache.begin_prompts(prompts, ids.size(0));
    return ids.unsqueeze(1);  // [T, 1]
  }
  torch::Tensor next_tokens(nn::KvCache& cache, const torch::Tensor& ids,
                            const std::vector<int64_t>& sequences) override {
    cache.advance(sequences);
    return ids.unsqueeze(1);  // [T, 1]
  }
  torch::Tensor logits(const torch::Tensor& hidden, const nn::ForwardOptions& options) override {
    if (!options.is_by_row) return model_->logits(hidden, options);
    auto scores = at::zeros({hidden.size(0), shape().vocabulary_size});  // [N, V]
    for (int64_t row = 0; row < hidden.size(0); ++row) {
      scores[row][next_.at(hidden[row][0].item<int64_t>())] = 1.0;
    }
    return scores;
  }

  torch::Tensor hidden_states(const nn::PackedTokens& tokens,
                              const nn::ForwardOptions& options) override {
    return model_->hidden_states(tokens, options);
  }
  torch::Tensor token_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                          const nn::ForwardOptions& options) override {
    return model_->token_nll(hidden, targets, options);
  }
  std::vector<nn::NamedParameter> trainable() const override { return model_->trainable(); }
  const nn::ModelShape& shape() const override { return model_->shape(); }
  torch::Device device() const override { return model_->device(); }
  torch::Dtype dtype() const override { return model_->dtype(); }

 private:
  std::shared_ptr<models::Llama> model_;
  std::map<int64_t, int64_t> next_;
};

// Gives each response, which its first token names, its score.
class ScriptedScorer : public nn::TextScorer {
 public:
  explicit ScriptedScorer(const Fixture& fixture) {
    for (const Json& response : responses_of(fixture)) {
      scores_[response["response"].front()] = response["score"];
    }
  }

  torch::Tensor logits(std::span<const std::string> texts) override {
    std::vector<float> scores;
    for (const auto& text : texts) scores.push_back(scores_.at(std::stoll(text)));
    return at::tensor(scores).unsqueeze(1);
  }
  const std::vector<std::string>& labels() const override { return labels_; }
  LabelKind label_kind() const override { return LabelKind::kValues; }
  int64_t max_tokens() const override { return 1000; }

 private:
  std::map<int64_t, float> scores_;
  std::vector<std::string> labels_ = {"score"};
};

PpoStepOptions options_of(const Fixture& fixture) {
  const Json& settings = fixture.json["objective"];
  return {.rollout = {.temperature = 0.0,
                      .min_new_tokens = 20,  // each ends with the stop token before
                      .max_new_tokens = 20,
                      .stop_ids = {2}},
          .batch_size = fixture.json["batch_size"],
          .prompts_per_micro_batch = fixture.json["mini_batch_size"],
          .ppo_epochs = fixture.json["ppo_epochs"],
          .scores = {.use_score_scaling = settings["use_score_scaling"],
                     .use_score_norm = settings["use_score_norm"],
                     .score_clip = settings.contains("score_clip")
                                       ? std::optional<double>(settings["score_clip"])
                                       : std::nullopt},
          .kl_penalty = settings["kl_penalty"] == "full" ? objectives::KlPenalty::kFull
                                                         : objectives::KlPenalty::kKl,
          .kl = {.init_kl_coef = settings["init_kl_coef"],
                 .adap_kl_ctrl = settings["adap_kl_ctrl"],
                 .target = settings["target"],
                 .horizon = settings["horizon"]},
          .advantages = {.gamma = settings["gamma"], .lam = settings["lam"]},
          .objective = {.cliprange = settings["cliprange"],
                        .cliprange_value = settings["cliprange_value"],
                        .vf_coef = settings["vf_coef"]},
          .value_head = {.dropout = 0.0},
          .seed = 7};
}

// The fixture's prompts, rewards and value head.
struct World {
  explicit World(const std::string& variant)
      : fixture(variant),
        encoder(number_encoder()),
        prompts(items_of(fixture), encoder, {.min_tokens = 1, .max_tokens = 0, .shuffle = false}),
        model(fixture),
        task(model, prompts, {}, encoder.tokenizer(),
             RewardModel(std::make_shared<ScriptedScorer>(fixture), {}), options_of(fixture)) {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : task.trainable()) {
      parameter.value.copy_(fixture.tensors->tensor("adapter.0." + parameter.name));
    }
  }

  static std::vector<data::PreferenceItem> items_of(const Fixture& fixture) {
    std::vector<data::PreferenceItem> items;
    for (const Json& response : responses_of(fixture)) {
      items.push_back({.prompt = number_text(response["prompt"].get<std::vector<int64_t>>())});
    }
    return items;
  }

  std::vector<nn::NamedParameter> trained() const {
    auto parameters = model.trainable();
    for (const auto& parameter : task.trainable()) parameters.push_back(parameter);
    return parameters;
  }

  Fixture fixture;
  data::TextEncoder encoder;
  data::Prompts prompts;
  ScriptedModel model;
  PpoStep task;
};

// The records that the fixture's micro batches have, in its order.
std::vector<std::vector<std::string>> records_of(const Fixture& fixture) {
  const int64_t batch_size = fixture.json["batch_size"];
  const int64_t mini_batch_size = fixture.json["mini_batch_size"];
  const int64_t ppo_epochs = fixture.json["ppo_epochs"];
  std::vector<std::vector<std::string>> micro_batches;
  for (int64_t pass = 0; pass < std::ssize(fixture.json["orders"]); ++pass) {
    const int64_t rollout = pass / ppo_epochs;
    for (int64_t i = 0; i < batch_size; ++i) {
      if (i % mini_batch_size == 0) micro_batches.emplace_back();
      const int64_t member = fixture.json["orders"][pass][i];
      micro_batches.back().push_back(
          fmt::format("rollout {}, prompt {}", rollout, rollout * batch_size + member));
    }
  }
  return micro_batches;
}

class PpoTrajectory : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Variants, PpoTrajectory, testing::Values("ppo", "ppo_scaled"),
                         testing_support::by_value);

TEST_P(PpoTrajectory, EqualsTrl) {
  World world(GetParam());
  const auto run = fresh_folder();
  run_trainer(world.fixture, world.model, world.task, run, /*accumulate=*/1);
  expect_equal_steps(world.fixture, run,
                     {"policy_loss", "value_loss", "clip_fraction", "value_clip_fraction",
                      "approx_kl", "policy_kl", "ratio", "value"});
  expect_equal_changes(world.fixture, world.trained());
}

TEST_P(PpoTrajectory, KlAndItsCoefficientEqualTrl) {
  World world(GetParam());
  const auto run = fresh_folder();
  run_trainer(world.fixture, world.model, world.task, run, /*accumulate=*/1);
  const auto lines = repeatable_metrics(run);
  const auto& rollouts = world.fixture.json["rollouts"];
  const size_t steps_per_rollout = world.fixture.json["steps"].size() / rollouts.size();
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto line = Json::parse(lines[i]);
    const auto& expected = rollouts[i / steps_per_rollout];
    EXPECT_NEAR(line["kl"].get<double>(), expected["kl"].get<double>(), 1e-5) << i;
    EXPECT_NEAR(line["kl_coef"].get<double>(), expected["kl_coef"].get<double>(), 1e-6) << i;
  }
  EXPECT_NEAR(world.task.kl_coef(), world.fixture.json["last_kl_coef"].get<double>(), 1e-6);
}

TEST_P(PpoTrajectory, FirstGradientEqualsTrl) {
  World world(GetParam());
  const auto micro_batch = world.task.prepare(world.model, 0, 0);
  micro_batch->forward_backward(world.model, micro_batch->info().counts, {});
  expect_equal_gradients(world.fixture, world.trained());
}

// TRL was given the order of cpx, which is drawn by the seed.
TEST_P(PpoTrajectory, TheFixturesOrderIsThatOfTheSeed) {
  World world(GetParam());
  const auto expected = records_of(world.fixture);
  ASSERT_EQ(world.task.num_micro_batches(), std::ssize(expected));
  for (int64_t i = 0; i < world.task.num_micro_batches(); ++i) {
    EXPECT_EQ(world.task.prepare(world.model, 0, i)->info().records,
              expected[static_cast<size_t>(i)]);
  }
}

}  // namespace ppo_trajectory_test
}  // namespace cpx::training
