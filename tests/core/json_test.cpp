// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/json.h"

#include <gmock/gmock.h>
#include <string>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx {
namespace json_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::message_of;

JsonValue parse(std::string_view text) { return JsonValue::parse("[place] a.json", text); }

std::string parse_error(std::string_view text) {
  return message_of<DataError>([&] { parse(text); });
}

TEST(JsonValue, KindsAreTold) {
  const auto values = parse(R"([null, true, 3, -2.5e3, "x", [], {}])").elements();
  ASSERT_EQ(values.size(), 7);
  EXPECT_TRUE(values[0].is_null());
  EXPECT_TRUE(values[1].is_boolean() && values[1].boolean());
  EXPECT_TRUE(values[2].is_number() && values[2].is_integer());
  EXPECT_TRUE(values[3].is_number() && !values[3].is_integer());
  EXPECT_TRUE(values[4].is_text() && values[4].is("x") && !values[4].is("y"));
  EXPECT_TRUE(values[5].is_list() && values[5].size() == 0);
  EXPECT_TRUE(values[6].is_object());
}

TEST(JsonValue, MembersKeepTheOrderOfTheFile) {
  const auto members = parse(R"({"z": 1, "a": 2, "m": {"b": 3}})").members();
  ASSERT_EQ(members.size(), 3);
  EXPECT_EQ(members[0].key, "z");
  EXPECT_EQ(members[1].key, "a");
  EXPECT_EQ(members[2].value.at("b").integer(), 3);
}

// What no double and no 64-bit integer holds, at any depth.
TEST(JsonValue, NumbersKeepTheirDigits) {
  for (const char* text :
       {"12345678901234567890123", "-98765432109876543210", "18446744073709551616", "-0", "0.10",
        "1E5", "1e-7", "3.141592653589793238462643383279", "2.50"}) {
    EXPECT_EQ(parse(text).json(), text);
    const std::string nested = fmt::format(R"({{"a":[{{"b":[[{}]]}}]}})", text);
    EXPECT_EQ(parse(nested).json(), nested);
  }
}

TEST(JsonValue, WhatIsWrittenReadsAsTheSame) {
  const std::string text = R"({"a":["\"","\\","/","\n\t\u0001","caf)"
                           "\xC3\xA9"
                           R"("],"":null,"b":{"c":false}})";
  EXPECT_EQ(parse(text).json(), text);
  EXPECT_EQ(parse(R"( [ "\u00e9\ud83d\ude00" , 1 ] )").json(), "[\"\xC3\xA9\xF0\x9F\x98\x80\",1]");
}

TEST(JsonValue, IntegersAreCheckedForTheirRange) {
  const JsonValue value =
      parse(R"({"a": 9223372036854775807, "b": 9223372036854775808, "c": 5, "d": 5.0})");
  EXPECT_EQ(value.at("a").integer(), INT64_MAX);
  EXPECT_EQ(message_of<DataError>([&] { value.at("b").integer(); }),
            "[place] a.json: 'b' is 9223372036854775808, expected an integer.");
  EXPECT_EQ(value.at("c").integer(0, 5), 5);
  EXPECT_EQ(message_of<DataError>([&] { value.at("c").integer(0, 4); }),
            "[place] a.json: 'c' is 5, expected an integer from 0 to 4.");
  EXPECT_EQ(message_of<DataError>([&] { value.at("d").integer(); }),
            "[place] a.json: 'd' is 5.0, expected an integer.");
  EXPECT_EQ(value.at("c").as_integer(0, 4), std::nullopt);
  EXPECT_EQ(value.at("b").number(), 9223372036854775808.0);
}

TEST(JsonValue, NullCountsAsAbsentButIsThere) {
  const JsonValue value = parse(R"({"a": null})");
  EXPECT_FALSE(value.find("a"));
  EXPECT_TRUE(value.contains("a"));
  EXPECT_FALSE(value.contains("b"));
  EXPECT_EQ(message_of<DataError>([&] { value.at("a"); }), "[place] a.json: 'a' is missing.");
}

