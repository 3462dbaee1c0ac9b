// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/scored_file.h"

#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::data {
namespace scored_file_test {

using testing::ElementsAre;
using testing_support::ScratchFolderTest;

class ScoredFile : public ScratchFolderTest {
 protected:
  std::vector<ScorableRecord> read(const std::string& name, const std::string& content,
                                   const std::vector<std::string>& keys = {}) const {
    ScorableReader reader(write(name, content), keys);
    std::vector<ScorableRecord> records;
    while (auto record = reader.next()) records.push_back(std::move(*record));
    EXPECT_EQ(reader.bytes_read(), reader.num_bytes());
    return records;
  }

  std::string error(const std::string& name, const std::string& content,
                    const std::vector<std::string>& keys = {}) const {
    return data_error_of([&] { read(name, content, keys); });
  }
};

TEST_F(ScoredFile, ALineOfTextBecomesAnObject) {
  const auto records = read("a.txt", "one\n\n say \"two\" \n");
  ASSERT_EQ(records.size(), 2);
  EXPECT_EQ(without_folder(records[1].where), "a.txt: line 3");
  EXPECT_EQ(records[1].object.json(), R"({"text":" say \"two\" "})");
  EXPECT_TRUE(records[1].keys[0].is_single);
  EXPECT_THAT(records[1].keys[0].texts, ElementsAre(" say \"two\" "));
}

TEST_F(ScoredFile, ObjectsKeepTheirOtherKeysAndTheirOrder) {
  const auto records = read("a.jsonl", R"({"z": [1, 2.5], "text": "a\\nb", "id": 7})");
  ASSERT_EQ(records.size(), 1);
  EXPECT_THAT(records[0].keys[0].texts, ElementsAre("a\\nb"));  // as it stands there
  const std::vector<KeyScores> scores = {{.values = {0.25}, .stays = {true}}};
  EXPECT_EQ(with_scores(records[0], scores, "g"),
            R"({"z":[1,2.5],"text":"a\\nb","id":7,"score":0.25})");
}

TEST_F(ScoredFile, AScoreThatIsThereIsReplacedInItsPlace) {
  const auto records = read("a.jsonl", R"({"score": "old", "text": "a"})");
  const std::vector<KeyScores> scores = {{.values = {0.5}, .stays = {true}}};
  EXPECT_EQ(with_scores(records[0], scores, "g"), R"({"score":0.5,"text":"a"})");
}

TEST_F(ScoredFile, ScoresOfSeveralLabelsHaveKeysOfTheirOwn) {
  const auto text = read("a.jsonl", R"({"text": "a"})");
  const std::vector<KeyScores> one = {
      {.values = {}, .stays = {true}, .by_label = {{"rude", {0.5}}, {"odd", {0.25}}}}};
  EXPECT_EQ(with_scores(text[0], one, "g"), R"({"text":"a","score_rude":0.5,"score_odd":0.25})");
  const auto list = read("b.jsonl", R"({"answers": ["a", "b"]})", {"answers"});
  const std::vector<KeyScores> two = {
      {.values = {}, .stays = {true, true}, .by_label = {{"rude", {0.5, 0.25}}}}};
  EXPECT_EQ(with_scores(list[0], two, "g"),
            R"({"answers":["a","b"],"answers_score_rude":[0.5,0.25]})");
}

TEST_F(ScoredFile, TextsOfSeveralKeysHaveAScoreEach) {
  const auto records = read("a.jsonl", R"({"prompt": "a", "answer": "b"})", {"answer", "prompt"});
  const std::vector<KeyScores> scores = {{.values = {0.5}, .stays = {true}},
                                         {.values = {0.25}, .stays = {true}}};
  EXPECT_EQ(with_scores(records[0], scores, "g"),
            R"({"prompt":"a","answer":"b","answer_toxigenscore":0.5,"prompt_toxigenscore":0.25})");
}

