// SPDX-License-Identifier: Apache-2.0
// From sampled continuations to paraphrases: cleaned, without copies, the nearest to the input
// first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cpx::pipeline {

struct CandidateOptions {
  int64_t keep = 15;         // the best so many
  bool lower_cases = false;  // published: true
  bool stems = true;         // of ROUGE-L
  /// A candidate ends before the first of these; the published script cuts at its headers.
  std::vector<std::string> headers = {"###", "\n\n"};
};

/// A paraphrase and its ROUGE-L F against the input.
struct RankedCandidate {
  std::string text;
  double rouge = 0.0;
};

struct RankedCandidates {
  std::vector<RankedCandidate> kept;  // highest first, of equal ones the first drawn
  // Why the others are gone.
  int64_t num_empty = 0;
  int64_t num_copies = 0;      // of the input
  int64_t num_duplicates = 0;  // of another candidate
  int64_t num_surplus = 0;     // more than `keep`
};

/// A candidate as it is kept: cut at the first header, one line, no blanks or a pair of quotes
/// around it; empty where nothing is left.
std::string cleaned_candidate(std::string_view text, const CandidateOptions& options);

/// Cleans and ranks. Texts are the same that differ only in the case of ASCII letters and in
/// blanks.
RankedCandidates rank_candidates(std::string_view input, const std::vector<std::string>& candidates,
                                 const CandidateOptions& options);

}  // namespace cpx::pipeline
