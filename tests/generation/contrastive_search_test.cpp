// SPDX-License-Identifier: Apache-2.0
// Contrastive search by hand and against transformers 4.49
// (scripts/fixtures/make_contrastive_search.py).
#include "cpx/generation/contrastive_search.h"

#include <array>
#include <gmock/gmock.h>
#include <optional>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/generation/text_generator.h"
#include "cpx/models/load.h"
#include "tests/generation/fixtures.h"
#include "tests/support/errors.h"
#include "tests/support/names.h"

namespace cpx::generation {
namespace contrastive_search_test {

using Ids = std::vector<int64_t>;

// ---- By hand ------------------------------------------------------------------------------------

Ids ids_of(const std::vector<Candidate>& candidates) {
  Ids ids;
  for (const Candidate& one : candidates) ids.push_back(one.id);
  return ids;
}

TEST(Likeliest, AreInOrderAndOfEqualOnesTheLowestIds) {
  const std::vector<float> probabilities = {0.125F, 0.0F, 0.5F, 0.125F, 0.25F, 0.0F};
  EXPECT_EQ(ids_of(likeliest(probabilities, 2)), (Ids{2, 4}));
  EXPECT_EQ(ids_of(likeliest(probabilities, 3)), (Ids{2, 4, 0}));
  EXPECT_EQ(likeliest(probabilities, 3)[1].probability, 0.25F);
}

TEST(Likeliest, HaveAProbability) {
  EXPECT_EQ(ids_of(likeliest(std::vector<float>{0.25F, 0.0F, 0.75F}, 3)), (Ids{2, 0}));
  EXPECT_EQ(ids_of(likeliest(std::vector<float>{0.25F, 0.75F}, 50)), (Ids{1, 0}));
}

nn::KvCacheOptions places(int64_t num_prompts, int64_t num_sequences) {
  return {.num_prompts = num_prompts,
          .prompt_capacity = 2,
          .num_sequences = num_sequences,
          .sequence_capacity = 2};
}

// The text's states: [1, 0] and [3, 4]. Cosines of [0, 2]: 0 and 0.8; of [4, 3]: 0.8 and 24 / 25;
// of
// [-1, 0]: -1 and -0.6.
TEST(ContrastiveScore, IsTheOneComputedByHand) {
  TextStates states(places(1, 1), 2);
  states.begin_prompt(0, std::array{1.0F, 0.0F, 3.0F, 4.0F});
  states.begin_sequence(0, 0);
  const auto score = [&](const std::array<float, 2>& state, float probability, double alpha) {
    return contrastive_score(
        {.probability = probability, .similarity = states.highest_similarity(0, state)}, alpha);
  };
  // 0.4 * 0.5 - 0.6 * 0.8, 0.4 * 0.3 - 0.6 * 0.96 and 0.4 * 0.1 + 0.6 * 0.6.
  EXPECT_NEAR(score({0.0F, 2.0F}, 0.5F, 0.6), -0.28, 1e-6);
  EXPECT_NEAR(score({4.0F, 3.0F}, 0.3F, 0.6), -0.456, 1e-6);
  EXPECT_NEAR(score({-1.0F, 0.0F}, 0.1F, 0.6), 0.4, 1e-6);
  // The limits: probability alone, and being unlike alone.
  EXPECT_NEAR(score({4.0F, 3.0F}, 0.3F, 0.0), 0.3, 1e-6);
  EXPECT_NEAR(score({4.0F, 3.0F}, 0.3F, 1.0), -0.96, 1e-6);
}

TEST(TextStates, HoldAPromptOnceAndEachSequencesOwn) {
  TextStates states(places(2, 2), 2);
  states.begin_prompt(0, std::array{1.0F, 0.0F, 1.0F, 0.0F});
  states.begin_prompt(1, std::array{0.0F, -5.0F});
  states.begin_sequence(0, 0);
  states.begin_sequence(1, 0);
  const std::array state{0.0F, 7.0F};
  EXPECT_NEAR(states.highest_similarity(0, state), 0.0, 1e-6);
  states.add(1, std::array{6.0F, 8.0F});
  EXPECT_NEAR(states.highest_similarity(0, state), 0.0, 1e-6);
  EXPECT_NEAR(states.highest_similarity(1, state), 0.8, 1e-6);
  states.add(1, std::array{0.0F, 0.01F});
  EXPECT_NEAR(states.highest_similarity(1, state), 1.0, 1e-6);
  states.begin_sequence(1, 1);  // what was there is forgotten
  EXPECT_NEAR(states.highest_similarity(1, state), -1.0, 1e-6);
}

TEST(TextStates, OfZerosAreLikeNone) {
  TextStates states(places(1, 1), 3);
  states.begin_prompt(0, std::array{0.0F, 0.0F, 0.0F});
  states.begin_sequence(0, 0);
  EXPECT_EQ(states.highest_similarity(0, std::array{1.0F, 2.0F, 3.0F}), 0.0F);
  EXPECT_EQ(states.highest_similarity(0, std::array{0.0F, 0.0F, 0.0F}), 0.0F);
}

TEST(TextStates, CountTheirBytes) {
  // 4 bytes * 7 numbers * (3 prompts + 5 sequences) * 2 tokens.
  EXPECT_EQ(TextStates(places(3, 5), 7).num_bytes(), 4 * 7 * (3 + 5) * 2);
}

// ---- Against transformers -----------------------------------------------------------------------

TextGeneratorOptions options_of(const nlohmann::json& one) {
  const auto& settings = one["settings"];
  TextGeneratorOptions options;
  options.sampling = {.temperature = 0.0,
                      .top_k = settings["top_k"],
                      .repetition_penalty = settings.value("repetition_penalty", 1.0),
                      .no_repeat_ngram = settings.value("no_repeat_ngram", int64_t{0}),
                      .penalty_alpha = settings["penalty_alpha"],
                      .min_new_tokens = settings.value("min_new_tokens", int64_t{0}),
                      .max_new_tokens = 40,
                      .stop_ids = one["stop_ids"]};
  options.max_prompt_tokens = 40;
  return options;
}

// Cases of the same settings together, as many sequences at once.
void expect_texts(nn::CausalLm& model, const nlohmann::json& cases) {
  ASSERT_FALSE(cases.empty());
  for (size_t first = 0; first < cases.size();) {
    std::vector<Prompt> prompts;
    const auto options = options_of(cases[first]);
    const auto& settings = cases[first]["settings"];
    for (size_t i = first; i < cases.size() && cases[i]["settings"] == settings; ++i) {
      prompts.push_back({.ids = cases[i]["prompt"], .number = prompts.size()});
    }
    for (const Continuation& actual : continue_prompts(model, prompts, options)) {
      const auto& one = cases[first + actual.prompt];
      EXPECT_EQ(actual.ids, one["ids"].get<Ids>()) << settings << ", prompt " << actual.prompt;
      EXPECT_EQ(actual.reason,
                one["is_stopped"] ? FinishReason::kStopToken : FinishReason::kLength);
    }
    first += prompts.size();
  }
}

class ContrastiveText : public testing::TestWithParam<std::string> {};
// The window of mistral_window is 8: prompts and continuations reach far beyond it.
INSTANTIATE_TEST_SUITE_P(Fixtures, ContrastiveText,
                         testing::Values("llama_gqa", "llama_tied_llama3", "mistral_window"),
                         testing_support::by_value);

TEST_P(ContrastiveText, IsThePeersTokenByToken) {
  const auto fixture = read_generation("contrastive_search")[GetParam()]["base"];
  ASSERT_EQ(fixture.size(), 8 * 4);
  expect_texts(*load_tiny(GetParam(), /*with_adapter=*/false), fixture);
}

TEST_P(ContrastiveText, IsThePeersWithAnAdapter) {
  expect_texts(*load_tiny(GetParam(), /*with_adapter=*/true),
               read_generation("contrastive_search")[GetParam()]["adapter"]);
}

TEST(ContrastiveText, IsThePeersOnSmolLm2) {
  const std::filesystem::path file = CPX_SOURCE_DIR "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
  const auto model = models::load_model(file, torch::kFloat32, torch::kCPU);
  expect_texts(*model, read_generation("contrastive_search_smollm2"));
}

// The first steps of one case: ids, probabilities and scores of all candidates.
void expect_first_steps(nn::CausalLm& model, const nlohmann::json& one) {
  const torch::NoGradGuard no_grad;
  const auto sampling = options_of(one).sampling;
  const nn::ModelShape& shape = model.shape();
  nn::KvCache cache({.num_layers = shape.num_layers,
                     .num_kv_heads = shape.num_kv_heads,
                     .head_dim = shape.head_dim,
                     .window = shape.sliding_window,
                     .prompt_capacity = 40,
                     .sequence_capacity = 40,
                     .num_candidates = sampling.top_k});
  ContrastiveSearch search(model, cache, sampling.penalty_alpha);
  Sampler sampler(sampling);
  auto ids = one["prompt"].get<Ids>();
  const auto prompt_states = model.prefill(cache, at::tensor(ids, at::kLong),
                                           {{.slot = 0, .num_tokens = std::ssize(ids)}});
  search.begin_prompt(0, prompt_states);
  cache.begin_sequence(0, 0);
  search.begin_sequence(0, 0);
  auto last = prompt_states.narrow(0, prompt_states.size(0) - 1, 1);
  int64_t num_new = 0;
  for (const auto& step : one["steps"]) {
    auto logits = model.logits(last, {.is_by_row = true})[0];
    const std::span scores(logits.mutable_data_ptr<float>(), static_cast<size_t>(logits.size(0)));
    sampler.to_probabilities(scores, ids, num_new++);
    const auto choice = search.choose(Ids{0}, {likeliest(scores, sampling.top_k)});
    const auto& candidates = choice.candidates[0];
    ASSERT_EQ(ids_of(candidates), step["ids"].get<Ids>());
    for (size_t i = 0; i < candidates.size(); ++i) {
      EXPECT_NEAR(candidates[i].probability, step["probabilities"][i].get<double>(), 1e-6);
      EXPECT_NEAR(candidates[i].score, step["scores"][i].get<double>(), 1e-5);
    }
    ids.push_back(candidates[choice.best[0]].id);
    last = choice.states;
  }
}

TEST_P(ContrastiveText, HasThePeersScores) {
  const auto fixture = read_generation("contrastive_search")[GetParam()];
  for (const bool with_adapter : {false, true}) {
    const auto model = load_tiny(GetParam(), with_adapter);
    for (const auto& one : fixture[with_adapter ? "adapter" : "base"]) {
      expect_first_steps(*model, one);
    }
  }
}

// ---- In TextGenerator --------------------------------------------------------------------------

TextGeneratorOptions contrastive(int64_t new_tokens) {
  TextGeneratorOptions options;
  options.sampling = {
      .temperature = 0.0, .top_k = 5, .penalty_alpha = 0.5, .max_new_tokens = new_tokens};
  options.max_prompt_tokens = 40;
  return options;
}

std::vector<Prompt> forty_prompts() {
  std::vector<Prompt> prompts;
  for (uint64_t i = 0; i < 40; ++i) {
    Prompt prompt{.ids = {}, .number = i};
    for (uint64_t n = 0; n <= i % 13; ++n) {
      prompt.ids.push_back(static_cast<int64_t>(3 + (7 * i + 5 * n) % 60));
    }
    prompts.push_back(prompt);
  }
  return prompts;
}

TEST_P(ContrastiveText, DependsNeitherOnTheBatchNorOnTheOrder) {
  const auto model = load_tiny(GetParam(), /*with_adapter=*/true);
  auto prompts = forty_prompts();
  auto options = contrastive(20);
  options.sampling.stop_ids = {2, 9, 17, 40, 77};  // lengths differ
  const auto texts = [&](int64_t batch_size) {
    options.batch_size = batch_size;
    std::vector<Ids> ids;
    for (Continuation& one : continue_prompts(*model, prompts, options)) {
      ids.push_back(std::move(one.ids));
    }
    return ids;
  };
  const auto alone = texts(1);
  EXPECT_GT(std::ranges::count_if(alone, [](const Ids& ids) { return ids.size() < 20; }), 5);
  for (const int64_t batch_size : {2, 7, 23, 40}) EXPECT_EQ(texts(batch_size), alone) << batch_size;
  std::reverse(prompts.begin(), prompts.end());
  EXPECT_EQ(texts(11), alone);
}

// The bits too: scores of a sequence among 1 to 40.
TEST(ContrastiveSearch, ScoresDoNotDependOnTheOtherSequences) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  const torch::NoGradGuard no_grad;
  const nn::ModelShape& shape = model->shape();
  const std::vector<Candidate> candidates = {{.id = 8, .probability = 0.3F},
                                             {.id = 90, .probability = 0.2F},
                                             {.id = 33, .probability = 0.1F}};
  const auto scores_among = [&](int64_t count) {
    nn::KvCache cache({.num_layers = shape.num_layers,
                       .num_kv_heads = shape.num_kv_heads,
                       .head_dim = shape.head_dim,
                       .prompt_capacity = 4,
                       .num_sequences = count,
                       .sequence_capacity = 3,
                       .num_candidates = 3});
    ContrastiveSearch search(*model, cache, 0.6);
    search.begin_prompt(
        0, model->prefill(cache, at::tensor({5, 6, 7, 8}, at::kLong), {{0, /*num_tokens=*/4}}));
    Ids sequences;
    for (int64_t i = 0; i < count; ++i) {
      cache.begin_sequence(i, 0);
      search.begin_sequence(i, 0);
      sequences.push_back(i);
    }
    std::vector<double> scores;
    for (int step = 0; step < 3; ++step) {
      const auto choice =
          search.choose(sequences, std::vector(static_cast<size_t>(count), candidates));
      for (const Candidate& one : choice.candidates[0]) scores.push_back(one.score);
    }
    return scores;
  };
  const auto alone = scores_among(1);
  for (int64_t count = 2; count <= 40; ++count) ASSERT_EQ(scores_among(count), alone) << count;
}

TEST(ContrastiveTextGenerator, SaysWhyATextEnds) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  const std::vector<Prompt> prompts = {{.ids = {5, 6, 7}}};
  auto options = contrastive(12);
  const auto whole = continue_prompts(*model, prompts, options)[0];
  EXPECT_EQ(whole.reason, FinishReason::kLength);
  ASSERT_EQ(whole.ids.size(), 12);

