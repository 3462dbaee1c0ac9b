// SPDX-License-Identifier: Apache-2.0
// cpx-score as its user meets it. Expected figures are those of transformers
// (scripts/fixtures/make_roberta.py, make_classifiers.py).
#include <cmath>
#include <csignal>
#include <gmock/gmock.h>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/output_file.h"
#include "tests/support/names.h"
#include "tiny_run.h"

namespace cpx::tests {
namespace score_tool_test {

using Json = nlohmann::ordered_json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

constexpr const char* kClassifier = "tests/fixtures/models/roberta_two_labels";
constexpr const char* kEmotions = "tests/fixtures/models/roberta_sharded_f16";

// A text of the fixture with transformers' logits.
struct Reference {
  std::string text;
  std::vector<double> logits;

  double probability() const { return 1.0 / (1.0 + std::exp(logits[0] - logits[1])); }
};

// Those that fit a line.
std::vector<Reference> references(const std::string& model) {
  const std::string file = std::string(CPX_SOURCE_DIR "/") + model + "/expected/scores.json";
  const Json stored = Json::parse(read_text_file(file));
  std::vector<Reference> result;
  for (size_t i = 0; i < stored.at("texts").size(); ++i) {
    const std::string text = stored["texts"][i];
    const bool is_line = text.find_first_not_of(" \t\r\v\f") != std::string::npos &&
                         text.find('\n') == std::string::npos && text.back() != '\r';
    if (is_line) result.push_back({text, stored["logits"][i]});
  }
  return result;
}

class ScoreTool : public TinyRun {
 protected:
  ToolResult score(const std::vector<std::string>& arguments,
                   const std::string& model = kClassifier) const {
    std::vector<std::string> all = {"--model", model, "--device", "cpu"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_tool("cpx-score", all);
  }

  // Scores `input` of the folder into out.jsonl or out.json; expects success.
  std::string score_file(const std::string& input, std::vector<std::string> arguments = {},
                         const std::string& model = kClassifier) const {
    const std::string output = input.ends_with(".json") ? "out.json" : "out.jsonl";
    arguments.insert(arguments.end(), {"--input", path(input), "--output", path(output)});
    const ToolResult result = score(arguments, model);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return read(output);
  }

  // Expects one line of error that is `line`, and no output.
  void expect_error(int exit_code, const std::vector<std::string>& arguments,
                    const std::string& line) const {
    std::vector<std::string> all = {"--output", path("out.jsonl")};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const ToolResult result = score(all);
    EXPECT_EQ(result.exit_code, exit_code);
    EXPECT_EQ(result.err, "cpx-score: " + line + "\n");
    EXPECT_FALSE(exists("out.jsonl"));
    EXPECT_FALSE(exists(".out.jsonl.tmp"));
  }
};

std::vector<Json> objects_of(const std::string& lines) {
  std::vector<Json> objects;
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) objects.push_back(Json::parse(line));
  return objects;
}

std::vector<double> scores_of(const std::string& lines) {
  std::vector<double> scores;
  for (const Json& object : objects_of(lines)) scores.push_back(object.at("score"));
  return scores;
}

TEST_F(ScoreTool, HelpNamesItsFlagsAndExamples) {
  const ToolResult result = run_tool("cpx-score", {"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, AllOf(HasSubstr("--keep-below"), HasSubstr("--label"), HasSubstr("--raw"),
                                HasSubstr("Examples:")));
}

// ---- texts --------------------------------------------------------------------------------------

TEST_F(ScoreTool, LinesOfTextGetTransformersProbabilities) {
  const auto expected = references(kClassifier);
  ASSERT_GT(expected.size(), 40);
  std::string lines;
  for (const auto& one : expected) lines += one.text + "\n";
  write("texts.txt", lines);
  const auto objects = objects_of(score_file("texts.txt"));
  ASSERT_EQ(objects.size(), expected.size());
  for (size_t i = 0; i < objects.size(); ++i) {
    EXPECT_EQ(objects[i].at("text"), expected[i].text);
    EXPECT_NEAR(objects[i].at("score").get<double>(), expected[i].probability(), 1e-5)
        << expected[i].text;
  }
}

TEST_F(ScoreTool, RawWritesLogitsAndALabelIsFoundByName) {
  const auto expected = references(kEmotions);
  std::string lines;
  for (const auto& one : expected) lines += Json{{"text", one.text}, {"id", 1}}.dump() + "\n";
  write("texts.jsonl", lines);
  const auto logits = scores_of(score_file("texts.jsonl", {"--raw", "--label", "odd"}, kEmotions));
  // This classifier's labels are independent: a probability is a sigmoid.
  const auto probabilities = scores_of(score_file("texts.jsonl", {"--label", "2"}, kEmotions));
  ASSERT_EQ(logits.size(), expected.size());
  ASSERT_EQ(probabilities.size(), expected.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    EXPECT_NEAR(logits[i], expected[i].logits[2], 3e-5) << expected[i].text;
    EXPECT_NEAR(probabilities[i], 1.0 / (1.0 + std::exp(-expected[i].logits[2])), 1e-5);
  }
}

class EveryArchitecture : public ScoreTool, public testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, EveryArchitecture,
                         testing::Values("bert_emotions", "bert_vocab_txt", "distilbert_cased",
                                         "xlm_roberta", "llama_reward", "mistral_classes"),
                         testing_support::by_value);

TEST_P(EveryArchitecture, GetsTransformersLogits) {
  const std::string model = "tests/fixtures/models/" + GetParam();
  const auto expected = references(model);
  ASSERT_GT(expected.size(), 20);
  std::string lines;
  for (const auto& one : expected) lines += one.text + "\n";
  write("texts.txt", lines);
  const auto logits = scores_of(score_file("texts.txt", {"--raw", "--label", "0"}, model));
  ASSERT_EQ(logits.size(), expected.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    EXPECT_NEAR(logits[i], expected[i].logits[0], 1e-5) << expected[i].text;
  }
}

TEST_F(ScoreTool, SeveralLabelsGetAKeyEach) {
  const auto expected = references(kEmotions);
  write("texts.jsonl", Json{{"text", expected[1].text}}.dump());
  const auto objects = objects_of(score_file("texts.jsonl", {"--labels", "odd,0"}, kEmotions));
  ASSERT_EQ(objects.size(), 1);
  std::vector<std::string> names;
  for (const auto& [name, value] : objects[0].items()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("text", "score_odd", "score_calm"));
  EXPECT_NEAR(objects[0].at("score_odd").get<double>(),
              1.0 / (1.0 + std::exp(-expected[1].logits[2])), 1e-5);
  EXPECT_NEAR(objects[0].at("score_calm").get<double>(),
              1.0 / (1.0 + std::exp(-expected[1].logits[0])), 1e-5);
}

TEST_F(ScoreTool, SeveralLabelsOfAShardAreTheScoresOfEachAlone) {
  const Json several = Json::parse(score_file("shard.json", {"--labels", "0,1"}));
  const Json one = Json::parse(score_file("shard.json", {"--label", "1"}));
  ASSERT_EQ(several.size(), one.size());
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(several[i].at("paraphrases_score_LABEL_1"), one[i].at("paraphrases_toxigenscore"));
    EXPECT_FALSE(several[i].contains("paraphrases_toxigenscore"));
  }
}

