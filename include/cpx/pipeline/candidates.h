// SPDX-License-Identifier: Apache-2.0
// From the texts that a model was asked for to the paraphrases that are kept.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cpx::pipeline {

struct CandidateOptions {
  /// A candidate ends where one of these begins. The published prompts' headers begin with "###";
  /// the published script takes what follows the last answer header instead, so that a model that
  /// goes on to ask and answer itself changes the paraphrase.
  std::vector<std::string> headers = {"###"};
  /// Texts in lower case (published: yes).
  bool lower_case = false;
  /// ROUGE-L by word stems (published: no).
  bool use_stemmer = false;
  /// At most so many are kept.
  int64_t keep = 15;
};

/// A cleaned answer and its rank: ROUGE-L F against the input.
struct RankedText {
  std::string text = {};
  double rouge_l = 0.0;
};

/// What became of an input's candidates: `drawn` is the sum of what follows it.
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

/// The text of a sampled answer: cut at the first header, literal `\n` as in shards
/// (data::unescape()), without surrounding blanks and quotes, in lower case where asked for. Throws
/// std::invalid_argument when a header is empty.
std::string clean_candidate(std::string_view sampled, const CandidateOptions& options);

/// Cleans the answers to `input` and keeps the best by ROUGE-L F against it, of equal ones those
/// drawn first. Dropped are empty texts, copies of the input and duplicates: texts that are equal
/// but for letter case, blanks, and surrounding quotes. Throws std::invalid_argument unless
/// keep > 0.
CandidateSelection select_candidates(std::string_view input, std::span<const std::string> sampled,
                                     const CandidateOptions& options);

/// "3 of 15 kept from 20 drawn (9 empty, 6 copies of the input, 2 duplicates)"; what is 0 is left
/// out.
std::string describe(const CandidateCounts& counts);

/// Adds up counts of several inputs.
CandidateCounts operator+(const CandidateCounts& a, const CandidateCounts& b);

}  // namespace cpx::pipeline
