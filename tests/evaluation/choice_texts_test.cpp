// SPDX-License-Identifier: Apache-2.0
#include "src/evaluation/choice_texts.h"

#include <gtest/gtest.h>

#include "src/evaluation/csv_rows.h"

namespace cpx::evaluation {
namespace choice_texts_test {

using Pages = std::vector<std::string>;

TEST(HellaswagText, BracketsGoAfterTheBlanksAtTheEnds) {
  EXPECT_EQ(hellaswag_text("  [header] How to wash [title] Fill it [step] Use water. "),
            " How to wash. Fill it Use water.");
  EXPECT_EQ(hellaswag_text("[substeps] Wipe it."), " Wipe it.");
}

TEST(HellaswagText, ABracketEndsOnItsLine) {
  EXPECT_EQ(hellaswag_text("a [b\nc] d [e] f"), "a [b\nc] d f");
  EXPECT_EQ(hellaswag_text("a [b [c] d] e"), "a d] e");
  EXPECT_EQ(hellaswag_text("a [ b"), "a [ b");
}

TEST(HellaswagText, ThreeBlanksLeaveTwo) { EXPECT_EQ(hellaswag_text("a   b"), "a  b"); }

TEST(WikitextText, PunctuationAndHyphensLoseTheirBlanks) {
  EXPECT_EQ(
      detokenized_wikitext("in 1 @,@ 842 , a low @-@ roofed 2 @.@ 5 : yes ; no . Why ? Ah ! x"),
      "in 1,842, a low-roofed 2.5: yes; no. Why? Ah! x");
}

TEST(WikitextText, BracketsAndQuotesLoseTheBlanksWithin) {
  EXPECT_EQ(detokenized_wikitext("( a ) [ b ] { c } \" d \" ' e ' ( )"),
            "(a) [b] {c} \"d\" 'e' ()");
  EXPECT_EQ(detokenized_wikitext("( a ( b ) c )"), "(a ( b) c )");  // up to the first one
  EXPECT_EQ(detokenized_wikitext("( open"), "( open");
}

TEST(WikitextText, TheRestIsAsPublished) {
  EXPECT_EQ(detokenized_wikitext("the keepers ' wives"), "the keepers' wives");
  EXPECT_EQ(detokenized_wikitext("the keeper 's son"), "the keeper's son");
  EXPECT_EQ(detokenized_wikitext("= = = = a = = = b = = c"), "==== a === b == c");
  EXPECT_EQ(detokenized_wikitext("12 \xC2\xB0 C \n x on N street"),
            "12\xC2\xB0"
            "C\nx on 1 street");
  EXPECT_EQ(detokenized_wikitext("/' 7/"), "/'[0-9]/");  // the slip of the published pattern
}

TEST(WikitextPages, ATitleBeginsAPage) {
  EXPECT_EQ(wikitext_pages(" \n = One = \n a\n = = Part = = \n b\n = Two = \n c\n"),
            (Pages{" = One = \n a\n = = Part = = \n b", " = Two = \n c\n"}));
}

TEST(WikitextPages, ATextWithoutTitlesIsOnePage) {
  EXPECT_EQ(wikitext_pages("a\nb"), (Pages{"a\nb"}));
}

TEST(NumWords, EmptyPiecesAtTheEndsCount) {
  EXPECT_EQ(num_words("a b"), 2);
  EXPECT_EQ(num_words(" a  b\n"), 4);
  EXPECT_EQ(num_words("a\xC2\xA0"
                      "b"),
            2);  // a no-break space is white space
  EXPECT_EQ(num_words(""), 1);
}

TEST(CsvRows, QuotedFieldsMayHoldCommasAndLines) {
  const auto rows = csv_rows("a,\"b, \"\"c\"\"\nd\",e\n\nf,g \"h\",\"\"\n");
  ASSERT_EQ(rows.size(), 2);
  EXPECT_EQ(rows[0].fields, (Pages{"a", "b, \"c\"\nd", "e"}));
  EXPECT_EQ(rows[0].line, 1);
  EXPECT_EQ(rows[1].fields, (Pages{"f", "g \"h\"", ""}));
  EXPECT_EQ(rows[1].line, 4);
}

}  // namespace choice_texts_test
}  // namespace cpx::evaluation