TEST_F(ScoreTool, LabelsThatDoNotGoTogetherAreErrors) {
  write("texts.txt", "one\n");
  expect_error(2, {"--input", path("texts.txt"), "--labels", "0,1", "--label", "0"},
               "[command line] --labels: got 2 beside --label, expected one of them: --label is "
               "about one label.");
  expect_error(2, {"--input", path("texts.txt"), "--labels", "0,LABEL_0"},
               "[label] --labels has a label twice: got 'LABEL_0' again, expected each once.");
  expect_error(2, {"--input", path("texts.txt"), "--labels", "0,LABEL_7"},
               "[label] the classifier has no such label: got 'LABEL_7', expected 0 to 1 or a name "
               "of LABEL_0, LABEL_1. Did you mean 'LABEL_0'?");
}

TEST_F(ScoreTool, AnotherKeyIsScoredAndTheRestOfAnObjectStays) {
  write("answers.jsonl", R"({"id": 3, "answer": "Hello world", "tags": ["x"]})");
  const auto objects = objects_of(score_file("answers.jsonl", {"--key", "answer"}));
  ASSERT_EQ(objects.size(), 1);
  EXPECT_EQ(objects[0].at("tags"), Json::array({"x"}));
  std::vector<std::string> names;
  for (const auto& [name, value] : objects[0].items()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("id", "answer", "tags", "score"));
}

