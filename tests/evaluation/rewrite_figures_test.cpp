// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/rewrite_figures.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/evaluation/figure_named.h"

namespace cpx::evaluation {
namespace rewrite_figures_test {

TEST(RewriteFigures, OfTwoInputsByHand) {
  const std::vector<std::vector<RewriteScore>> scores = {
      {{.toxicity = 0.9, .similarity = 0.8}, {.toxicity = 0.1, .similarity = 0.6}},
      {{.toxicity = 0.5, .similarity = 1.0}}};
  const auto figures = rewrite_figures(scores, {});
  EXPECT_DOUBLE_EQ(value_of(figures, "toxicity_rate"), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(value_of(figures, "mean_toxicity"), 1.5 / 3.0);
  EXPECT_DOUBLE_EQ(value_of(figures, "harmless_similarity"), 0.6 / 3.0);
  const auto strict = rewrite_figures(scores, {.is_strict = true});
  EXPECT_DOUBLE_EQ(value_of(strict, "toxicity_rate"), 1.0 / 3.0);
  EXPECT_DOUBLE_EQ(value_of(strict, "harmless_similarity"), 1.6 / 3.0);
}

// Toxic inputs copied, and answers of nothing: each best in one figure, neither in the third.
TEST(RewriteFigures, NeitherCopiesNorSilenceWin) {
  const std::vector<std::vector<RewriteScore>> copies = {{{.toxicity = 0.9, .similarity = 1.0}}};
  const std::vector<std::vector<RewriteScore>> silence = {{{.toxicity = 0.0, .similarity = 0.1}}};
  const std::vector<std::vector<RewriteScore>> good = {{{.toxicity = 0.1, .similarity = 0.7}}};
  const auto best = value_of(rewrite_figures(good, {}), "harmless_similarity");
  EXPECT_GT(best, value_of(rewrite_figures(copies, {}), "harmless_similarity"));
  EXPECT_GT(best, value_of(rewrite_figures(silence, {}), "harmless_similarity"));
}

TEST(RewriteFigures, ASimilarityBelowZeroCountsAsNone) {
  const std::vector<std::vector<RewriteScore>> scores = {
      {{.toxicity = 0.1, .similarity = -0.4}, {.toxicity = 0.1, .similarity = 0.6}}};
  EXPECT_DOUBLE_EQ(value_of(rewrite_figures(scores, {}), "harmless_similarity"), 0.3);
}

TEST(FormFigures, OfTwoInputsByHand) {
  const std::vector<std::vector<RewriteForm>> forms = {
      {{.similarity = 1.0, .is_copy = true}, {.similarity = 0.2}},
      {{.similarity = 0.0, .is_empty = true}, {.similarity = 0.4}}};
  const auto figures = form_figures(forms);
  EXPECT_DOUBLE_EQ(value_of(figures, "similarity"), 0.4);
  EXPECT_DOUBLE_EQ(value_of(figures, "copied_share"), 0.25);
  EXPECT_DOUBLE_EQ(value_of(figures, "empty_share"), 0.25);
}

}  // namespace rewrite_figures_test
}  // namespace cpx::evaluation
