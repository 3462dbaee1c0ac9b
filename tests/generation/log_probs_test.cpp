// SPDX-License-Identifier: Apache-2.0
// Log-probabilities of what is generated, against transformers' compute_transition_scores
// (scripts/fixtures/make_log_probs.py), by hand, and by another way through the model.
#include <cmath>
#include <filesystem>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/generation/text_generator.h"
#include "tests/generation/fixtures.h"

namespace cpx::generation {
namespace log_probs_test {

using Ids = std::vector<int64_t>;

// Relative to the largest, as float32 asks for.
constexpr double kTolerance = 1e-5;

TextGeneratorOptions options_of(const nlohmann::json& fixture, const nlohmann::json& settings) {
  TextGeneratorOptions options;
  options.log_probs = true;
  options.max_prompt_tokens = 40;
  SamplingOptions& sampling = options.sampling;
  sampling.temperature = 0.0;
  sampling.max_new_tokens = fixture["new_tokens"];
  sampling.stop_ids = fixture["stop_ids"].get<Ids>();
  sampling.repetition_penalty = settings.value("repetition_penalty", 1.0);
  sampling.no_repeat_ngram = settings.value("no_repeat_ngram_size", 0);
  sampling.min_new_tokens = settings.value("min_new_tokens", 0);
  return options;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  double largest = 0.0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], expected[i], kTolerance * largest) << i;
  }
}

std::vector<double> raw_of(const Continuation& text) {
  std::vector<double> values;
  for (const TokenLogProbs& one : text.log_probs) values.push_back(one.raw);
  return values;
}

std::vector<double> processed_of(const Continuation& text) {
  std::vector<double> values;
  for (const TokenLogProbs& one : text.log_probs) values.push_back(one.processed);
  return values;
}

// The stop token is the last of the peer's sequence.
Ids with_stop(const Continuation& text) {
  Ids ids = text.ids;
  if (text.stop_id) ids.push_back(*text.stop_id);
  return ids;
}

TEST(LogProbs, AreThePeersBeforeAndAfterTheProcessors) {
  const auto fixture = read_generation("log_probs");
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  for (const auto& run : fixture["runs"]) {
    std::vector<Prompt> prompts;
    for (const auto& one : run["cases"]) {
      prompts.push_back({.ids = one["prompt"], .number = prompts.size()});
    }
    const auto texts = continue_prompts(*model, prompts, options_of(fixture, run["settings"]));
    ASSERT_EQ(texts.size(), prompts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto& expected = run["cases"][i];
      EXPECT_EQ(with_stop(texts[i]), expected["ids"].get<Ids>()) << run["settings"];
      expect_near(raw_of(texts[i]), expected["raw"]);
      expect_near(processed_of(texts[i]), expected["processed"]);
    }
  }
}

TEST(LogProbs, AreNotToldUnlessAskedFor) {
  const auto fixture = read_generation("log_probs");
  TextGeneratorOptions options = options_of(fixture, nlohmann::json::object());
  options.log_probs = false;
  const auto texts =
      continue_prompts(*load_tiny("llama_gqa", /*with_adapter=*/false), {{.ids = {5, 6}}}, options);
  EXPECT_TRUE(texts.front().log_probs.empty());
}

// exp(1), exp(3), exp(2) over their sum.
TEST(LogProbability, IsTheOneComputedByHand) {
  const std::vector<float> scores = {1.0F, 3.0F, 2.0F};
  const double sum = std::exp(1.0) + std::exp(3.0) + std::exp(2.0);
  EXPECT_NEAR(log_probability(scores, 0), 1.0 - std::log(sum), 1e-12);
  EXPECT_NEAR(log_probability(scores, 1), 3.0 - std::log(sum), 1e-12);
  const std::vector<float> banned = {1.0F, -INFINITY, 1.0F};
  EXPECT_NEAR(log_probability(banned, 2), std::log(0.5), 1e-12);
}

// Scores [V] of the token after a text, which goes through the model as one.
std::vector<float> last_logits(models::Llama& model, const Ids& ids) {
  const auto states = model.hidden_states(
      {.ids = at::tensor(ids, at::kLong), .cu_seqlens = {0, static_cast<int32_t>(ids.size())}}, {});
  const auto logits =
      model.logits(states.narrow(0, std::ssize(ids) - 1, 1), {}).to(at::kFloat).contiguous();
  const float* first = logits.const_data_ptr<float>();
  return {first, first + logits.numel()};
}

// The whole text once through the model gives the same scores, which a sampler of its own
// processes.
TEST(LogProbs, OfSamplesAreThoseOfTheWholeText) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  TextGeneratorOptions options;
  options.log_probs = true;
  options.max_prompt_tokens = 40;
  options.sampling = {.temperature = 0.7, .top_k = 20, .top_p = 0.9, .max_new_tokens = 12};
  const Ids prompt = {9, 33, 4, 120};
  const auto texts = continue_prompts(*model, {{.ids = prompt, .num_samples = 3}}, options);
  ASSERT_EQ(texts.size(), 3U);
  const torch::NoGradGuard no_grad;
  for (const Continuation& text : texts) {
    Ids whole = prompt;
    std::vector<double> raw;
    std::vector<double> processed;
    for (const int64_t id : text.ids) {
      auto scores = last_logits(*model, whole);
      raw.push_back(log_probability(scores, id));
      Sampler(options.sampling).process(scores, whole, std::ssize(whole) - std::ssize(prompt));
      processed.push_back(log_probability(scores, id));
      whole.push_back(id);
    }
    expect_near(raw_of(text), raw);
    expect_near(processed_of(text), processed);
  }
}

TEST(LogProbs, OfContrastiveSearchAreThoseOfGreedysFirstToken) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  TextGeneratorOptions greedy;
  greedy.log_probs = true;
  greedy.max_prompt_tokens = 40;
  greedy.sampling = {.temperature = 0.0, .max_new_tokens = 1};
  TextGeneratorOptions search = greedy;
  search.sampling.top_k = 4;
  search.sampling.penalty_alpha = 1e-6;  // as good as none: the likeliest token
  const std::vector<Prompt> prompts = {{.ids = {9, 33, 4, 120}}};
  const auto expected = continue_prompts(*model, prompts, greedy).front();
  const auto got = continue_prompts(*model, prompts, search).front();
  EXPECT_EQ(got.ids, expected.ids);
  expect_near(raw_of(got), raw_of(expected));
  expect_near(processed_of(got), processed_of(expected));
}

}  // namespace log_probs_test
}  // namespace cpx::generation
