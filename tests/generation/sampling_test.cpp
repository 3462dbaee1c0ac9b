// SPDX-License-Identifier: Apache-2.0
// Probabilities against transformers' logits processors (scripts/fixtures/make_sampling.py).
#include "cpx/generation/sampling.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "tests/support/errors.h"

namespace cpx::generation {
namespace sampling_test {

using testing_support::kNothingThrown;
using testing_support::message_of;

SamplingOptions options_of(const nlohmann::json& keys) {
  return {.temperature = keys.value("temperature", 1.0),
          .top_k = keys.value("top_k", int64_t{0}),
          .top_p = keys.value("top_p", 1.0),
          .min_p = keys.value("min_p", 0.0),
          .repetition_penalty = keys.value("repetition_penalty", 1.0),
          .no_repeat_ngram = keys.value("no_repeat_ngram", int64_t{0}),
          .min_new_tokens = keys.value("min_new_tokens", int64_t{0})};
}

std::vector<double> probabilities_of(const std::vector<float>& scores) {
  const double highest = *std::ranges::max_element(scores);
  std::vector<double> probabilities;
  for (const float score : scores) probabilities.push_back(std::exp(score - highest));
  const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

TEST(Sampler, EveryChainOfProcessorsEqualsThePeers) {
  std::ifstream file(CPX_SOURCE_DIR "/tests/fixtures/generation/sampling.json");
  const auto cases = nlohmann::json::parse(file);
  ASSERT_GT(cases.size(), 40);
  for (const auto& one : cases) {
    auto options = options_of(one["options"]);
    options.stop_ids = one["stop_ids"].get<std::vector<int64_t>>();
    auto scores = one["scores"].get<std::vector<float>>();
    const auto ids = one["ids"].get<std::vector<int64_t>>();
    Sampler(options).process(scores, ids, one["num_new"]);
    const auto actual = probabilities_of(scores);
    const auto expected = one["probabilities"].get<std::vector<double>>();
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(actual[i], expected[i], 1e-6) << one["options"].dump() << ", token " << i;
      ASSERT_EQ(actual[i] == 0.0, expected[i] == 0.0) << one["options"].dump() << ", token " << i;
    }
  }
}

TEST(Sampler, GreedyTakesTheHighestAndOfEqualOnesTheLowestId) {
  std::vector<float> scores = {0.5F, 2.0F, -1.0F, 2.0F};
  Sampler sampler({.temperature = 0.0, .top_k = 3, .top_p = 0.1});
  EXPECT_EQ(sampler.next(scores, {}, 0, CounterRng(1, {})), 1);
}

// 40,000 draws of five tokens: chi-square with 4 degrees of freedom is below 18.5 in 99.9 % of
// runs.
TEST(Sampler, DrawsByTheProbabilities) {
  const std::vector<float> scores = {0.3F, -1.0F, 1.2F, 0.0F, 2.0F};
  const auto expected = probabilities_of(scores);
  std::vector<int> counts(scores.size());
  Sampler sampler({});
  constexpr int kDraws = 40000;
  for (uint64_t i = 0; i < kDraws; ++i) {
    auto own = scores;
    ++counts[static_cast<size_t>(sampler.next(own, {}, 0, CounterRng(7, {i})))];
  }
  double chi_square = 0.0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double mean = kDraws * expected[i];
    chi_square += (counts[i] - mean) * (counts[i] - mean) / mean;
  }
  EXPECT_LT(chi_square, 18.5);
}

TEST(Sampler, NeverDrawsABannedToken) {
  Sampler sampler({.top_k = 2});
  for (uint64_t i = 0; i < 500; ++i) {
    std::vector<float> scores = {1.0F, 0.9F, 0.8F, 1.1F};
    const auto id = sampler.next(scores, {}, 0, CounterRng(3, {i}));
    EXPECT_TRUE(id == 0 || id == 3) << id;
  }
}

// A large, flat vocabulary: the first candidates do not reach p.
TEST(Sampler, TopPKeepsAsManyAsItTakes) {
  std::vector<float> scores(50000);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = -1e-6F * static_cast<float>(i);
  Sampler({.top_p = 0.5}).process(scores, {}, 0);
  const auto banned =
      static_cast<double>(std::ranges::count(scores, -std::numeric_limits<float>::infinity()));
  // The sum of the n highest of e^(-i / 10^6), i below 50,000, reaches half of all at n = 24,688.
  EXPECT_NEAR(50000.0 - banned, 24688.0, 20.0);
}

std::string processing_error(std::vector<float> scores, const SamplingOptions& options) {
  return message_of<std::runtime_error>([&] { Sampler(options).process(scores, {}, 0); });
}

TEST(Sampler, SaysWhereScoresAreNoNumbers) {
  constexpr const char* kMessage =
      "[sampling] the model's scores: got a number that is none, or no token is left, expected "
      "finite scores. A float16 model may overflow: take bfloat16 or float32.";
  EXPECT_EQ(processing_error({1.0F, std::nanf("")}, {}), kMessage);
  EXPECT_EQ(processing_error({1.0F, std::numeric_limits<float>::infinity()}, {}), kMessage);
  EXPECT_EQ(processing_error({1.0F, 2.0F}, {.min_new_tokens = 1, .stop_ids = {0, 1}}), kMessage);
  EXPECT_EQ(processing_error({1.0F, 2.0F}, {.min_new_tokens = 1, .stop_ids = {1}}), kNothingThrown);
}

std::vector<std::string> faults_of(const SamplingOptions& options) {
  return testing_support::faults_of([&] { check(options); });
}

TEST(SamplingOptions, TellAllFaultsAtOnce) {
  EXPECT_TRUE(faults_of({}).empty());
  EXPECT_EQ(faults_of({.temperature = -1.0,
                       .top_k = -2,
                       .top_p = 0.0,
                       .min_p = 1.5,
                       .repetition_penalty = 0.0,
                       .no_repeat_ngram = -1,
                       .penalty_alpha = -0.5,
                       .min_new_tokens = 5,
                       .max_new_tokens = 0}),
            (std::vector<std::string>{
                "[sampling] temperature: got -1, expected 0 (greedy) or more.",
                "[sampling] top_k: got -2, expected 0 (all) or more.",
                "[sampling] top_p: got 0, expected more than 0, at most 1.",
                "[sampling] min_p: got 1.5, expected 0 to 1.",
                "[sampling] repetition_penalty: got 0, expected more than 0.",
                "[sampling] no_repeat_ngram: got -1, expected 0 (off) or more.",
                "[sampling] penalty_alpha: got -0.5, expected 0 (off) to 1.",
                "[sampling] max_new_tokens: got 0, expected at least 1.",
                "[sampling] min_new_tokens: got 5, expected 0 to max_new_tokens."}));
}

TEST(SamplingOptions, ContrastiveSearchDrawsNothingAndNeedsCandidates) {
  EXPECT_TRUE(faults_of({.temperature = 0.0, .top_k = 2, .penalty_alpha = 1.0}).empty());
  // The published script's: transformers would sample without penalty_alpha.
  EXPECT_EQ(faults_of({.temperature = 0.7, .top_k = 50, .penalty_alpha = 0.3}),
            (std::vector<std::string>{
                "[sampling] penalty_alpha: got 0.3 with temperature 0.7, expected temperature 0: "
                "contrastive search draws nothing (transformers ignores penalty_alpha while it "
                "samples). Leave it out to sample."}));
  EXPECT_EQ(faults_of({.temperature = 0.0, .top_k = 1, .penalty_alpha = 0.6}),
            (std::vector<std::string>{
                "[sampling] top_k: got 1 with penalty_alpha 0.6, expected at least 2: the tokens "
                "that contrastive search chooses from."}));
  EXPECT_EQ(faults_of({.temperature = 0.5, .penalty_alpha = 1.5}).size(), 3);
}

}  // namespace sampling_test
}  // namespace cpx::generation
