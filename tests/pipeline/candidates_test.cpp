// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/candidates.h"

#include <gmock/gmock.h>
#include <stdexcept>

namespace cpx::pipeline {
namespace candidates_test {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> texts(const CandidateSelection& selection) {
  std::vector<std::string> all;
  for (const RankedText& candidate : selection.kept) all.push_back(candidate.text);
  return all;
}

CandidateSelection select(const std::string& input, const std::vector<std::string>& sampled,
                          const CandidateOptions& options = {}) {
  return select_candidates(input, sampled, options);
}

TEST(CleanCandidate, EndsAtTheFirstHeader) {
  EXPECT_EQ(clean_candidate("The bus came late.\n\n### HUMAN: more\n### RESPONSE: other", {}),
            "The bus came late.");
  EXPECT_EQ(clean_candidate("### RESPONSE: text", {}), "");
  EXPECT_EQ(clean_candidate("one USER: two ASSISTANT: three", {.headers = {"ASSISTANT:", "USER:"}}),
            "one");
  EXPECT_EQ(clean_candidate("a ### b", {.headers = {}}), "a ### b");
  EXPECT_THROW(clean_candidate("a", {.headers = {""}}), std::invalid_argument);
}

TEST(CleanCandidate, LosesSurroundingBlanksAndQuotes) {
  EXPECT_EQ(clean_candidate(" \n\t\"It rains.\" \r\n", {}), "It rains.");
  EXPECT_EQ(clean_candidate("'It's raining.'", {}), "It's raining.");
  EXPECT_EQ(clean_candidate("`It rains.`", {}), "It rains.");
  EXPECT_EQ(clean_candidate("\" 'It rains.' \"", {}), "It rains.");
  EXPECT_EQ(clean_candidate("\xE2\x80\x9CIt rains.\xE2\x80\x9D", {}), "It rains.");
  EXPECT_EQ(clean_candidate("\xE2\x80\x98It rains.\xE2\x80\x99", {}), "It rains.");
  EXPECT_EQ(clean_candidate("\xE2\x80\x9E"
                            "Es regnet.\xE2\x80\x9C",
                            {}),
            "Es regnet.");
  EXPECT_EQ(clean_candidate("\xC2\xABIl pleut.\xC2\xBB", {}), "Il pleut.");
  EXPECT_EQ(clean_candidate("\"It rains, and it will", {}), "It rains, and it will");  // cut short
  EXPECT_EQ(clean_candidate("\"", {}), "");
  EXPECT_EQ(clean_candidate("''", {}), "");
}

TEST(CleanCandidate, KeepsQuotesThatAreNoPairAroundTheText) {
  EXPECT_EQ(clean_candidate("\"Yes\" and \"no\"", {}), "\"Yes\" and \"no\"");
  EXPECT_EQ(clean_candidate("He said \"yes\"", {}), "He said \"yes\"");
  EXPECT_EQ(clean_candidate("'Tis late", {}), "'Tis late");
  EXPECT_EQ(clean_candidate("the dogs'", {}), "the dogs'");
}

TEST(CleanCandidate, ReadsEscapesAsShardsDo) {
  EXPECT_EQ(clean_candidate(R"(one\ntwo\n)", {}), "one\ntwo");
  EXPECT_EQ(clean_candidate(R"(a\\b)", {}), R"(a\b)");
}

TEST(CleanCandidate, IsInLowerCaseWhereAskedFor) {
  EXPECT_EQ(clean_candidate("'\xC3\x89T\xC3\x89 in Paris'", {.lower_case = true}),
            "\xC3\xA9t\xC3\xA9 in paris");
}

// F by hand, input of 4 words: 4 of 4 in order is 1; "the bus was" 2*3/(4+3) = 6/7; "the train was
// late today" 2*3/(4+5) = 2/3; "it rains" 0.
TEST(SelectCandidates, RanksByRougeAgainstTheInput) {
  const auto selection = select("The bus was late.", {"It rains.", "the train was late today",
                                                      "The bus was -- late", "The bus was"});
  EXPECT_THAT(texts(selection), ElementsAre("The bus was -- late", "The bus was",
                                            "the train was late today", "It rains."));
  EXPECT_DOUBLE_EQ(selection.kept[0].rouge_l, 1.0);
  EXPECT_DOUBLE_EQ(selection.kept[1].rouge_l, 6.0 / 7.0);
  EXPECT_DOUBLE_EQ(selection.kept[2].rouge_l, 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(selection.kept[3].rouge_l, 0.0);
  EXPECT_EQ(selection.counts.drawn, 4);
  EXPECT_EQ(selection.counts.kept, 4);
}

TEST(SelectCandidates, OfEqualScoresTheFirstDrawnIsKept) {
  const auto selection =
      select("one two", {"two x", "one y", "one z", "two w", "one two"}, {.keep = 3});
  EXPECT_THAT(texts(selection), ElementsAre("two x", "one y", "one z"));
  EXPECT_EQ(selection.counts.copies, 1);
  EXPECT_EQ(selection.counts.outranked, 1);
}

TEST(SelectCandidates, StemmerMatchesForms) {
  EXPECT_EQ(select("dogs barking", {"dog barks"}).kept[0].rouge_l, 0.0);
  EXPECT_EQ(select("dogs barking", {"dog barks"}, {.use_stemmer = true}).kept[0].rouge_l, 1.0);
}

TEST(SelectCandidates, DropsAndCountsWhatIsUseless) {
  const auto selection =
      select("\"The bus was late.\"",
             {"", " \n", "### HUMAN", "the BUS was late.", "'The bus  was late.'", "It came late.",
              "it\ncame LATE.", "\"It came late.\"", "Late."},
             {.keep = 1});
  EXPECT_THAT(texts(selection), ElementsAre("Late."));  // F 2/5; the other one 2/7
  EXPECT_EQ(selection.counts.wanted, 1);
  EXPECT_EQ(selection.counts.drawn, 9);
  EXPECT_EQ(selection.counts.kept, 1);
  EXPECT_EQ(selection.counts.empty, 3);
  EXPECT_EQ(selection.counts.copies, 2);
  EXPECT_EQ(selection.counts.duplicates, 2);
  EXPECT_EQ(selection.counts.outranked, 1);
}

TEST(SelectCandidates, TextsThatDifferInMoreThanCaseAndBlanksAreTwo) {
  EXPECT_THAT(texts(select("x", {"It rains.", "It rains!", "It rains"})),
              ElementsAre("It rains.", "It rains!", "It rains"));
}

TEST(SelectCandidates, NothingGivesNothing) {
  const auto selection = select("text", {});
  EXPECT_THAT(selection.kept, IsEmpty());
  EXPECT_EQ(selection.counts.drawn, 0);
  EXPECT_THROW(select("text", {"a"}, {.keep = 0}), std::invalid_argument);
}

TEST(CandidateCounts, AreDescribedAndAddedUp) {
  const CandidateCounts counts = {
      .wanted = 15, .drawn = 20, .kept = 3, .empty = 9, .copies = 6, .duplicates = 2};
  EXPECT_EQ(describe(counts),
            "3 of 15 kept from 20 drawn (9 empty, 6 copies of the input, 2 duplicates)");
  EXPECT_EQ(
      describe({.wanted = 2, .drawn = 5, .kept = 2, .copies = 1, .duplicates = 1, .outranked = 1}),
      "2 of 2 kept from 5 drawn (1 copy of the input, 1 duplicate, 1 ranked lower)");
  EXPECT_EQ(describe({.wanted = 2, .drawn = 2, .kept = 2}), "2 of 2 kept from 2 drawn");
  EXPECT_EQ(describe(counts + counts),
            "6 of 30 kept from 40 drawn (18 empty, 12 copies of the input, 4 duplicates)");
}

}  // namespace candidates_test
}  // namespace cpx::pipeline
