// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/record.h"

#include <gmock/gmock.h>

#include "cpx/data/globs.h"
#include "tests/support/folders.h"

namespace cpx::data {
namespace record_test {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::ScratchFolderTest;

class ShardTest : public ScratchFolderTest {
 protected:
  ShardContent read(const std::string& name, std::string_view content) const {
    const std::vector<fs::path> files = {write(name, content)};
    return read_shards(files);
  }

  std::vector<std::string> faults(const std::string& name, std::string_view content) const {
    return without_folder(read(name, content).faults).texts();
  }
};

TEST_F(ShardTest, ListLayoutIsRead) {
  const ShardContent content = read("a.json", R"([{"input": "i", "group": "g", "id": "g-1",
      "paraphrases": ["n1", "n2"], "paraphrases_toxic": ["t1"], "paraphrases_toxigenscore": [0.5]},
      {"input": "", "group": "h", "id": "h-1", "paraphrases": ["n"], "paraphrases_toxic": ["t"]}])");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.records.size(), 2);
  const Record& record = content.records[0];
  EXPECT_EQ(record.input, "i");
  EXPECT_EQ(record.group, "g");
  EXPECT_EQ(record.id, "g-1");
  EXPECT_THAT(record.neutral, ElementsAre("n1", "n2"));
  EXPECT_THAT(record.toxic, ElementsAre("t1"));
  EXPECT_EQ(without_folder(record.where), "a.json: record 1 (id 'g-1')");
  EXPECT_EQ(without_folder(content.records[1].where), "a.json: record 2 (id 'h-1')");
}

TEST_F(ShardTest, ScoredLayoutKeepsTheOrderOfTheFile) {
  const ShardContent content = read("a.json", R"([{"id": "x",
      "paraphrases": {"zebra": 0.9, "apple": 0.1, "mango": 1}, "paraphrases_toxic": {"t": null}}])");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_THAT(content.records.at(0).neutral, ElementsAre("zebra", "apple", "mango"));
  EXPECT_THAT(content.records.at(0).toxic, ElementsAre("t"));
}

TEST_F(ShardTest, JsonLinesAreReadWithTheirLineAndBlankLinesPassedOver) {
  const ShardContent content = read("a.jsonl",
                                    "\xEF\xBB\xBF"
                                    "{\"id\": 7, \"paraphrases\": [\"n\"], "
                                    "\"paraphrases_toxic\": [\"t\"]}\r\n\r\n  \n"
                                    "{\"paraphrases\": [\"n\"], \"paraphrases_toxic\": [\"t\"]}");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.records.size(), 2);
  EXPECT_EQ(content.records[0].id, "7");
  EXPECT_EQ(without_folder(content.records[0].where), "a.jsonl: record 1, line 1 (id '7')");
  EXPECT_EQ(without_folder(content.records[1].where), "a.jsonl: record 2, line 4");
}

TEST_F(ShardTest, InputGroupAndIdMayBeMissing) {
  const ShardContent content =
      read("a.json", R"([{"paraphrases": ["n"], "paraphrases_toxic": ["t"]}])");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_EQ(content.records.at(0).input, "");
  EXPECT_EQ(content.records.at(0).group, "");
  EXPECT_EQ(content.records.at(0).id, "");
}

TEST_F(ShardTest, RecordsOfSeveralFilesFollowTheOrderOfTheFiles) {
  const std::vector<fs::path> files = {
      write("b.json", R"([{"id": 2, "paraphrases": ["n"], "paraphrases_toxic": ["t"]}])"),
      write("a.json", R"([{"id": 1.5, "paraphrases": ["n"], "paraphrases_toxic": ["t"]}])")};
  const ShardContent content = read_shards(files);
  ASSERT_EQ(content.records.size(), 2);
  EXPECT_EQ(content.records[0].id, "2");
  EXPECT_EQ(content.records[1].id, "1.5");
}

TEST(Unescape, GivesLineBreaksAndSingleBackslashes) {
  EXPECT_EQ(unescape(R"(a\nb)"), "a\nb");
  EXPECT_EQ(unescape(R"(a\\b)"), R"(a\b)");
  EXPECT_EQ(unescape(R"(a\\nb)"), "a\nb");            // escaped twice
  EXPECT_EQ(unescape(R"(a\\\\nb)"), "a\\\nb");        // two backslashes, then the n's
  EXPECT_EQ(unescape(R"(it\'s \t)"), R"(it\'s \t)");  // the published code leaves these
  EXPECT_EQ(unescape(R"(\)"), R"(\)");
  EXPECT_EQ(unescape(""), "");
}

