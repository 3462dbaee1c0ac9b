// SPDX-License-Identifier: Apache-2.0
#include "src/config/yaml_node.h"

#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace cpx::config {
namespace yaml_node_test {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> faults_of(std::string_view text) {
  Faults faults;
  parse_yaml(text, "f", /*first_line=*/1, faults);
  return faults.texts();
}

YamlNodePtr parsed(std::string_view text) {
  Faults faults;
  const YamlNodePtr node = parse_yaml(text, "f", /*first_line=*/1, faults);
  EXPECT_THAT(faults.texts(), IsEmpty()) << text;
  return node;
}

std::string text_at(const YamlNodePtr& map, std::string_view key) {
  const YamlEntry* entry = map->find(key);
  return entry == nullptr ? "(none)" : entry->value->text;
}

TEST(YamlNode, KeepsLinesAndQuotes) {
  const YamlNodePtr node = parsed("a: 1\nb:\n  - x\n  - 'null'\n  - null\n");
  EXPECT_EQ(node->find("b")->origin.text(), "f:2");
  const YamlNode& list = *node->find("b")->value;
  ASSERT_EQ(list.items.size(), 3);
  EXPECT_EQ(list.items[1]->origin.text(), "f:4");
  EXPECT_FALSE(list.items[0]->is_quoted);
  EXPECT_TRUE(list.items[1]->is_quoted);
  EXPECT_EQ(list.items[1]->kind, YamlNode::Kind::kText);
  EXPECT_EQ(list.items[2]->kind, YamlNode::Kind::kNull);
}

TEST(YamlNode, TellsEveryDuplicateKeyWithItsPath) {
  EXPECT_THAT(faults_of("a: 1\nb: {c: 1, c: 2}\na: 2\nd:\n  e:\n    g: 1\n    g: 2\n"),
              ElementsAre("[f:2] b.c: the key is given twice: expected once (first: f:2).",
                          "[f:3] a: the key is given twice: expected once (first: f:1).",
                          "[f:7] d.e.g: the key is given twice: expected once (first: f:6)."));
}

TEST(YamlNode, TellsTabsOfTheIndentation) {
  EXPECT_THAT(faults_of("a:\n\tb: 1\n \tc: 2\n"),
              ElementsAre("[f:2] the indentation: got a tab, expected spaces.",
                          "[f:3] the indentation: got a tab, expected spaces."));
  // Blank lines and comments are no indentation, a tab behind a value does no harm.
  EXPECT_EQ(text_at(parsed("a: 1\t# one\n\t\n\t# two\nb: 2\n"), "b"), "2");
}

TEST(YamlNode, KeepsWhatStandsBesideDuplicatesAndTabs) {
  Faults faults;
  const YamlNodePtr node =
      parse_yaml("a: 1\na: 2\n[x]: 3\nb:\n\tc: 4\n", "f", /*first_line=*/1, faults);
  EXPECT_THAT(faults.texts(),
              ElementsAre("[f:5] the indentation: got a tab, expected spaces.",
                          "[f:2] a: the key is given twice: expected once (first: f:1).",
                          "[f:3] a key: got an empty list, expected a text."));
  ASSERT_NE(node, nullptr);
  ASSERT_EQ(node->entries.size(), 2);
  EXPECT_EQ(text_at(node, "a"), "1");
  EXPECT_EQ(text_at(node->find("b")->value, "c"), "4");
}

TEST(YamlNode, WhatTabsMayHaveBrokenIsNotToldBesideThem) {
  EXPECT_THAT(faults_of("a:\n  b: 1\n\tc: 2\n"),
              ElementsAre("[f:3] the indentation: got a tab, expected spaces."));
}

TEST(YamlNode, TellsWhatIsNotUtf8OrAControlCharacter) {
  EXPECT_THAT(faults_of("a: 1\nb: \xff\n"),
              ElementsAre("[f:2] the text: got byte 0xff, expected UTF-8."));
  EXPECT_THAT(faults_of("a: \xc3"), ElementsAre("[f:1] the text: got byte 0xc3, expected UTF-8."));
  // yaml-cpp would take 0x04 for the end of the file and never read b.
  EXPECT_THAT(faults_of(std::string("a: 1\n\x04\nb: 2\n")),
              ElementsAre("[f:2] the text: got control character 0x04, expected none."));
  EXPECT_THAT(faults_of(std::string_view("a: \0b\n", 6)),
              ElementsAre("[f:1] the text: got control character 0x00, expected none."));
}

TEST(YamlNode, ReadsAByteOrderMarkAndWindowsLines) {
  const YamlNodePtr node = parsed(
      "\xef\xbb\xbf"
      "a: 1\r\nb: 2\r\n");
  EXPECT_EQ(text_at(node, "a"), "1");
  EXPECT_EQ(text_at(node, "b"), "2");
}

TEST(YamlNode, TellsSyntaxErrorsWithLineAndColumn) {
  EXPECT_THAT(faults_of("a: 1\nb: [1, 2\nc: 3\n"),
              ElementsAre("[f:3:2] not YAML: end of sequence flow not found."));
  EXPECT_THAT(faults_of("a: b: c\n"), ElementsAre("[f:1:5] not YAML: illegal map value."));
  EXPECT_THAT(
      faults_of("a: *b\n"),
      ElementsAre("[f:1:4] not YAML: the referenced anchor is not defined. A text that starts "
                  "with * needs quotes."));
  // The rest of the file would else be a part of the text.
  EXPECT_THAT(faults_of("a: 'x\nb: 2\n"), ElementsAre("[f:2:5] not YAML: illegal EOF in scalar."));
  EXPECT_THAT(faults_of("a: \"x\nb: 2\n"), ElementsAre("[f:2:5] not YAML: illegal EOF in scalar."));
}

TEST(YamlNode, TellsWhereASecondDocumentBegins) {
  EXPECT_THAT(faults_of("a: 1\n---\nb: 2\n"),
              ElementsAre("[f:2] not YAML: what begins here does not belong to what stands before "
                          "it, expected one map of keys."));
  EXPECT_THAT(faults_of("- a\nb: 1\n"),
              ElementsAre("[f:2] not YAML: what begins here does not belong to what stands before "
                          "it, expected one map of keys."));
}

TEST(YamlNode, EndsDeepNestingWithAFault) {
  const std::string deep = std::string(100000, '[');
  EXPECT_THAT(faults_of(deep), ElementsAre(testing::HasSubstr("not YAML: ")));
}

TEST(YamlNode, TellsKeysThatAreNoText) {
  EXPECT_THAT(faults_of("a:\n  ? [x]\n  : 1\n"),
              ElementsAre("[f:2] a: a key: got an empty list, expected a text."));
  EXPECT_THAT(faults_of("{null: 1}\n"), ElementsAre("[f:1] a key: got null, expected a text."));
}

TEST(YamlNode, FollowsAliasesAndMergeKeys) {
  const YamlNodePtr node = parsed(
      "base: &base {x: 1, y: 2}\n"
      "more: &more {y: 3, z: 4}\n"
      "one: *base\n"
      "two: {<<: *base, x: 9}\n"
      "three: {<<: [*more, *base], w: 0}\n");
  EXPECT_EQ(text_at(node->find("one")->value, "y"), "2");
  const YamlNodePtr two = node->find("two")->value;
  EXPECT_EQ(text_at(two, "x"), "9");
  EXPECT_EQ(text_at(two, "y"), "2");
  const YamlNodePtr three = node->find("three")->value;
  EXPECT_EQ(text_at(three, "x"), "1");
  EXPECT_EQ(text_at(three, "y"), "3");
  EXPECT_EQ(text_at(three, "z"), "4");
}

TEST(YamlNode, RefusesMergesOfNoMapAndAliasesOfThemselves) {
  EXPECT_THAT(faults_of("a:\n  <<: 3\n"),
              ElementsAre("[f:2] a.<<: got '3', expected a map or a list of maps to merge."));
  EXPECT_THAT(
      faults_of("a: &a\n  b: *a\n"),
      ElementsAre("[f:2] a.b: an alias inside of what it stands for: expected one to a value "
                  "that ended before it."));
}

TEST(YamlNode, ReadsNestedAliasesInLinearSpace) {
  // Written out it would hold 10^12 texts.
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 12; ++level) {
    const std::string name = "a" + std::to_string(level);
    const std::string alias = "*a" + std::to_string(level - 1);
    text += name + ": &" + name + " [";
    for (int copy = 0; copy < 10; ++copy) text += (copy == 0 ? "" : ", ") + alias;
    text += "]\n";
  }
  EXPECT_EQ(parsed(text)->entries.size(), 12);
}

TEST(YamlNode, MergedLeavesBothTreesAsTheyAre) {
  const YamlNodePtr base = parsed("a: {x: 1, y: 2}\nb: 3\n");
  const YamlNodePtr overlay = parsed("a: {y: 5}\nc: 6\n");
  const YamlNodePtr both = merged(base, overlay);
  EXPECT_EQ(text_at(both->find("a")->value, "x"), "1");
  EXPECT_EQ(text_at(both->find("a")->value, "y"), "5");
  EXPECT_EQ(text_at(both, "b"), "3");
  EXPECT_EQ(text_at(both, "c"), "6");
  EXPECT_EQ(text_at(base->find("a")->value, "y"), "2");
  EXPECT_EQ(overlay->entries.size(), 2);
}

}  // namespace yaml_node_test
}  // namespace cpx::config