TEST(JsonValue, ComplaintsNameThePath) {
  const JsonValue value = parse(R"({"model": {"merges": [1, ["x"]], "o'dd\n": 1}})");
  const JsonValue merges = value.at("model").at("merges");
  EXPECT_EQ(merges.elements()[1].path(), "model.merges[1]");
  EXPECT_EQ(message_of<DataError>([&] { merges.elements()[1].text(); }),
            "[place] a.json: 'model.merges[1]' is [\"x\"], expected a text.");
  EXPECT_EQ(message_of<DataError>([&] { merges.find("x"); }),
            "[place] a.json: 'model.merges' is [1,[\"x\"]], expected an object with 'x'.");
  EXPECT_EQ(message_of<DataError>([&] { value.at("model").at("o'dd\n").boolean(); }),
            "[place] a.json: 'model.o'dd\\x0a' is 1, expected true or false.");
  EXPECT_EQ(message_of<DataError>([&] { value.text(); }),
            "[place] a.json: is {\"model\":{\"merges\":[1,[\"x\"]],\"o'dd\\n\":1}}, expected a "
            "text.");
  EXPECT_EQ(message_of<DataError>([&] { value.at("model").fail("z", "a key"); }),
            "[place] a.json: 'model.z' is missing, expected a key.");
}

TEST(JsonValue, APlaceInBracketsNeedsNoColon) {
  const JsonValue value = JsonValue::parse("[a.jsonl: record 2, line 4]", "[1]");
  EXPECT_EQ(message_of<DataError>([&] { value.members(); }),
            "[a.jsonl: record 2, line 4] is [1], expected an object.");
}

TEST(JsonValue, DescriptionsAreShort) {
  EXPECT_EQ(parse(R"("a\nb")").describe(), "'a\\x0ab'");
  EXPECT_EQ(parse("12345678901234567890123").describe(), "12345678901234567890123");
  EXPECT_EQ(parse("null").describe(), "null");
  EXPECT_EQ(parse(R"({"bits": 4})").describe(), "{\"bits\":4}");
  EXPECT_EQ(parse("[\"" + std::string(70, 'x') + "\"]").describe(), "a list");
  EXPECT_EQ(parse("{\"" + std::string(70, 'x') + "\": 1}").describe(), "an object");
}

TEST(JsonValue, AKeyThatIsThereTwiceIsAnErrorWhereItIsUsed) {
  const JsonValue value = parse(R"({"a": 1, "b": {"c": 1, "c": 2}, "a": 3, "d": 4})");
  EXPECT_EQ(value.at("d").integer(), 4);
  EXPECT_EQ(message_of<DataError>([&] { value.find("a"); }),
            "[place] a.json: 'a' is there twice, expected once.");
  EXPECT_EQ(message_of<DataError>([&] { value.contains("a"); }),
            "[place] a.json: 'a' is there twice, expected once.");
  EXPECT_EQ(message_of<DataError>([&] { value.at("b").members(); }),
            "[place] a.json: 'b.c' is there twice, expected once.");
  EXPECT_THAT(value.keys(), ElementsAre("a", "b", "a", "d"));
  EXPECT_EQ(value.json(), R"({"a":1,"b":{"c":1,"c":2},"a":3,"d":4})");  // nothing is lost
}

TEST(JsonValue, TypedLookups) {
  const JsonValue value =
      parse(R"({"t": "x", "b": false, "i": 3, "n": 2.5, "o": {}, "none": null})");
  EXPECT_EQ(value.find_text("t"), "x");
  EXPECT_EQ(value.find_boolean("b"), false);
  EXPECT_EQ(value.find_integer("i"), 3);
  EXPECT_EQ(value.find_number("n"), 2.5);
  EXPECT_EQ(value.find_number("i"), 3.0);
  EXPECT_TRUE(value.find_object("o"));
  EXPECT_EQ(value.find_text("none"), std::nullopt);
  EXPECT_EQ(value.text_or("none", "y"), "y");
  EXPECT_EQ(value.boolean_or("b", true), false);
  EXPECT_EQ(message_of<DataError>([&] { value.find_object("t"); }),
            "[place] a.json: 't' is 'x', expected an object.");
  EXPECT_EQ(message_of<DataError>([&] { value.find_number("t"); }),
            "[place] a.json: 't' is 'x', expected a number.");
}

TEST(JsonParse, WhatIsNotJsonIsToldWithItsLine) {
  EXPECT_EQ(
      parse_error("{\n\"a\": }"),
      "[place] a.json: is not valid JSON: parse error at line 2, column 6: syntax error while "
      "parsing value - unexpected '}'; expected '[', '{', or a literal.");
  EXPECT_THAT(parse_error(""), HasSubstr("a.json: is not valid JSON: parse error at line 1, "));
  EXPECT_THAT(parse_error("[1e999]"),
              HasSubstr("is not valid JSON: number overflow parsing '1e999'"));
  const std::string in_a_file = message_of<DataError>(
      [] { JsonValue::parse("[a.jsonl: record 2, line 7]", "{oops}", {.line = 7}); });
  EXPECT_THAT(in_a_file, testing::StartsWith("[a.jsonl: record 2, line 7] is not valid JSON: parse "
                                             "error at line 7, column 2: syntax error"));
  EXPECT_EQ(parse_error("\"a\nb\"").find('\n'), std::string::npos);
}

TEST(JsonParse, WhatIsNotUtf8IsToldWithItsByte) {
  EXPECT_EQ(parse_error("{\"a\":\n\"\xE9\"}"),
            "[place] a.json: line 2: not UTF-8: got the byte 0xE9 at offset 7, expected UTF-8. "
            "Convert the file, for example with iconv.");
}

TEST(JsonParse, NestingHasAnEnd) {
  const auto nested = [](int levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  EXPECT_EQ(parse(nested(128)).json(), nested(128));
  EXPECT_EQ(parse_error(nested(129)), "[place] a.json: is JSON nested deeper than 128 levels.");
  EXPECT_EQ(parse_error(std::string(1'000'000, '[')),
            "[place] a.json: is JSON nested deeper than 128 levels.");
}

using JsonFileTest = testing_support::ScratchFolderTest;

TEST_F(JsonFileTest, AFileMayBeginWithAByteOrderMark) {
  const auto file = write("a.json", "\xEF\xBB\xBF{\r\n\"a\": 1\r\n}\r\n");
  EXPECT_EQ(JsonValue::read_object("place", file).at("a").integer(), 1);
}

TEST_F(JsonFileTest, AnObjectMayBeAskedFor) {
  EXPECT_EQ(data_error_of([&] { JsonValue::read_object("place", write("a.json", "[1]")); }),
            "[place] a.json: is [1], expected an object.");
}

TEST(JsonObjectText, MembersAreReplacedAddedAndRemoved) {
  JsonObjectText object(parse(R"({"z": 12345678901234567890123, "a": [1, 2.50], "m": "x"})"));
  object.set("a", "[]");
  object.set("new", json_of("say \"x\""));
  object.erase("m");
  object.erase("none");
  EXPECT_TRUE(object.contains("z"));
  EXPECT_FALSE(object.contains("m"));
  EXPECT_EQ(object.json(), R"({"z":12345678901234567890123,"a":[],"new":"say \"x\""})");
  EXPECT_EQ(JsonObjectText().json(), "{}");
}

TEST(JsonText, NumbersAreAsShortAsTheyCanBe) {
  EXPECT_EQ(json_of(0.1), "0.1");
  EXPECT_EQ(json_of(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(json_list({"1", json_of("a")}), R"([1,"a"])");
  EXPECT_EQ(json_of("\xE9"), "\"\xEF\xBF\xBD\"");
}

}  // namespace json_test
}  // namespace cpx