TEST(Escape, IsUndoneByUnescapeButForALiteralLineBreak) {
  EXPECT_EQ(escape(R"(a\b)"), R"(a\\b)");
  for (const char* text : {"", "\\", "a\\b", "a\\\\b", "\\\n", "it\\'s", "a\nb\\"}) {
    EXPECT_EQ(unescape(escape(text)), text);
  }
  EXPECT_EQ(unescape(escape(R"(a\nb)")), "a\nb");
}

TEST_F(ShardTest, TextsAreUnescaped) {
  const ShardContent content = read("a.json", R"([{"input": "x\\ny", "id": "a\\nb",
      "paraphrases": ["p\\nq"], "paraphrases_toxic": {"r\\\\s": 0}}])");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_EQ(content.records.at(0).input, "x\ny");
  EXPECT_EQ(content.records.at(0).id, "a\\nb");
  EXPECT_THAT(content.records.at(0).neutral, ElementsAre("p\nq"));
  EXPECT_THAT(content.records.at(0).toxic, ElementsAre("r\\s"));
}

TEST_F(ShardTest, MissingKeysAreFaultsThatNameTheKeysAndANearOne) {
  EXPECT_THAT(faults("a.json", R"([{"id": "x", "paraphrase": ["n"]}])"),
              ElementsAre("[a.json: record 1 (id 'x')] 'paraphrases' is missing (keys: id, "
                          "paraphrase), expected a list of texts or an object {text: score}. Is "
                          "'paraphrase' meant?",
                          "[a.json: record 1 (id 'x')] 'paraphrases_toxic' is missing (keys: id, "
                          "paraphrase), expected a list of texts or an object {text: score}. Is "
                          "'paraphrase' meant?"));
}

// As cpx-paraphrase --polarity writes it; the keys about the texts of the one side are no
// misspelling of the other's.
TEST_F(ShardTest, ASideThatIsNeededAndMissingIsAFaultThatTellsHowToGetIt) {
  EXPECT_THAT(
      faults("a.json", R"([{"paraphrases": ["n"], "paraphrases_rouge": [0.5]}])"),
      ElementsAre("[a.json: record 1] 'paraphrases_toxic' is missing (keys: paraphrases, "
                  "paraphrases_rouge), expected a list of texts or an object {text: score}. The "
                  "other side is here; cpx-paraphrase --polarity toxic adds this one."));
  EXPECT_THAT(
      faults("b.json", R"([{"paraphrases_toxic": ["t"], "paraphrases_toxic_rouge": [0.5]}])"),
      ElementsAre("[b.json: record 1] 'paraphrases' is missing (keys: paraphrases_toxic, "
                  "paraphrases_toxic_rouge), expected a list of texts or an object {text: score}. "
                  "The other side is here; cpx-paraphrase --polarity neutral adds this one."));
}

TEST_F(ShardTest, ASideThatIsNotNeededMayBeMissing) {
  const std::vector<fs::path> files = {write("a.json", R"([{"paraphrases": ["n"]},
      {"paraphrases": ["n"], "paraphrases_toxic": null},
      {"paraphrases": ["n"], "paraphrases_toxic": []}, {"paraphrases_toxic": ["t"]}])")};
  const ShardContent either = read_shards(files, {.neutral = false, .toxic = false});
  EXPECT_THAT(either.faults.texts(), IsEmpty());
  ASSERT_EQ(either.records.size(), 4);
  EXPECT_THAT(either.records[0].toxic, IsEmpty());
  EXPECT_THAT(either.records[3].toxic, ElementsAre("t"));
  const ShardContent neutral = read_shards(files, {.neutral = true, .toxic = false});
  EXPECT_EQ(neutral.records.size(), 3);
  ASSERT_EQ(neutral.faults.size(), 1);
  EXPECT_THAT(neutral.faults.texts()[0], testing::HasSubstr("record 4] 'paraphrases' is missing"));
  // What is there is looked at.
  EXPECT_EQ(read_shards(std::vector<fs::path>{write("b.json", R"([{"paraphrases": ["n"],
                            "paraphrases_toxic": 3}])")},
                        {.neutral = true, .toxic = false})
                .faults.size(),
            1);
}

TEST_F(ShardTest, ARecordNeedsASideInAnyCase) {
  const ShardContent content = read_shards(std::vector<fs::path>{write("a.json", R"([{"id": 1}])")},
                                           {.neutral = false, .toxic = false});
  ASSERT_EQ(content.faults.size(), 1);
  EXPECT_EQ(without_folder(content.faults.texts()[0]),
            "[a.json: record 1 (id '1')] 'paraphrases' is missing (keys: id), expected a list of "
            "texts or an object {text: score}.");
}

