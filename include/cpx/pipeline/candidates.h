// SPDX-License-Identifier: Apache-2.0
// Selects the paraphrases to keep from the sampled answers of a model.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cpx::pipeline {

struct CandidateOptions {
  /// A candidate is cut where one of these begins. The headers of the published prompts begin with
  /// "###". The published script takes the text after the last answer header instead, so if a model
  /// goes on to ask and answer itself, the paraphrase changes.
  std::vector<std::string> headers = {"###"};
  /// Texts in lower case (published: yes).
  bool lower_case = false;
  /// ROUGE-L by word stems (published: no).
  bool use_stemmer = false;
  /// Maximum number of texts to keep.
  int64_t keep = 15;
};

/// A cleaned answer and its rank: ROUGE-L F against the input.
struct RankedText {
  std::string text = {};
  double rouge_l = 0.0;
};

/// What happened to the candidates of one input: `drawn` is the sum of the fields below it.
struct CandidateCounts {
  int64_t wanted = 0;  // CandidateOptions::keep
  int64_t drawn = 0;
  int64_t kept = 0;
  int64_t empty = 0;       // nothing left after cleaning
  int64_t copies = 0;      // of the input
  int64_t duplicates = 0;  // of a candidate drawn before
  int64_t outranked = 0;   // below the best `wanted`
};

struct CandidateSelection {
  std::vector<RankedText> kept = {};  // the best first
  CandidateCounts counts = {};
};

/// Cleans a sampled answer: cuts it at the first header, turns literal `\n` into line breaks as in
/// shards (data::unescape()), removes surrounding blanks and quotes, and lower-cases it if
/// requested. Throws std::invalid_argument if a header is empty.
std::string clean_candidate(std::string_view sampled, const CandidateOptions& options);

/// Cleans the answers to `input` and keeps the best by ROUGE-L F against it; of equal ones those
/// drawn first. It drops empty texts, copies of the input, and duplicates: texts that differ only
/// in letter case, blanks and surrounding quotes. Throws std::invalid_argument unless keep > 0.
CandidateSelection select_candidates(std::string_view input, std::span<const std::string> sampled,
                                     const CandidateOptions& options);

/// "3 of 15 kept from 20 drawn (9 empty, 6 copies of the input, 2 duplicates)"; zero counts are
/// left out.
std::string describe(const CandidateCounts& counts);

/// Sums the counts of two inputs.
CandidateCounts operator+(const CandidateCounts& a, const CandidateCounts& b);

}  // namespace cpx::pipeline
