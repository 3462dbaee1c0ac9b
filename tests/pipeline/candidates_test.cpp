// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/candidates.h"

#include <gtest/gtest.h>

#include "cpx/pipeline/rouge.h"

namespace cpx::pipeline {
namespace {

TEST(CleanedCandidate, EndsAtTheFirstHeaderAndIsOneLine) {
  const CandidateOptions options;
  EXPECT_EQ(cleaned_candidate("  Please close\n the door. \n\nAnother: x", options),
            "Please close the door.");
  EXPECT_EQ(cleaned_candidate("Please close the door.### Input: y", options),
            "Please close the door.");
  EXPECT_EQ(cleaned_candidate("### Output: y", options), "");
  EXPECT_EQ(cleaned_candidate(" \n\t ", options), "");
}

TEST(CleanedCandidate, LosesTheQuotesAroundIt) {
  const CandidateOptions options;
  EXPECT_EQ(cleaned_candidate("\" Please close it. \"", options), "Please close it.");
  EXPECT_EQ(cleaned_candidate("\xE2\x80\x9CPlease\xE2\x80\x9D", options), "Please");
  EXPECT_EQ(cleaned_candidate("'one' and 'two'", options), "'one' and 'two'");
  EXPECT_EQ(cleaned_candidate("\"", options), "\"");
}

TEST(CleanedCandidate, IsLowerCasedOnRequest) {
  EXPECT_EQ(cleaned_candidate("Please, ANNA \xC3\x84.", {.lower_cases = true}),
            "please, anna \xC3\x84.");
}

TEST(RankCandidates, TheNearestComeFirstAndTheRestIsCounted) {
  const std::string input = "The hall has to stay clear.";
  const std::vector<std::string> candidates = {
      "Good morning.",                 // nothing in common
      "the  hall has to stay CLEAR.",  // the input
      "Please keep the hall clear.",
      "",
      "The hall should stay clear.",
      "please keep the hall clear.",  // the third
      "A clear hall.",
  };
  const auto ranked = rank_candidates(input, candidates, {.keep = 3});
  ASSERT_EQ(ranked.kept.size(), 3);
  EXPECT_EQ(ranked.kept[0].text, "The hall should stay clear.");
  EXPECT_EQ(ranked.kept[1].text, "Please keep the hall clear.");
  EXPECT_EQ(ranked.kept[2].text, "A clear hall.");
  for (const auto& one : ranked.kept) {
    EXPECT_DOUBLE_EQ(one.rouge, rouge_l(input, one.text, /*stems=*/true).f);
  }
  EXPECT_EQ(ranked.num_empty, 1);
  EXPECT_EQ(ranked.num_copies, 1);
  EXPECT_EQ(ranked.num_duplicates, 1);
  EXPECT_EQ(ranked.num_surplus, 1);
}

TEST(RankCandidates, OfEqualOnesTheFirstDrawnComesFirst) {
  const auto ranked = rank_candidates("one two", {"two x", "one y", "one two z"}, {});
  ASSERT_EQ(ranked.kept.size(), 3);
  EXPECT_EQ(ranked.kept[0].text, "one two z");
  EXPECT_EQ(ranked.kept[1].text, "two x");
  EXPECT_EQ(ranked.kept[2].text, "one y");
}

}  // namespace
}  // namespace cpx::pipeline