  options.sampling.stop_ids = {whole.ids[4]};
  const auto stopped = continue_prompts(*model, prompts, options)[0];
  EXPECT_EQ(stopped.reason, FinishReason::kStopToken);
  EXPECT_EQ(stopped.ids, Ids(whole.ids.begin(), std::ranges::find(whole.ids, whole.ids[4])));

  options.sampling.stop_ids = {};
  std::vector<Continuation> finished;
  bool is_given = false;
  const auto statistics =
      TextGenerator(*model, options)
          .run(
              [&]() -> std::optional<Prompt> {
                return std::exchange(is_given, true) ? std::nullopt : std::optional(prompts[0]);
              },
              {.on_token = [&](uint64_t, int64_t, int64_t id) { return id == whole.ids[3]; },
               .on_finished = [&](Continuation end) { finished.push_back(std::move(end)); }});
  ASSERT_EQ(finished.size(), 1);
  EXPECT_EQ(finished[0].reason, FinishReason::kStopString);
  EXPECT_EQ(finished[0].ids.back(), whole.ids[3]);
  EXPECT_EQ(statistics.num_new_tokens, std::ssize(finished[0].ids));
  EXPECT_EQ(statistics.num_steps, std::ssize(finished[0].ids));
}

// At alpha near 0 the likeliest token wins: greedy text.
TEST(ContrastiveTextGenerator, IsGreedyWhereNothingIsPenalised) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  const auto cases = read_generation("llama_gqa");
  for (const auto& one : cases["base"]) {
    auto options = contrastive(20);
    options.sampling.penalty_alpha = 1e-9;
    const auto greedy = one["greedy"].get<Ids>();
    EXPECT_EQ(continue_prompts(*model, {{.ids = one["prompt"]}}, options)[0].ids,
              Ids(greedy.begin(), greedy.begin() + 20));
  }
}

// All tokens but two may not come: two candidates instead of five.
TEST(ContrastiveTextGenerator, NeverTakesABannedToken) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  auto options = contrastive(10);
  options.sampling.min_new_tokens = 10;
  for (int64_t id = 0; id < model->shape().vocabulary_size; ++id) {
    if (id != 50 && id != 60) options.sampling.stop_ids.push_back(id);
  }
  const auto ids = continue_prompts(*model, {{.ids = {5, 6, 7}}}, options)[0].ids;
  ASSERT_EQ(ids.size(), 10);
  for (const int64_t id : ids) EXPECT_TRUE(id == 50 || id == 60) << id;
}

TEST(ContrastiveTextGenerator, RefusesToSample) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  auto options = contrastive(5);
  options.sampling.temperature = 0.7;
  EXPECT_THAT(testing_support::faults_of([&] { TextGenerator(*model, options); }),
              testing::ElementsAre(
                  testing::StartsWith("[sampling] penalty_alpha: got 0.5 with temperature 0.7")));
}

}  // namespace contrastive_search_test
}  // namespace cpx::generation