// As pandas, jq and spreadsheets write what is not there, and ids.
TEST_F(ShardTest, OptionalKeysMayBeNullOrNumbers) {
  const ShardContent content = read("a.json", R"([
      {"input": null, "group": null, "id": null, "paraphrases": ["n"], "paraphrases_toxic": ["t"]},
      {"input": 4, "group": 12345678901234567890123, "id": 1.50, "paraphrases": ["n"],
       "paraphrases_toxic": ["t"]}])");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_EQ(content.records[0].input, "");
  EXPECT_EQ(content.records[0].group, "");
  EXPECT_EQ(without_folder(content.records[0].where), "a.json: record 1");
  EXPECT_EQ(content.records[1].input, "4");
  EXPECT_EQ(content.records[1].group, "12345678901234567890123");
  EXPECT_EQ(content.records[1].id, "1.50");
}

TEST_F(ShardTest, WrongTypesAreFaultsWithTheValue) {
  EXPECT_THAT(
      faults("a.json", R"([{"id": true, "input": ["i"], "group": {}, "paraphrases": "n",
                            "paraphrases_toxic": ["t", 7, {}, ["u"]]}, "x", 4])"),
      ElementsAre(
          "[a.json: record 1] 'id' is true, expected a text or a number.",
          "[a.json: record 1] 'input' is [\"i\"], expected a text or a number.",
          "[a.json: record 1] 'group' is {}, expected a text or a number.",
          "[a.json: record 1] 'paraphrases' is 'n', expected a list of texts or an object {text: "
          "score}.",
          "[a.json: record 1] 'paraphrases_toxic[1]' is 7, expected a text.",
          "[a.json: record 1] 'paraphrases_toxic[2]' is {}, expected a text.",
          "[a.json: record 1] 'paraphrases_toxic[3]' is [\"u\"], expected a text.",
          "[a.json: record 2] is 'x', expected an object.",
          "[a.json: record 3] is 4, expected an object."));
}

TEST_F(ShardTest, AWrongScoreIsAFault) {
  EXPECT_THAT(faults("a.json", R"([{"paraphrases": {"n": "high"}, "paraphrases_toxic": ["t"]}])"),
              ElementsAre("[a.json: record 1] 'paraphrases.n' is 'high', expected a number."));
}

TEST_F(ShardTest, EmptyTextsAndListsAreFaults) {
  EXPECT_THAT(
      faults("a.json", R"([{"paraphrases": [], "paraphrases_toxic": {}},
                                  {"paraphrases": ["n", ""], "paraphrases_toxic": {" \\n": 1}}])"),
      ElementsAre("[a.json: record 1] 'paraphrases' is [], expected texts.",
                  "[a.json: record 1] 'paraphrases_toxic' is {}, expected texts.",
                  "[a.json: record 2] 'paraphrases[1]' is '', expected a text that is not blank.",
                  "[a.json: record 2] 'paraphrases_toxic' has the text ' \\n', expected a text "
                  "that is not blank."));
}

TEST_F(ShardTest, KeysGivenTwiceAreFaultsWhereTheyAreUsed) {
  EXPECT_THAT(faults("a.json", R"([{"paraphrases": ["a", "a"], "paraphrases_toxic": ["t"]},
          {"id": "x", "paraphrases": {"n": 1, "n": 2}, "paraphrases_toxic": ["t"], "id": "y"},
          {"note": 1, "paraphrases": ["a"], "paraphrases_toxic": ["t"], "note": 2}])"),
              ElementsAre("[a.json: record 2] 'id' is there twice, expected once.",
                          "[a.json: record 2] 'paraphrases.n' is there twice, expected once."));
}

TEST_F(ShardTest, AFaultyRecordIsLeftOutAndTheOthersKept) {
  const ShardContent content = read("a.json", R"([
      {"id": "a", "paraphrases": ["n"], "paraphrases_toxic": ["t"]}, {"id": "b"},
      {"id": "c", "paraphrases": ["n"], "paraphrases_toxic": ["t"]}])");
  EXPECT_EQ(content.faults.size(), 2);
  ASSERT_EQ(content.records.size(), 2);
  EXPECT_EQ(content.records[1].id, "c");
  EXPECT_EQ(without_folder(content.records[1].where), "a.json: record 3 (id 'c')");
}

TEST_F(ShardTest, TheContentTellsTheForm) {
  const std::string one = R"({"paraphrases": ["n"], "paraphrases_toxic": ["t"]})";
  for (const char* name : {"a.json", "a.jsonl", "a.txt", "a"}) {
    EXPECT_EQ(read(name, one).records.size(), 1) << name;
    EXPECT_EQ(read(name, one + "\n" + one).records.size(), 2) << name;
    EXPECT_EQ(read(name, "[" + one + "]").records.size(), 1) << name;
  }
}

