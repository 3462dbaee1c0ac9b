// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/utf8.h"

#include <gtest/gtest.h>

namespace cpx {
namespace utf8_test {

TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_FALSE(first_invalid_utf8("plain \xC3\xA9 \xF0\x9F\x99\x82"));
  EXPECT_EQ(first_invalid_utf8("ab\xFF"), 2u);
  EXPECT_EQ(first_invalid_utf8("a\xC3"), 1u);             // cut short
  EXPECT_EQ(first_invalid_utf8("\xC0\xAF"), 0u);          // not the shortest form
  EXPECT_EQ(first_invalid_utf8("\xED\xA0\x80"), 0u);      // surrogate
  EXPECT_EQ(first_invalid_utf8("\xF4\x90\x80\x80"), 0u);  // past U+10FFFF
}

TEST(Utf8, EveryScalarValueSurvivesARoundTrip) {
  for (char32_t code_point = 0; code_point <= 0x10FFFF; code_point += 7) {
    if (code_point >= 0xD800 && code_point <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, code_point);
    const auto read = decode_utf8(text, 0);
    ASSERT_EQ(read.code_point, code_point);
    ASSERT_EQ(read.length, text.size());
  }
}

TEST(Utf8, InvalidByteReadsAsReplacementOfOneByte) {
  const auto read = decode_utf8("\xFFx", 0);
  EXPECT_EQ(read.code_point, char32_t{0xFFFD});
  EXPECT_EQ(read.length, 1u);
}

}  // namespace utf8_test
}  // namespace cpx