TEST_F(ScoredFile, ListsOfAShardKeepWhatStays) {
  const auto records = read("a.json", R"([
      {"input": "x", "paraphrases": ["a", "b\\nc", "d"], "paraphrases_toxic": {"e": 0.9, "f": null}}
    ])");
  ASSERT_EQ(records.size(), 1);
  EXPECT_EQ(without_folder(records[0].where), "a.json: record 1");
  ASSERT_EQ(records[0].keys.size(), 2);
  EXPECT_THAT(records[0].keys[0].texts, ElementsAre("a", "b\nc", "d"));  // unescaped
  EXPECT_THAT(records[0].keys[1].texts, ElementsAre("e", "f"));
  const std::vector<KeyScores> scores = {{.values = {0.1, 0.2, 0.3}, .stays = {false, true, true}},
                                         {.values = {0.4, 0.5}, .stays = {true, false}}};
  EXPECT_EQ(with_scores(records[0], scores, "g"),
            R"({"input":"x","paraphrases":["b\\nc","d"],"paraphrases_toxic":["e"],)"
            R"("paraphrases_toxigenscore":[0.2,0.3],"paraphrases_toxic_rouge":[0.9],)"
            R"("paraphrases_toxic_toxigenscore":[0.4],"group":"g","id":"g-0"})");
}

// As scripts/clean_data.py of the published code makes lists of what scripts/paraphrase.py wrote.
TEST_F(ScoredFile, ScoredTextsBecomeListsWithGroupAndId) {
  const auto records = read("a.json", R"([
      {"input": "x", "paraphrases": {"a": 0.50, "b": 0.25}},
      {"input": "y", "group": "h", "id": 7, "paraphrases": {"c": 1}, "paraphrases_rouge": [0.75]},
      {"input": "z", "paraphrases": ["d"]}])");
  ASSERT_EQ(records.size(), 3);
  const std::vector<KeyScores> two = {{.values = {0.1, 0.2}, .stays = {true, true}}, {}};
  EXPECT_EQ(with_scores(records[0], two, "g"),
            R"({"input":"x","paraphrases":["a","b"],"paraphrases_rouge":[0.50,0.25],)"
            R"("paraphrases_toxigenscore":[0.1,0.2],"group":"g","id":"g-0"})");
  const std::vector<KeyScores> one = {{.values = {0.3}, .stays = {true}}, {}};
  EXPECT_EQ(with_scores(records[1], one, "g"),
            R"({"input":"y","group":"h","id":7,"paraphrases":["c"],"paraphrases_rouge":[0.75],)"
            R"("paraphrases_toxigenscore":[0.3]})");
  EXPECT_EQ(with_scores(records[2], one, "g"),
            R"({"input":"z","paraphrases":["d"],"paraphrases_toxigenscore":[0.3]})");
}

TEST_F(ScoredFile, ARecordOfAShardNeedsOneSide) {
  const auto records = read("a.jsonl",
                            "{\"paraphrases\": [\"a\"]}\n"
                            "{\"paraphrases\": null, \"paraphrases_toxic\": [\"b\"]}\n");
  ASSERT_EQ(records.size(), 2);
  EXPECT_TRUE(records[0].keys[1].is_absent);
  EXPECT_TRUE(records[1].keys[0].is_absent);
  const std::vector<KeyScores> scores = {{}, {.values = {0.5}, .stays = {true}}};
  EXPECT_EQ(with_scores(records[1], scores, "g"),
            R"({"paraphrases":null,"paraphrases_toxic":["b"],)"
            R"("paraphrases_toxic_toxigenscore":[0.5]})");
  EXPECT_EQ(error("b.jsonl", "{\"paraphrases\": [\"a\"]}\n{\"id\": 1}\n"),
            "[b.jsonl: record 2, line 2] 'paraphrases' is missing (keys: id), expected a text or a "
            "list of texts. Name the texts' key with --key.");
}

// No more of a list is read than is asked for.
TEST_F(ScoredFile, AListIsReadRecordByRecord) {
  std::string list = "[";
  for (int i = 0; i < 20'000; ++i) {
    list += fmt::format("{}{{\"text\": \"{}\"}}", i == 0 ? "" : ",\n", std::string(100, 'x'));
  }
  ScorableReader reader(write("a.json", list + "\nbroken"), {});
  EXPECT_LT(reader.bytes_read(), 200);
  for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(reader.next());
  EXPECT_THROW(reader.next(), DataError);
}

TEST_F(ScoredFile, NumbersKeepTheirDigits) {
  const auto records = read(
      "a.jsonl", R"({"text": "a", "hash": 12345678901234567890123, "deep": [{"x": [0.10, -0]}]})");
  const std::vector<KeyScores> scores = {{.values = {0.5}, .stays = {true}}};
  EXPECT_EQ(with_scores(records.at(0), scores, "g"),
            R"({"text":"a","hash":12345678901234567890123,"deep":[{"x":[0.10,-0]}],"score":0.5})");
}