// Several windows, whose texts are sorted by their lengths inside.
TEST_F(ScoreTool, TheOrderIsKeptAndBatchesChangeNothing) {
  std::string lines;
  for (int i = 0; i < 3000; ++i) {
    lines += "text " + std::to_string(i) + std::string(static_cast<size_t>(i * 7 % 31), '!') + "\n";
  }
  write("texts.txt", lines);
  const std::string whole = score_file("texts.txt");
  std::string texts;
  for (const Json& object : objects_of(whole)) texts += object.at("text").get<std::string>() + "\n";
  EXPECT_EQ(texts, lines);
  const auto expected = scores_of(whole);
  const auto scores = scores_of(score_file("texts.txt", {"--batch-tokens", "64"}));
  ASSERT_EQ(scores.size(), expected.size());
  for (size_t i = 0; i < scores.size(); ++i) EXPECT_NEAR(scores[i], expected[i], 1e-6);
}

TEST_F(ScoreTool, TheSummaryTellsWhatWasScored) {
  write("texts.txt", "one\ntwo\n");
  const ToolResult result =
      score({"--input", path("texts.txt"), "--output", path("out.jsonl"), "--label", "0"});
  EXPECT_EQ(result.out, "2 texts of 2 records scored: probability of 'LABEL_0'\n");
  EXPECT_THAT(result.err, AllOf(StartsWith("2 texts in "), HasSubstr(" a second")));
}

// ---- shards -------------------------------------------------------------------------------------

TEST_F(ScoreTool, AShardGetsAListOfScoresForEachListOfTexts) {
  const Json before = Json::parse(read("shard.json"));
  const Json after = Json::parse(score_file("shard.json"));
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) {
    Json record = after[i];
    EXPECT_EQ(record.at("paraphrases_toxigenscore").size(), 3);
    EXPECT_EQ(record.at("paraphrases_toxic_toxigenscore").size(), 3);
    record.erase("paraphrases_toxigenscore");
    record.erase("paraphrases_toxic_toxigenscore");
    EXPECT_EQ(record, before[i]);
  }
}

// A list's scores are those of its texts alone.
TEST_F(ScoreTool, AShardsScoresAreThoseOfItsTexts) {
  const Json scored = Json::parse(score_file("shard.json", {"--key", "paraphrases"}));
  std::string lines;
  std::vector<double> expected;
  for (const Json& record : scored) {
    EXPECT_FALSE(record.contains("paraphrases_toxic_toxigenscore"));
    for (size_t i = 0; i < record["paraphrases"].size(); ++i) {
      lines += record["paraphrases"][i].get<std::string>() + "\n";
      expected.push_back(record["paraphrases_toxigenscore"][i]);
    }
  }
  write("texts.txt", lines);
  const auto scores = scores_of(score_file("texts.txt"));
  ASSERT_EQ(scores.size(), expected.size());
  for (size_t i = 0; i < scores.size(); ++i) EXPECT_NEAR(scores[i], expected[i], 1e-6);
}

