// SPDX-License-Identifier: Apache-2.0
#include "src/report/html.h"

#include <string>

#include <gtest/gtest.h>

namespace cpx::report {
namespace html_test {

TEST(Html, CharactersOfMarkupBecomeEntities) {
  EXPECT_EQ(escaped("<script>alert(\"1\" & '2')</script>"),
            "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;");
}

TEST(Html, ControlCharactersAndWrongBytesBecomeTheReplacementCharacter) {
  const std::string replaced = "\xEF\xBF\xBD";
  EXPECT_EQ(escaped(std::string("a\0b", 3)), "a" + replaced + "b");
  EXPECT_EQ(escaped("a\x1B[31m"), "a" + replaced + "[31m");
  EXPECT_EQ(escaped("\xC2\x85"), replaced);  // U+0085
  EXPECT_EQ(escaped("caf\xE9 <"), "caf" + replaced + " &lt;");
  EXPECT_EQ(escaped("two\nlines\tand caf\xC3\xA9"), "two\nlines\tand caf\xC3\xA9");
}

TEST(Html, DataOfAScriptCannotEndIt) {
  EXPECT_EQ(safe_in_script(R"({"a":"</script><!--"})"), R"({"a":"\u003c/script>\u003c!--"})");
}

TEST(Html, ElementsCloseInTheRightOrder) {
  HtmlWriter html;
  {
    const HtmlWriter::Open table = html.open("table", {{"class", "a\"b"}});
    const HtmlWriter::Open row = html.open("tr");
    html.leaf("td", "1 < 2");
    html.empty("br");
  }
  EXPECT_EQ(html.take(),
            "<table class=\"a&quot;b\"><tr><td>1 &lt; 2</td>\n<br/>\n</tr>\n</table>\n");
}

}  // namespace html_test
}  // namespace cpx::report