TEST_F(ScoredFile, TheFirstObjectTellsTheKeys) {
  const auto keys_of = [this](const std::string& object) {
    return ScorableReader(write("a.jsonl", object), {}).keys();
  };
  EXPECT_THAT(keys_of(R"({"text": "a", "paraphrases": ["b"]})"), ElementsAre("text"));
  EXPECT_THAT(keys_of(R"({"paraphrases": ["b"]})"),
              ElementsAre("paraphrases", "paraphrases_toxic"));
  EXPECT_THAT(keys_of(R"({"paraphrases_toxic": ["a"], "paraphrases": ["b"]})"),
              ElementsAre("paraphrases", "paraphrases_toxic"));
}

TEST_F(ScoredFile, AFormIsKnownByTheContent) {
  for (const char* name : {"a.json", "a.jsonl", "a"}) {
    EXPECT_TRUE(ScorableReader(write(name, R"([{"text": "a"}])"), {}).is_json_list());
    EXPECT_FALSE(ScorableReader(write(name, R"({"text": "a"})"), {}).is_json_list());
  }
  EXPECT_EQ(read("b", "one\ntwo\n").size(), 2);
  EXPECT_THAT(error("a.csv", "a,b"), testing::StartsWith("[a.csv] the file is a table of comma-"));
}

TEST_F(ScoredFile, EmptyFilesAreRefused) {
  EXPECT_EQ(error("a.txt", "\n  \n"), "[a.txt] got no line with text, expected a text a line.");
  EXPECT_EQ(error("a.jsonl", "\n"), "[a.jsonl] got an empty file, expected records.");
  EXPECT_EQ(error("a.json", "[]"), "[a.json] got an empty list, expected records.");
  EXPECT_EQ(error("a.json", ""), "[a.json] got an empty file, expected records.");
}

using BadRecord = testing_support::BadInput<std::string>;

class SecondRecord : public ScoredFile, public testing::WithParamInterface<BadRecord> {};

TEST_P(SecondRecord, IsRefusedWithItsPlaceAndTheReason) {
  EXPECT_EQ(error("a.jsonl", "{\"text\": \"a\"}\n\n" + GetParam().input),
            "[a.jsonl: record 2, line 3] " + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, SecondRecord,
    testing::Values(
        BadRecord{"NearKey", "{\"texts\": \"b\", \"id\": 1}",
                  "'text' is missing (keys: texts, id), expected a text or a "
                  "list of texts. Is 'texts' meant?"},
        BadRecord{"NoKey", "{\"id\": 1}",
                  "'text' is missing (keys: id), expected a text or a list "
                  "of texts. Name the texts' key with --key."},
        BadRecord{"NumberForAText", "{\"text\": 3}",
                  "'text' is 3, expected a text, a list of texts or an object "
                  "{text: score}."},
        BadRecord{"NoObject", "[1]", "is [1], expected an object."},
        BadRecord{"NullInAList", "{\"text\": [\"a\", null]}",
                  "'text[1]' is null, expected a text."},
        BadRecord{"KeyTwice", "{\"text\": \"a\", \"text\": \"b\"}",
                  "'text' is there twice, expected once."},
        BadRecord{"ValueThatEnds", "{\"text\": ",
                  "is not valid JSON: parse error at line 3, column 10: syntax "
                  "error while parsing value - unexpected end of input; expected '[', '{', or a "
                  "literal."}),
    testing_support::by_value);

TEST_F(ScoredFile, AListHoldsObjects) {
  EXPECT_EQ(error("a.json", "[\"a\"]"), "[a.json: record 1] is 'a', expected an object.");
}

TEST_F(ScoredFile, WhatIsNotUtf8IsToldWithLineAndOffset) {
  EXPECT_EQ(error("a.txt", "caf\xE9"),
            "[a.txt: line 1] not UTF-8: got the byte 0xE9 at offset 3, expected UTF-8. Convert the "
            "file, for example with iconv.");
}

TEST_F(ScoredFile, ALineOfTextHasNoKeys) {
  EXPECT_EQ(error("a.txt", "a", {"input"}),
            "[a.txt] a line is a text without keys: got the key 'input', expected none.");
}

}  // namespace scored_file_test
}  // namespace cpx::data
