// SPDX-License-Identifier: Apache-2.0
#include "src/pipeline/lower_case.h"

#include <gtest/gtest.h>

namespace cpx::pipeline {
namespace lower_case_test {

// Expected: Python's str.lower().
TEST(LowerCase, HoldsForLettersOfAllScripts) {
  EXPECT_EQ(lower_case("Hello WORLD 42!"), "hello world 42!");
  EXPECT_EQ(lower_case("\xC3\x84\xC3\x96\xC3\x9C \xC3\x89t\xC3\x89 \xC3\x9F"),  // German, French
            "\xC3\xA4\xC3\xB6\xC3\xBC \xC3\xA9t\xC3\xA9 \xC3\x9F");
  EXPECT_EQ(lower_case("\xD0\x9F\xD1\x80\xD0\x98"), "\xD0\xBF\xD1\x80\xD0\xB8");  // Cyrillic
  EXPECT_EQ(lower_case("\xCE\xA9\xCE\x94"), "\xCF\x89\xCE\xB4");                  // Greek
  EXPECT_EQ(lower_case("\xE2\x84\xAA"), "k");                                     // Kelvin sign
  EXPECT_EQ(lower_case("\xF0\x90\x90\x80"), "\xF0\x90\x90\xA8");                  // Deseret
}

TEST(LowerCase, LeavesWhatHasNoCase) {
  EXPECT_EQ(lower_case(""), "");
  EXPECT_EQ(lower_case("\xE4\xBD\xA0 \xF0\x9F\x98\x80"), "\xE4\xBD\xA0 \xF0\x9F\x98\x80");
  EXPECT_EQ(lower_case("A\xFF\xC3"), "a\xFF\xC3");  // not UTF-8
}

}  // namespace lower_case_test
}  // namespace cpx::pipeline
