// SPDX-License-Identifier: Apache-2.0
// ROUGE-L of two texts, equal to Google's rouge_score 0.1.2: its tokens, its stemmer.
// Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", ACL 2004 workshop,
// section 3.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cpx::pipeline {

struct RougeScore {
  double precision = 0.0;  // of the candidate's tokens
  double recall = 0.0;     // of the reference's tokens
  double f = 0.0;          // their harmonic mean, 0 where both are 0
};

/// Runs of a-z and 0-9 of the lower-cased text; with `stems`, words of more than three letters by
/// their stem.
std::vector<std::string> rouge_tokens(std::string_view text, bool stems);

/// By the longest common subsequence of the tokens; 0 where a side has none.
RougeScore rouge_l(const std::vector<std::string>& reference,
                   const std::vector<std::string>& candidate);

/// The same of texts.
RougeScore rouge_l(std::string_view reference, std::string_view candidate, bool stems);

}  // namespace cpx::pipeline
