// SPDX-License-Identifier: Apache-2.0
// ROUGE between two texts, equal to Google's rouge_score 0.1.2.
// Source: C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, sections 2, 3.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cpx::pipeline {

/// Shares of matched tokens or n-grams in [0, 1]; all 0 if one of the texts has none.
struct RougeScore {
  double precision = 0.0;  // of the prediction's
  double recall = 0.0;     // of the target's
  double f = 0.0;          // their harmonic mean
};

/// The tokens that ROUGE compares: runs of ASCII letters and digits, in lower case. With
/// `use_stemmer` those of more than three characters are stemmed (porter_stem()).
std::vector<std::string> rouge_tokens(std::string_view text, bool use_stemmer);

/// ROUGE-L, by the longest common subsequence of the tokens. For n and m tokens: time n m / 64,
/// memory n + m.
RougeScore rouge_l(std::span<const std::string> target, std::span<const std::string> prediction);

/// ROUGE-N, by the n-grams that occur in both texts, each counted as often as in the text with
/// fewer of it; throws std::invalid_argument unless n > 0.
RougeScore rouge_n(std::span<const std::string> target, std::span<const std::string> prediction,
                   int64_t n);

}  // namespace cpx::pipeline
