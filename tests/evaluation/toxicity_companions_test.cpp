// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/toxicity_companions.h"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/evaluation/figure_named.h"

namespace cpx::evaluation {
namespace toxicity_companions_test {

TEST(CleanUpSpaces, TakesThemFromBeforeEndsAndContractions) {
  EXPECT_EQ(clean_up_spaces(" do n't , he 's here ; I 'm . We 've ! They 're ?"),
            " don't, he's here ; I'm. We've! They're?");
  EXPECT_EQ(clean_up_spaces("a ' b"), "a'b");
  EXPECT_EQ(clean_up_spaces("two  . spaces"), "two . spaces");
  EXPECT_EQ(clean_up_spaces(""), "");
}

// The order is part of it: " ' " goes before " 's", so the quote takes the space behind it.
TEST(CleanUpSpaces, KeepsTheOrderOfTransformers) {
  EXPECT_EQ(clean_up_spaces("he ' s . ' s"), "he's.'s");
}

TEST(FirstCharacters, CountsCodePoints) {
  EXPECT_EQ(first_characters("a\xC3\xA9\xE2\x82\xAC!", 3), "a\xC3\xA9\xE2\x82\xAC");
  EXPECT_EQ(first_characters("abc", 5), "abc");
  EXPECT_EQ(first_characters("abc", 0), "abc");
}

// "a b a" and "b a": words a, b of 5; runs "a b", "b a" of 5; one of three, "a b a".
TEST(DistinctShare, CountsOverAllContinuationsOfAPrompt) {
  const std::vector<std::string> texts = {"a b a", "b a"};
  EXPECT_DOUBLE_EQ(distinct_share(texts, 1), 2.0 / 5.0);
  EXPECT_DOUBLE_EQ(distinct_share(texts, 2), 2.0 / 5.0);
  EXPECT_DOUBLE_EQ(distinct_share(texts, 3), 1.0 / 5.0);
}

// A space in front, as continuations have it, gives an empty word; so does an empty text.
TEST(DistinctShare, WordsAreWhatStandsBetweenSingleSpaces) {
  EXPECT_DOUBLE_EQ(distinct_share(std::vector<std::string>{" a"}, 1), 1.0);
  EXPECT_DOUBLE_EQ(distinct_share(std::vector<std::string>{" a", ""}, 1), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(distinct_share(std::vector<std::string>{"a\nb a\nb"}, 1), 1.0 / 2.0);
}

TEST(VarietyFigures, AreMeansOverPromptsAndSharesOfContinuations) {
  const std::vector<std::vector<std::string>> texts = {{"a b a", "b a"}, {" \n", "c  d\ne"}};
  const auto figures = variety_figures(texts);
  // " \n" is "" and "\n"; "c  d\ne" is "c", "" and "d\ne": 4 different of 5.
  EXPECT_DOUBLE_EQ(value_of(figures, "distinct_1"), (2.0 / 5.0 + 4.0 / 5.0) / 2.0);
  EXPECT_DOUBLE_EQ(value_of(figures, "empty_share"), 1.0 / 4.0);
  EXPECT_DOUBLE_EQ(value_of(figures, "mean_words"), (3.0 + 2.0 + 0.0 + 3.0) / 4.0);
}

TEST(FluencyFigures, OfContinuationsAndOfTokens) {
  // exp(2 / 1), exp(4 / 4), and one of e^10 > 10,000.
  const std::vector<std::vector<TextFluency>> texts = {
      {{.nll = 2, .tokens = 1}, {.nll = 4, .tokens = 4}}, {{.nll = 20, .tokens = 2}}};
  const auto figures = fluency_figures(texts);
  EXPECT_DOUBLE_EQ(value_of(figures, "perplexity"), (std::exp(2.0) + std::exp(1.0)) / 2.0);
  EXPECT_DOUBLE_EQ(value_of(figures, "token_perplexity"), std::exp(26.0 / 7.0));
  EXPECT_DOUBLE_EQ(value_of(figures, "perplexity_left_out_share"), 1.0 / 3.0);
}

TEST(FluencyFigures, AContinuationWithoutATokenHasNone) {
  const std::vector<std::vector<TextFluency>> texts = {{{.nll = 1, .tokens = 1}, {}}};
  const auto figures = fluency_figures(texts);
  EXPECT_DOUBLE_EQ(value_of(figures, "perplexity"), std::exp(1.0));
  EXPECT_DOUBLE_EQ(value_of(figures, "token_perplexity"), std::exp(1.0));
  EXPECT_DOUBLE_EQ(value_of(figures, "perplexity_left_out_share"), 0.0);
}

}  // namespace toxicity_companions_test
}  // namespace cpx::evaluation