// The texts of a list whose score is on the right side, with these scores.
Json kept_side(const Json& record, const std::string& key, bool is_below, double limit) {
  Json kept = {{"texts", Json::array()}, {"scores", Json::array()}};
  for (size_t i = 0; i < record.at(key).size(); ++i) {
    const double score = record.at(key + "_toxigenscore")[i];
    if (is_below ? score < limit : score > limit) {
      kept["texts"].push_back(record.at(key)[i]);
      kept["scores"].push_back(score);
    }
  }
  return kept;
}

TEST_F(ScoreTool, FilteredListsHoldWhatIsOnTheRightSideWithItsScores) {
  const Json all = Json::parse(score_file("shard.json"));
  // The limits lie between scores, so that both sides have texts.
  std::set<double> scores;
  for (const Json& record : all) {
    for (const double score : record.at("paraphrases_toxigenscore")) scores.insert(score);
    for (const double score : record.at("paraphrases_toxic_toxigenscore")) scores.insert(score);
  }
  const auto middle = std::next(scores.begin(), static_cast<ptrdiff_t>(scores.size() / 2));
  const double limit = (*middle + *std::prev(middle)) / 2;
  const std::string limit_text = Json(limit).dump();

  const Json kept = Json::parse(
      score_file("shard.json", {"--keep-below", limit_text, "--keep-above", limit_text}));
  Json expected = Json::array();
  int64_t num_dropped = 0;
  for (Json record : all) {
    const Json neutral = kept_side(record, "paraphrases", /*is_below=*/true, limit);
    const Json toxic = kept_side(record, "paraphrases_toxic", /*is_below=*/false, limit);
    num_dropped += 6 - std::ssize(neutral["texts"]) - std::ssize(toxic["texts"]);
    if (neutral["texts"].empty() || toxic["texts"].empty()) continue;
    record["paraphrases"] = neutral["texts"];
    record["paraphrases_toxic"] = toxic["texts"];
    record["paraphrases_toxigenscore"] = neutral["scores"];
    record["paraphrases_toxic_toxigenscore"] = toxic["scores"];
    expected.push_back(record);
  }
  EXPECT_GT(num_dropped, 0);
  EXPECT_EQ(kept, expected);
}

