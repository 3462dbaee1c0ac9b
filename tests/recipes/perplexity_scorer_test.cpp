// SPDX-License-Identifier: Apache-2.0
#include "src/recipes/perplexity_scorer.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/folders.h"

namespace cpx::recipes {
namespace perplexity_scorer_test {

using evaluation::TextScore;

std::vector<PlacedText> few_texts() {
  return {{.text = "The kettle is on the stove.", .where = "text 1"},
          {.text = "Good morning to all of you!", .where = "text 2"},
          {.text = "Tea", .where = "text 3"}};
}

TextScoring scoring(const std::string& weights) {
  return {.model = testing_support::fixture("models/llama_gqa"),
          .weights = weights,
          .dtype = "float32",
          .device = "cpu"};
}

std::vector<TextScore> scores(const TextScoring& scoring) {
  return PerplexityScorer(scoring, few_texts(), "").score(scoring.adapter, {}).value();
}

double total(const std::vector<TextScore>& scores) {
  double sum = 0.0;
  for (const TextScore& score : scores) sum += score.nll_sum;
  return sum;
}

TEST(PerplexityScorer, WeightsInFloat32AreTheDenseOnes) {
  EXPECT_EQ(total(scores(scoring("float32"))), total(scores(scoring("dense"))));
}

TEST(PerplexityScorer, QuantisedWeightsAreNearTheDenseOnes) {
  const auto dense = scores(scoring("dense"));
  const auto q8 = scores(scoring("q8_0"));
  for (size_t i = 0; i < dense.size(); ++i) EXPECT_EQ(q8[i].tokens, dense[i].tokens);
  EXPECT_NE(total(q8), total(dense));
  EXPECT_NEAR(total(q8), total(dense), 0.005 * total(dense));
}

// Through the cache, row by row, the dense model gives what it gives in a pack.
TEST(PerplexityScorer, ScoresAsDecodedAreThoseOfThePack) {
  const TextScoring command = scoring("dense");
  PerplexityScorer scorer(command, few_texts(), "");
  for (const bool has_adapter : {false, true}) {
    const auto model = scorer.model_with(
        has_adapter ? std::optional(testing_support::fixture("models/llama_gqa/adapter"))
                    : std::nullopt);
    std::vector<data::EncodedText> encoded;
    std::vector<evaluation::TokenSpan> spans;
    for (const PlacedText& text : few_texts()) {
      encoded.push_back(scorer.encoder().encode(text.text));
    }
    for (const data::EncodedText& text : encoded) spans.emplace_back(text.ids);
    const auto packed = evaluation::score_texts(*model, spans, {.window = 16});
    const auto decoded = evaluation::score_texts(*model, spans, {.window = 16, .is_decoded = true});
    for (size_t i = 0; i < packed.size(); ++i) {
      EXPECT_NEAR(decoded[i].nll_sum, packed[i].nll_sum, 1e-5 * packed[i].nll_sum);
      EXPECT_EQ(decoded[i].tokens, packed[i].tokens);
    }
  }
}

TEST(PerplexityScorer, ModelsOfSeveralAdaptersDoNotTouchEachOther) {
  TextScoring command = scoring("dense");
  const auto adapter = std::optional(testing_support::fixture("models/llama_gqa/adapter"));
  PerplexityScorer scorer(command, few_texts(), "");
  const double base = total(scorer.score(std::nullopt, {}).value());
  const double adapted = total(scorer.score(adapter, {}).value());
  EXPECT_NE(base, adapted);
  EXPECT_EQ(total(scorer.score(std::nullopt, {}).value()), base);
  EXPECT_EQ(total(scorer.score(adapter, {}).value()), adapted);
  command.adapter = adapter;
  EXPECT_EQ(total(scores(command)), adapted);
}

}  // namespace perplexity_scorer_test
}  // namespace cpx::recipes
