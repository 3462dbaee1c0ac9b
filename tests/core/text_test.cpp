// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/text.h"

#include <gtest/gtest.h>

namespace cpx {
namespace text_test {

TEST(Quote, StaysOnOneLine) {
  EXPECT_EQ(quote("a b"), "'a b'");
  EXPECT_EQ(quote("a\n\t\x7F"), "'a\\x0a\\x09\\x7f'");
  EXPECT_EQ(quote(""), "''");
}

TEST(Quote, KeepsUtf8AndSpellsOtherBytes) {
  EXPECT_EQ(quote("caf\xC3\xA9"), "'caf\xC3\xA9'");
  EXPECT_EQ(quote("caf\xE9"), "'caf\\xe9'");
  EXPECT_EQ(quote("\xEF\xBF\xBD"), "'\xEF\xBF\xBD'");  // U+FFFD itself
}

// A right-to-left override, a zero-width space, a line separator.
TEST(Quote, SpellsMarksThatTurnOrHideOthers) {
  EXPECT_EQ(quote("\xE2\x80\xAE"), "'\\xe2\\x80\\xae'");
  EXPECT_EQ(quote("\xE2\x80\x8B"), "'\\xe2\\x80\\x8b'");
  EXPECT_EQ(quote("\xE2\x80\xA8"), "'\\xe2\\x80\\xa8'");
}

TEST(Quote, LongTextsAreCutBetweenCharacters) {
  EXPECT_EQ(quote(std::string(100, 'x')), "'" + std::string(100, 'x') + "'");
  EXPECT_EQ(quote(std::string(101, 'x')), "'" + std::string(100, 'x') + "...'");
  EXPECT_EQ(quote(std::string(99, 'x') + "\xC3\xA9"), "'" + std::string(99, 'x') + "...'");
  EXPECT_EQ(printable("abc", 2), "ab...");
}

TEST(Counted, HasThePluralOfAllNumbersButOne) {
  EXPECT_EQ(counted(0, "file"), "0 files");
  EXPECT_EQ(counted(1, "file"), "1 file");
  EXPECT_EQ(counted(2, "file"), "2 files");
  EXPECT_EQ(counted(1, "copy", "copies"), "1 copy");
  EXPECT_EQ(counted(3, "copy", "copies"), "3 copies");
}

TEST(Blank, IsATextOfBlanksAlone) {
  EXPECT_TRUE(is_blank(""));
  EXPECT_TRUE(is_blank(" \t\r\n\v\f"));
  EXPECT_FALSE(is_blank(" . "));
}

}  // namespace text_test
}  // namespace cpx