TEST_F(ShardTest, AFileWithoutRecordsIsAFault) {
  EXPECT_THAT(faults("b.json", "[]"), ElementsAre("[b.json] got an empty list, expected records."));
  EXPECT_THAT(faults("c.json", " \n"),
              ElementsAre("[c.json] got an empty file, expected records."));
}

TEST_F(ShardTest, WhatIsNotJsonIsAFaultWithItsLine) {
  const auto list = faults("a.json", "[\n{\"id\": 1,\n\"paraphrases\": [\"n\"\n");
  ASSERT_EQ(list.size(), 1);
  EXPECT_THAT(list[0], testing::StartsWith("[a.json: record 1] is not valid JSON: parse error at "
                                           "line 4, column 1: "));
  EXPECT_THAT(list[0], testing::HasSubstr("unexpected end of input"));

  const auto lines =
      faults("a.jsonl", "{\"paraphrases\": [\"n\"], \"paraphrases_toxic\": [\"t\"]}\n{oops}\n");
  ASSERT_EQ(lines.size(), 1);
  EXPECT_THAT(lines[0], testing::StartsWith("[a.jsonl: record 2, line 2] is not valid JSON: parse "
                                            "error at line 2, column 2: "));
  EXPECT_THAT(
      faults("b.json", "[1e999]"),
      ElementsAre("[b.json: record 1] is not valid JSON: number overflow parsing '1e999'."));
  EXPECT_EQ(faults("c.json", std::string(200000, '[')).size(), 1);
  EXPECT_EQ(faults("d.json", "[{\"paraphrases\": [NaN]}]").size(), 1);
}

TEST_F(ShardTest, AParserReasonStaysOnOneLine) {
  for (const std::string& fault : faults("a.json", "[\"line\nbreak\"]")) {
    EXPECT_EQ(fault.find('\n'), std::string::npos) << fault;
  }
}

TEST_F(ShardTest, WhatIsNotUtf8IsAFaultWithByteAndLine) {
  EXPECT_THAT(faults("a.json", "[\n\"caf\xE9\"]"),
              ElementsAre("[a.json: line 2] not UTF-8: got the byte 0xE9 at offset 6, expected "
                          "UTF-8. Convert the file, for example with iconv."));
}

TEST_F(ShardTest, AFileThatCannotBeReadIsAFault) {
  const std::vector<fs::path> files = {folder_ / "none.json"};
  const ShardContent content = read_shards(files);
  ASSERT_EQ(content.faults.size(), 1);
  EXPECT_EQ(without_folder(content.faults.texts()[0]),
            "[read] none.json: cannot be read: No such file or directory.");
}

TEST_F(ShardTest, OfManyFaultsTwentyAreShownAndTheOthersCounted) {
  std::string list = "[0";
  for (int i = 1; i < 33; ++i) list += ", 0";
  const auto found = faults("a.json", list + "]");
  ASSERT_EQ(found.size(), 21);
  EXPECT_EQ(found[19], "[a.json: record 20] is 0, expected an object.");
  EXPECT_EQ(found[20], "[a.json] and 13 more faults.");
}

TEST_F(ShardTest, LongValuesAreCutInMessagesBetweenCharacters) {
  std::string umlauts;
  for (int i = 0; i < 60; ++i) umlauts += "\xC3\xA4";
  EXPECT_THAT(faults("a.json", "[\"" + umlauts + "\"]"),
              ElementsAre("[a.json: record 1] is '" + umlauts.substr(0, 100) +
                          "...', expected an object."));
  EXPECT_THAT(faults("b.json", "[{\"id\": \"" + umlauts +
                                   "\", \"paraphrases\": 1, \"paraphrases_toxic\": [\"t\"]}]"),
              ElementsAre("[b.json: record 1 (id '" + umlauts.substr(0, 100) +
                          "...')] 'paraphrases' is 1, expected a list of texts or an object {text: "
                          "score}."));
}

TEST(Shards, DemoDataHasNoFault) {
  Faults faults;
  const std::vector<std::string> patterns = {CPX_SOURCE_DIR "/data/demo/train/*.json",
                                             CPX_SOURCE_DIR "/data/demo/heldout/*.json"};
  const auto files = expand_globs(patterns, faults);
  const ShardContent content = read_shards(files);
  EXPECT_THAT(faults.texts(), IsEmpty());
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_EQ(content.records.size(), 56);
}

}  // namespace record_test
}  // namespace cpx::data
