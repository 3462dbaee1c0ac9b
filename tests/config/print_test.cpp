// SPDX-License-Identifier: Apache-2.0
#include "cpx/config/print.h"

#include <cmath>
#include <gmock/gmock.h>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/config/load.h"
#include "src/config/scalar.h"
#include "tests/config/sample_options.h"

namespace cpx::config {
namespace print_test {

using sample::Color;
using sample::Drawing;
using sample::Square;
using testing::ElementsAre;
using testing::IsEmpty;

Drawing unusual_drawing() {
  Drawing drawing;
  drawing.copies = std::numeric_limits<int64_t>::max();
  drawing.title = "a: \"b\" \\ \n\t\x01 # \xc3\xa9 *";
  drawing.output = "with space/a.svg";
  drawing.background = "null";
  drawing.layers = {"null", "1", "-", "true", ".5", "[x]", "0x1", "a,b", "*.json", "./x", "-x"};
  drawing.pages = {1, 2, 3};
  drawing.pen = {
      .width = 0.1 + 0.2, .erasable = true, .color = Color::kDarkGreen, .tip = {1e-300, 3}};
  drawing.shape = Square{.side = 1.0 / 3.0};
  return drawing;
}

TEST(ConfigPrint, WritesTheSectionInDeclaredOrder) {
  Drawing drawing;
  drawing.output = "a.svg";
  EXPECT_EQ(to_yaml(fields_of(drawing)),
            "copies: 1\n"
            "title: untitled\n"
            "output: a.svg\n"
            "background: null\n"
            "layers: [ink]\n"
            "pages: []\n"
            "pen:\n"
            "  width: 0.5\n"
            "  erasable: false\n"
            "  color: red\n"
            "  tip: [0.25, 1.0]\n"
            "shape:\n"
            "  name: circle\n"
            "  radius: 1.0\n");
}

TEST(ConfigPrint, LoadsBackToTheSameValues) {
  Drawing drawing = unusual_drawing();
  Drawing again;
  const std::string yaml = to_yaml(fields_of(drawing));
  const Loaded loaded = load_text(fields_of(again), yaml, "again.yaml");
  EXPECT_THAT(loaded.faults.texts(), IsEmpty()) << yaml;
  EXPECT_EQ(again.copies, drawing.copies);
  EXPECT_EQ(again.title, drawing.title);
  EXPECT_EQ(again.output, drawing.output);
  EXPECT_EQ(again.background, drawing.background);
  EXPECT_EQ(again.layers, drawing.layers);
  EXPECT_EQ(again.pages, drawing.pages);
  EXPECT_EQ(again.pen.width, drawing.pen.width);
  EXPECT_EQ(again.pen.tip, drawing.pen.tip);
  EXPECT_EQ(again.pen.color, drawing.pen.color);
  EXPECT_EQ(std::get<Square>(again.shape).side, std::get<Square>(drawing.shape).side);
  EXPECT_EQ(to_yaml(fields_of(again)), yaml);
}

TEST(ConfigPrint, WritesTheWordInPlaceOfAList) {
  Drawing drawing;
  drawing.layers = {"everything"};
  EXPECT_THAT(to_yaml(fields_of(drawing)), testing::HasSubstr("layers: everything\n"));
}

TEST(ConfigPrint, FlattensTheChosenAlternativeOnly) {
  Drawing drawing;
  drawing.shape = Square{};
  std::vector<std::string> keys;
  for (const FlatValue& value : flatten(fields_of(drawing))) {
    keys.push_back(value.key + "=" + value.yaml);
  }
  EXPECT_THAT(keys, ElementsAre("copies=1", "title=untitled", "output=\"\"", "background=null",
                                "layers=[ink]", "pages=[]", "pen.width=0.5", "pen.erasable=false",
                                "pen.color=red", "pen.tip=[0.25, 1.0]", "shape.name=square",
                                "shape.side=2.0"));
}

TEST(ConfigPrint, HelpNamesEveryKeyWithTypeAndDefault) {
  Drawing drawing;
  const std::string help = key_help(fields_of(drawing));
  EXPECT_THAT(help, testing::HasSubstr("  copies (whole number >= 0; default 1)\n"
                                       "      How often it is drawn\n"));
  EXPECT_THAT(help, testing::HasSubstr("  output (path; required)\n"));
  EXPECT_THAT(help, testing::HasSubstr("  shape.name (one of circle, square; default circle)\n"
                                       "      What is drawn (not in this version: star)\n"));
  EXPECT_THAT(help, testing::HasSubstr("  shape.side [square] (number > 0; default 2.0)\n"));
}

TEST(ConfigPrint, MarkdownHasATableASection) {
  Drawing drawing;
  const std::string markdown = key_markdown(fields_of(drawing));
  EXPECT_THAT(markdown, testing::StartsWith(
                            "| key | value | default | meaning |\n|---|---|---|---|\n"
                            "| `copies` | whole number >= 0 | `1` | How often it is drawn (may "
                            "change on resume) |\n"));
  EXPECT_THAT(markdown,
              testing::HasSubstr("| `output` | path | required | File that is written |"));
  EXPECT_THAT(markdown, testing::HasSubstr("\n## pen\n\nWhat it is drawn with.\n\n| key |"));
  EXPECT_THAT(markdown,
              testing::HasSubstr("\n### shape: square\n\nA shape of four equal sides.\n\n| key |"));
}

TEST(ConfigPrint, ASectionOfAnAlternativeIsWrittenBesideItAlone) {
  sample::Sheet sheet;
  EXPECT_EQ(to_yaml(fields_of(sheet)), "shape:\n  name: circle\n  radius: 1.0\n");
  EXPECT_EQ(flatten(fields_of(sheet)).size(), 2);
  EXPECT_THAT(key_help(fields_of(sheet)),
              testing::HasSubstr("  corners.width [square] (number > 0 and <= 10; default 0.5)\n"));
  sheet.shape = Square{};
  EXPECT_THAT(to_yaml(fields_of(sheet)),
              testing::HasSubstr("  side: 2.0\ncorners:\n  width: 0.5\n"));
  EXPECT_EQ(flatten(fields_of(sheet)).size(), 6);
}

TEST(ConfigScalar, DoublesAreShortExactAndNumbersToEveryReader) {
  EXPECT_EQ(double_to_yaml(2.2e-5), "2.2e-05");
  EXPECT_EQ(double_to_yaml(1e-8), "1.0e-08");
  EXPECT_EQ(double_to_yaml(100), "100.0");
  EXPECT_EQ(double_to_yaml(0), "0.0");
  for (const double value : {1.0 / 3, 1e300, 5e-324, 0.1 + 0.2, -1.7e-9}) {
    EXPECT_EQ(parse_double(double_to_yaml(value)), value);
  }
}

TEST(ConfigScalar, NumbersAreWholeTextsOnly) {
  EXPECT_EQ(parse_int("-7"), -7);
  EXPECT_EQ(parse_int("+7"), 7);
  for (const char* text : {"", "+", "+-7", "7 ", " 7", "7.0", "0x7", "1_000", "--7"}) {
    EXPECT_EQ(parse_int(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_double(".5"), 0.5);
  EXPECT_EQ(parse_double("5."), 5.0);
  EXPECT_EQ(parse_double("+1E-3"), 1e-3);
  for (const char* text : {"", ".", "e5", "1e", "inf", "-inf", "nan", "1,5", "0x1p3", "1e999"}) {
    EXPECT_EQ(parse_double(text), std::nullopt) << text;
  }
}

TEST(ConfigScalar, TextsAreQuotedOnlyWhereNeeded) {
  EXPECT_EQ(text_to_yaml("runs/demo-1.v2"), "runs/demo-1.v2");
  EXPECT_EQ(text_to_yaml("/abs/path"), "/abs/path");
  EXPECT_EQ(text_to_yaml("../up"), "../up");
  for (const char* text : {"", "No", "1e3", "-a", ".hidden", "a b", "a#", "a:b", "*", "~"}) {
    EXPECT_EQ(text_to_yaml(text), '"' + std::string(text) + '"');
  }
}

}  // namespace print_test
}  // namespace cpx::config
