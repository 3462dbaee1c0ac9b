// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/porter_stemmer.h"

#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace cpx::pipeline {
namespace porter_stemmer_test {

TEST(PorterStem, EqualsNltkOnTheVocabulary) {
  std::ifstream file(CPX_SOURCE_DIR "/tests/fixtures/pipeline/porter_stems.txt");
  std::string word;
  std::string stem;
  int num_words = 0;
  for (; file >> word >> stem; ++num_words) EXPECT_EQ(porter_stem(word), stem) << word;
  EXPECT_GT(num_words, 5000);
}

// Examples of the paper, through all steps.
TEST(PorterStem, FollowsThePaper) {
  EXPECT_EQ(porter_stem("caresses"), "caress");
  EXPECT_EQ(porter_stem("hopping"), "hop");
  EXPECT_EQ(porter_stem("generalizations"), "gener");  // page 137
  EXPECT_EQ(porter_stem("oscillators"), "oscil");      // page 137
}

TEST(PorterStem, DepartsFromThePaperWhereNltkDoes) {
  EXPECT_EQ(porter_stem("dying"), "die");       // irregular
  EXPECT_EQ(porter_stem("dies"), "die");        // the paper: di
  EXPECT_EQ(porter_stem("died"), "die");        // the paper: di
  EXPECT_EQ(porter_stem("enjoy"), "enjoy");     // the paper: enjoi
  EXPECT_EQ(porter_stem("fly"), "fli");         // the paper: fly
  EXPECT_EQ(porter_stem("geology"), "geolog");  // the paper: geologi
  EXPECT_EQ(porter_stem("is"), "is");           // the paper: i
}

TEST(PorterStem, TakesAnyText) {
  EXPECT_EQ(porter_stem(""), "");
  EXPECT_EQ(porter_stem("s"), "s");
  EXPECT_EQ(porter_stem("007"), "007");
  EXPECT_EQ(porter_stem("yyyyyyyying"), "yyyyyyyi");
}

}  // namespace porter_stemmer_test
}  // namespace cpx::pipeline
