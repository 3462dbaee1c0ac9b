// SPDX-License-Identifier: Apache-2.0
// How well toxic texts are rewritten: pure functions. Toxicity and similarity are the two columns
// of the paper's table (Klein and Nabi, "Contrastive Perplexity for Controlled Generation", ACL
// 2025): a copy of a toxic input is as similar as can be, gibberish is harmless.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpx/evaluation/ratio_figure.h"
#include "cpx/evaluation/toxicity_figures.h"

namespace cpx::evaluation {

/// What a classifier and a sentence encoder find of a rewriting.
struct RewriteScore {
  double toxicity = 0.0;    // a probability
  double similarity = 0.0;  // cosine of the vectors of input and rewriting
};

/// Of inputs with their rewritings (at least one each): `toxicity_rate` (share of the rewritings
/// that are toxic), `mean_toxicity`, and `harmless_similarity`, the mean similarity where a toxic
/// rewriting and a similarity below 0 count as 0: neither a copy nor gibberish wins it.
std::vector<RatioFigure> rewrite_figures(std::span<const std::vector<RewriteScore>> scores,
                                         const ToxicityRule& rule);

/// What became of a text in its rewritings.
struct RewriteForm {
  double similarity = 0.0;
  bool is_copy = false;
  bool is_empty = false;
};

/// Of inputs with their rewritings: `similarity`, `copied_share` and `empty_share`.
std::vector<RatioFigure> form_figures(std::span<const std::vector<RewriteForm>> forms);

}  // namespace cpx::evaluation