TEST_F(ScoreTool, RecordsThatBecomeTooSmallAreToldAndCounted) {
  const ToolResult result = score(
      {"--input", path("shard.json"), "--output", path("out.json"), "--keep-below", "0", "--raw"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(read("out.json"), "[]\n");
  EXPECT_EQ(result.out,
            "42 texts of 7 records scored: logit of 'LABEL_1'\n"
            "paraphrases: 0 of 21 texts stay (below 0)\n"
            "7 of 7 records left out: fewer than 1 texts stay\n");
  EXPECT_THAT(result.err, HasSubstr("[" + path("shard.json") +
                                    ": record 3] left out: 0 of 3 paraphrases stay, expected at "
                                    "least 1\n"));
}

TEST_F(ScoreTool, MinTextsTellsHowSmallIsTooSmall) {
  const std::vector<std::string> keep_all = {"--keep-below", "1", "--min-texts"};
  auto three = keep_all;
  three.emplace_back("3");
  EXPECT_EQ(Json::parse(score_file("shard.json", three)).size(), 7);
  auto four = keep_all;
  four.emplace_back("4");
  EXPECT_EQ(Json::parse(score_file("shard.json", four)).size(), 0);
}

TEST_F(ScoreTool, AScoredShardIsReadAsOneAndMayBeScoredAgain) {
  const std::string once = score_file("shard.json");
  write("shard.json", once);
  EXPECT_EQ(score_file("shard.json"), once);
  const ToolResult result = eval_ppl({"--model", model(), "--shards", path("shard.json")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(ScoreTool, ShardsOfLinesKeepTheirForm) {
  write("shard.jsonl",
        "{\"paraphrases\": {\"a b\": 0.5, \"c\": 1}, \"paraphrases_toxic\": [\"d\"]}\n"
        "{\"paraphrases\": {\"e\": null}, \"paraphrases_toxic\": [\"f\", \"g\"]}\n");
  const auto objects = objects_of(score_file("shard.jsonl"));
  ASSERT_EQ(objects.size(), 2);
  EXPECT_EQ(objects[0].at("paraphrases"), Json::parse(R"(["a b", "c"])"));
  EXPECT_EQ(objects[0].at("paraphrases_rouge"), Json::parse("[0.5, 1]"));
  EXPECT_EQ(objects[0].at("paraphrases_toxigenscore").size(), 2);
  EXPECT_EQ(objects[1].at("paraphrases_toxic_toxigenscore").size(), 2);
}

// ---- stops and errors ---------------------------------------------------------------------------

TEST_F(ScoreTool, AnInterruptLeavesTheOldOutputAndAJournal) {
  std::string lines;
  for (int i = 0; i < 200'000; ++i) lines += "a line of text\n";
  write("texts.txt", lines);
  write("out.jsonl", "old");
  BackgroundTool tool("cpx-score", {"--model", kClassifier, "--device", "cpu", "--input",
                                    path("texts.txt"), "--output", path("out.jsonl")});
  ASSERT_TRUE(tool.runs_until(
      [&] { return exists("out.jsonl.journal") && num_lines(read("out.jsonl.journal")) >= 2; }));
  tool.send(SIGTERM);
  const ToolResult result = tool.wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr(" records are done; the same command goes on from there\n"));
  EXPECT_EQ(read("out.jsonl"), "old");
  EXPECT_FALSE(exists("out.jsonl.lock"));
}

TEST_F(ScoreTool, AFullDiskLeavesTheOldOutput) {
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += "a line of text\n";
  write("texts.txt", lines);
  const std::vector<std::string> arguments = {"--model",  kClassifier,      "--device",
                                              "cpu",      "--input",        path("texts.txt"),
                                              "--output", path("out.jsonl")};
  const ToolResult result = run_tool("cpx-score", arguments, {.file_bytes = 4096});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err,
              MatchesRegex("(.*\n)?cpx-score: .write. " + path("out.jsonl.journal") +
                           ": cannot be written: File too large .[0-9]+ MiB free there.. What was "
                           "there before is untouched; free space or choose another folder.\n"));
  EXPECT_FALSE(exists("out.jsonl"));
  EXPECT_EQ(run_tool("cpx-score", arguments).exit_code, 0);  // there is space again
  EXPECT_EQ(num_lines(read("out.jsonl")), 300U);
  EXPECT_FALSE(exists("out.jsonl.journal"));
}

// ---- several files ------------------------------------------------------------------------------

class ScoreFiles : public ScoreTool {
 protected:
  ScoreFiles() {
    std::string lines;
    for (int i = 0; i < 3000; ++i) lines += "line " + std::to_string(i) + " of text\n";
    write("a.txt", lines);
    write("b.txt", "one\ntwo\n");
    write("neutral_women.json",
          R"([{"input": "x", "paraphrases": ["a b", "c"], "paraphrases_toxic": ["d"]}])");
    write("other.json", R"([{"group": "mental_disability", "paraphrases": ["e"],
                             "paraphrases_toxic": ["f", "g"]},
                            {"group": "women", "paraphrases": ["h"], "paraphrases_toxic": ["i"]}])");
  }

  ToolResult run(const std::vector<std::string>& inputs, const std::string& output,
                 const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"--model", kClassifier, "--device",
                                          "cpu",     "--output",  path(output)};
    for (const std::string& input : inputs) {
      arguments.insert(arguments.end(), {"--input", path(input)});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_tool("cpx-score", arguments);
  }
};

TEST_F(ScoreFiles, OneOutputHasTheRecordsOfAllInTheirOrder) {
  const ToolResult result = run({"b.txt", "a.txt"}, "all.jsonl");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "3002 texts of 3002 records scored: probability of 'LABEL_1'\n");
  ASSERT_EQ(run({"b.txt"}, "b.jsonl").exit_code, 0);
  ASSERT_EQ(run({"a.txt"}, "a.jsonl").exit_code, 0);
  EXPECT_EQ(read("all.jsonl"), read("b.jsonl") + read("a.jsonl"));
  ASSERT_EQ(run({"?.txt"}, "pattern.jsonl").exit_code, 0);
  EXPECT_EQ(read("pattern.jsonl"), read("a.jsonl") + read("b.jsonl"));
}

TEST_F(ScoreFiles, AFolderHasAShardAGroup) {
  const ToolResult result = run({"neutral_women.json", "other.json"}, "clean/");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json women = Json::parse(read("clean/neutral_women.json"));
  ASSERT_EQ(women.size(), 2U);
  EXPECT_EQ(women[0]["input"], "x");
  EXPECT_EQ(women[1]["paraphrases"], Json::parse(R"(["h"])"));
  EXPECT_EQ(women[1]["paraphrases_toxigenscore"].size(), 1U);
  EXPECT_EQ(Json::parse(read("clean/neutral_mental_dis.json")).size(), 1U);
  EXPECT_FALSE(exists("clean/score.journal"));
  EXPECT_FALSE(exists("clean/.lock"));
}

TEST_F(ScoreFiles, GoesOnBehindAnyWindowWithTheSameBytes) {
  ASSERT_EQ(run({"a.txt", "b.txt"}, "whole.jsonl").exit_code, 0);
  BackgroundTool tool(
      "cpx-score", {"--model", kClassifier, "--device", "cpu", "--input", path("a.txt"), "--input",
                    path("b.txt"), "--output", path("out.jsonl")});
  ASSERT_TRUE(tool.runs_until(
      [&] { return exists("out.jsonl.journal") && num_lines(read("out.jsonl.journal")) >= 250; }));
  tool.send(SIGKILL);
  tool.wait();
  const std::string journal = read("out.jsonl.journal");
  for (const size_t size : {journal.size(), journal.size() / 2, size_t{40}}) {
    write("out.jsonl.journal", journal.substr(0, size));
    const ToolResult again = run({"a.txt", "b.txt"}, "out.jsonl");
    ASSERT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(read("out.jsonl"), read("whole.jsonl"));
    EXPECT_FALSE(exists("out.jsonl.journal"));
  }
}

TEST_F(ScoreFiles, AJournalOfOtherSettingsIsAnErrorThatNamesTheFirst) {
  BackgroundTool tool("cpx-score", {"--model", kClassifier, "--device", "cpu", "--input",
                                    path("a.txt"), "--output", path("out.jsonl")});
  ASSERT_TRUE(tool.runs_until(
      [&] { return exists("out.jsonl.journal") && num_lines(read("out.jsonl.journal")) >= 250; }));
  tool.send(SIGKILL);
  tool.wait();
  const ToolResult other = run({"a.txt"}, "out.jsonl", {"--label", "0"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_EQ(other.err, "cpx-score: [" + path("out.jsonl.journal") +
                           "] was begun with other settings: 'label' is \"1\" there and \"0\" now. "
                           "Give those to go on, or --overwrite to begin anew.\n");
  EXPECT_EQ(run({"a.txt"}, "out.jsonl", {"--label", "0", "--overwrite"}).exit_code, 0);
}

TEST_F(ScoreTool, WithoutFlagsItTellsAllThatAreNeeded) {
  const ToolResult result =
      run_tool("cpx-score", {"--keep-below", "1.5", "--min-texts", "0", "--batch-tokens", "0"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-score: [command line] --model: got nothing, expected a Hugging Face folder of a "
            "classifier.\n"
            "cpx-score: [command line] --input: got nothing, expected a file of texts.\n"
            "cpx-score: [command line] --output: got nothing, expected a file to write.\n"
            "cpx-score: [command line] --keep-below: got 1.5, expected a probability from 0 to "
            "1.\n"
            "cpx-score: [command line] --min-texts: got 0, expected at least 1.\n"
            "cpx-score: [command line] --batch-tokens: got 0, expected at least 1.\n");
}

TEST_F(ScoreTool, AFilterWithoutItsKeyIsWrongUsage) {
  write("texts.txt", "one\n");
  expect_error(2, {"--input", path("texts.txt"), "--keep-below", "0.5"},
               "[command line] --keep-below is for 'paraphrases': got texts under text, expected "
               "it among them.");
  expect_error(2, {"--input", path("shard.json"), "--key", "paraphrases", "--keep-above", "0.5"},
               "[command line] --keep-above is for 'paraphrases_toxic': got texts under "
               "paraphrases, expected it among them.");
}

TEST_F(ScoreTool, AFilterOnASingleTextIsRefused) {
  write("odd.jsonl", R"({"paraphrases": "one"})");
  expect_error(1, {"--input", path("odd.jsonl"), "--keep-below", "0.5"},
               "[" + path("odd.jsonl") +
                   ": record 1, line 1] paraphrases: got one text, expected a list of texts to "
                   "keep some of.");
}

TEST_F(ScoreTool, ALabelThatIsNoneIsWrongUsage) {
  write("texts.txt", "one\n");
  expect_error(2, {"--input", path("texts.txt"), "--label", "LABEL_2"},
               "[label] the classifier has no such label: got 'LABEL_2', expected 0 to 1 or a name "
               "of LABEL_0, LABEL_1. Did you mean 'LABEL_0'?");
}

TEST_F(ScoreTool, BadFilesAreOneLine) {
  write("latin.txt", "fine\ncaf\xE9\n");
  expect_error(1, {"--input", path("latin.txt")},
               "[" + path("latin.txt") +
                   ": line 2] not UTF-8: got the byte 0xE9 at offset 8, expected UTF-8. Convert "
                   "the file, for example with iconv.");
  write("empty.txt", "");
  expect_error(1, {"--input", path("empty.txt")},
               "[" + path("empty.txt") + "] got no line with text, expected a text a line.");
  expect_error(1, {"--input", path("none.txt")},
               "[" + path("none.txt") + "] no such file: got nothing there, expected a file.");
  expect_error(1, {"--input", path("shard.json"), "--key", "paraphrase"},
               "[" + path("shard.json") +
                   ": record 1] 'paraphrase' is missing (keys: group, id, input, paraphrases, "
                   "paraphrases_toxic), expected a text or a list of texts. Is 'paraphrases' "
                   "meant?");
}

TEST_F(ScoreTool, AnOutputThatCannotBeWrittenIsTold) {
  write("texts.txt", "one\n");
  const ToolResult result =
      score({"--input", path("texts.txt"), "--output", path("no/such/out.jsonl")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-score: [--output] '" + path("no/such/out.jsonl") +
                            "' cannot be written: there is no folder '" + path("no/such") +
                            "'. Make it first.\n");
}

TEST_F(ScoreTool, AFolderOfAnotherArchitectureIsTold) {
  write("texts.txt", "one\n");
  const ToolResult result =
      score({"--input", path("texts.txt"), "--output", path("out.jsonl")}, model());
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-score: [classifier_config] " + model() +
                            "/config.json: 'architectures' is [\"LlamaForCausalLM\"], expected "
                            "[\"LlamaForSequenceClassification\"], a classifier.\n");
}

TEST_F(ScoreTool, FlagsWithoutEffectAreTold) {
  write("texts.txt", "one\n");
  const ToolResult result =
      score({"--input", path("texts.txt"), "--output", path("out.jsonl"), "--min-texts", "3"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-score: [command line] --min-texts: has no effect without --keep-below or "
            "--keep-above: no text is dropped. Leave it out.\n");
}

}  // namespace score_tool_test
}  // namespace cpx::tests
