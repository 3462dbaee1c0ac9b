// SPDX-License-Identifier: Apache-2.0
// cpx-paraphrase as its user meets it.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <gmock/gmock.h>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_run.h"

namespace cpx::tests {
namespace paraphrase_tool_test {

using nlohmann::json;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::SizeIs;
using Arguments = std::vector<std::string>;

class ParaphraseTool : public TinyRun {
 protected:
  ParaphraseTool() {
    write("inputs.txt",
          "The kettle is on the table\nGood morning to you all\nThank you for the letter\n");
    write("courteous.txt", "Say it kindly: {input}\n");
    write("rude.txt", "Say it rudely: {input}\n");
  }

  Arguments command(const Arguments& more, const std::string& output = "out.json") const {
    Arguments all = {"--model",
                     model(),
                     "--form",
                     "plain",
                     "--dtype",
                     "float32",
                     "--input",
                     path("inputs.txt"),
                     "--template-neutral",
                     path("courteous.txt"),
                     "--template-toxic",
                     path("rude.txt"),
                     "--samples",
                     "5",
                     "--keep",
                     "3",
                     "--max-new-tokens",
                     "12",
                     "--output",
                     path(output)};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  ToolResult paraphrase(const Arguments& more = {}, const std::string& output = "out.json",
                        const ToolSetting& setting = {}) const {
    return run_tool("cpx-paraphrase", command(more, output), setting);
  }

  json records(const std::string& name = "out.json") const { return json::parse(read(name)); }
};

TEST_F(ParaphraseTool, HelpNamesItsFlagsAndExamples) {
  const ToolResult result = run_tool("cpx-paraphrase", {"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, AllOf(HasSubstr("--polarity"), HasSubstr("--template-toxic"),
                                HasSubstr("--keep"), HasSubstr("Examples:")));
}

TEST_F(ParaphraseTool, MakesAShardOfBothSidesThatTrainingReads) {
  const ToolResult result = paraphrase();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("3 records, 0 inputs left out"),
                                HasSubstr("neutral: 9 of 9 kept from 15 drawn"),
                                HasSubstr("toxic: 9 of 9 kept from 15 drawn")));
  const json shard = records();
  ASSERT_EQ(shard.size(), 3);
  EXPECT_EQ(shard[1]["input"], "Good morning to you all");
  EXPECT_EQ(shard[1]["group"], "inputs");
  EXPECT_EQ(shard[1]["id"], "inputs-1");
  for (const auto& record : shard) {
    EXPECT_THAT(record["paraphrases"], SizeIs(3));
    EXPECT_THAT(record["paraphrases_toxic"], SizeIs(3));
    const auto scores = record["paraphrases_rouge"].get<std::vector<double>>();
    EXPECT_TRUE(std::is_sorted(scores.rbegin(), scores.rend()));
  }
  EXPECT_FALSE(exists("out.json.journal"));
  const json meta = json::parse(read("out.json.meta"));
  EXPECT_EQ(meta["settings"]["seed"], 42);
  EXPECT_EQ(meta["settings"]["top_k"], 25);
  EXPECT_EQ(meta["settings"]["neutral_template"], "Say it kindly: {input}");

  const ToolResult validated = train({"--validate", "data.train=[" + path("out.json") + "]"});
  EXPECT_EQ(validated.exit_code, 0) << validated.err;
}

TEST_F(ParaphraseTool, NeitherBatchNorTheOtherSideNorTheFormatChangesATextAndTheSeedDoes) {
  ASSERT_EQ(paraphrase().exit_code, 0);
  ASSERT_EQ(paraphrase({"--batch", "2"}, "small.json").exit_code, 0);
  EXPECT_EQ(read("small.json"), read("out.json"));

  ASSERT_EQ(paraphrase({"--polarity", "toxic"}, "toxic.jsonl").exit_code, 0);
  const std::string lines = read("toxic.jsonl");
  const json first = json::parse(lines.substr(0, lines.find('\n')));
  EXPECT_EQ(first["paraphrases_toxic"], records()[0]["paraphrases_toxic"]);
  EXPECT_FALSE(first.contains("paraphrases"));

  ASSERT_EQ(paraphrase({"--seed", "7"}, "seven.json").exit_code, 0);
  EXPECT_NE(records("seven.json")[0]["paraphrases"], records()[0]["paraphrases"]);
}

TEST_F(ParaphraseTool, OneSideIsAddedToTheShardOfTheOther) {
  ASSERT_EQ(paraphrase().exit_code, 0);
  ASSERT_EQ(paraphrase({"--polarity", "neutral"}, "neutral.json").exit_code, 0);
  Arguments second = command({"--polarity", "toxic"}, "both.json");
  std::replace(second.begin(), second.end(), path("inputs.txt"), path("neutral.json"));
  ASSERT_EQ(run_tool("cpx-paraphrase", second).exit_code, 0);
  const json both = records("both.json");
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(both[i]["paraphrases"], records()[i]["paraphrases"]);
    EXPECT_EQ(both[i]["paraphrases_toxic"], records()[i]["paraphrases_toxic"]);
    EXPECT_EQ(both[i]["group"], "inputs");
  }
}

TEST_F(ParaphraseTool, TheSameCommandAgainHasNothingToDoAndAnotherOneSaysWhatDiffers) {
  ASSERT_EQ(paraphrase().exit_code, 0);
  const std::string made = read("out.json");
  const ToolResult again = paraphrase();
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.out, HasSubstr("made before with the same settings, nothing to do"));

  const ToolResult other = paraphrase({"--seed", "7"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_EQ(other.err, "cpx-paraphrase: [" + path("out.json") +
                           "] is there already: 'seed' is 42 there and 7 now. Choose another "
                           "output, or give --overwrite.\n");
  EXPECT_EQ(read("out.json"), made);
  EXPECT_EQ(paraphrase({"--seed", "7", "--overwrite"}).exit_code, 0);
  EXPECT_NE(read("out.json"), made);
}

// Each run is killed when its journal has grown, and the next one goes on with it.
TEST_F(ParaphraseTool, KilledTenTimesItMakesTheSameFile) {
  std::string texts;
  for (int i = 0; i < 24; ++i) texts += "The letter number " + std::to_string(i) + " is here\n";
  write("inputs.txt", texts);
  ASSERT_EQ(paraphrase({"--batch", "3"}, "whole.json").exit_code, 0);

  const auto journal_bytes = [&] {
    return exists("out.json.journal") ? read("out.json.journal").size() : 0;
  };
  int num_killed = 0;
  while (num_killed < 10 && !exists("out.json")) {
    const size_t before = journal_bytes();
    BackgroundTool tool("cpx-paraphrase", command({"--batch", "3"}));
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    // At once, or a little later: any moment must do.
    const size_t growth = 1 + 97 * static_cast<size_t>(num_killed);
    while (journal_bytes() < before + growth && !exists("out.json") &&
           std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    tool.send(SIGKILL);
    if (tool.wait().exit_code == 128 + SIGKILL) ++num_killed;
  }
  EXPECT_GE(num_killed, 5);
  ASSERT_EQ(paraphrase({"--batch", "3"}).exit_code, 0);
  EXPECT_EQ(read("out.json"), read("whole.json"));
  EXPECT_FALSE(exists("out.json.journal"));
}

TEST_F(ParaphraseTool, AnInterruptKeepsWhatIsDoneAndSaysHowToGoOn) {
  std::string texts;
  for (int i = 0; i < 200; ++i) texts += "The letter number " + std::to_string(i) + " is here\n";
  write("inputs.txt", texts);
  BackgroundTool tool("cpx-paraphrase", command({}));
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while ((!exists("out.json.journal") || num_lines(read("out.json.journal")) < 3) &&
         std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  tool.send(SIGINT);
  const ToolResult result = tool.wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("interrupted: "),
                                HasSubstr(" of 200 inputs are done; the same command goes on")));
  EXPECT_FALSE(exists("out.json"));
  EXPECT_GE(num_lines(read("out.json.journal")), 3U);
}

TEST_F(ParaphraseTool, AFullDiskLosesNothingThatIsDone) {
  ASSERT_EQ(paraphrase({}, "whole.json").exit_code, 0);
  const ToolResult full = paraphrase({"--batch", "5"}, "out.json", {.file_bytes = 1600});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(last_line(full),
              MatchesRegex("cpx-paraphrase: .write. " + path("out.json.journal") +
                           ": cannot be written: File too large .[0-9]+ MiB free there.. What was "
                           "there before is untouched; free space or choose another folder.\n"));
  EXPECT_FALSE(exists("out.json"));
  const ToolResult result = paraphrase({"--batch", "5"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read("out.json"), read("whole.json"));
}

TEST_F(ParaphraseTool, PublishedPromptListsAreInputsOfTheirGroup) {
  write("neutral_mental_disability_1k.txt", R"(- the kettle is on\n- the letter is here\n-)"
                                            "\n"
                                            R"(- the letter is here\n- good morning\n-)"
                                            "\n");
  Arguments arguments = command({});
  std::replace(arguments.begin(), arguments.end(), path("inputs.txt"), path("neutral_*.txt"));
  const ToolResult result = run_tool("cpx-paraphrase", arguments);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("1 sentences stand in their lists more than once"));
  const json shard = records();
  ASSERT_EQ(shard.size(), 3);
  EXPECT_EQ(shard[2]["input"], "good morning");
  EXPECT_EQ(shard[2]["group"], "mental_dis");
}

TEST_F(ParaphraseTool, InputsWithTooFewCandidatesAreNamed) {
  // Greedy: five times the same text.
  const ToolResult few = paraphrase({"--temperature", "0"});
  ASSERT_EQ(few.exit_code, 0) << few.err;
  EXPECT_THAT(few.err, HasSubstr("1 of 3 kept from 5 drawn (4 duplicates)"));
  EXPECT_THAT(few.out, HasSubstr("3 records, 0 inputs left out, 6 sides with few"));
  const json meta = json::parse(read("out.json.meta"));
  EXPECT_NE(meta.dump().find("1 of 3 kept from 5 drawn"), std::string::npos);
}

TEST_F(ParaphraseTool, LowerCaseAndLimit) {
  ASSERT_EQ(paraphrase({"--lower-case", "--limit", "2"}).exit_code, 0);
  const json shard = records();
  ASSERT_EQ(shard.size(), 2);
  for (const auto& text : shard[0]["paraphrases"].get<std::vector<std::string>>()) {
    EXPECT_THAT(text, Each(testing::Truly([](char c) { return c < 'A' || c > 'Z'; })));
  }
}

TEST_F(ParaphraseTool, WrongUseIsToldAtOnce) {
  const ToolResult result = run_tool("cpx-paraphrase", {"--polarity", "rude", "--form", "alpaca",
                                                        "--keep", "30", "--limit", "-1"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-paraphrase: [command line] --model: got nothing, expected a Hugging Face folder or "
      "a .gguf.\n"
      "cpx-paraphrase: [command line] --form: got 'alpaca', expected auto, plain, chat, llama2 "
      "or tulu.\n"
      "cpx-paraphrase: [command line] --input: got nothing, expected a file of texts.\n"
      "cpx-paraphrase: [command line] --output: got nothing, expected a .json, .jsonl or folder.\n"
      "cpx-paraphrase: [command line] --polarity: got 'rude', expected neutral, toxic or "
      "both.\n"
      "cpx-paraphrase: [command line] --limit: got -1, expected 0 (all) or more.\n"
      "cpx-paraphrase: [command line] --keep: got 30, expected 1 to --samples (20).\n");
  const ToolResult one = paraphrase({"--template", path("rude.txt")});
  EXPECT_EQ(one.exit_code, 2);
  EXPECT_EQ(one.err,
            "cpx-paraphrase: [command line] --template: got --polarity both, expected neutral or "
            "toxic beside it (or --template-neutral and --template-toxic).\n");
}

// ---- a folder of shards -------------------------------------------------------------------------

class ParaphraseFolder : public ParaphraseTool {
 protected:
  ParaphraseFolder() {
    write("hate_women_1k.txt", "She was late again\nThe door is open\n");
    write("hate_mental_disability_1k.txt", "He forgot the keys\n");
    write("more.jsonl",
          "{\"input\": \"They parked on the lawn\", \"group\": \"women\", \"id\": \"w-9\"}\n");
  }

  Arguments folder_command(const std::string& output, const Arguments& more = {}) const {
    Arguments arguments = command(more, output);
    const auto input = std::ranges::find(arguments, path("inputs.txt"));
    *input = path("hate_*.txt");
    arguments.insert(input + 1, {"--input", path("more.jsonl")});
    return arguments;
  }

  std::map<std::string, std::string> files(const std::string& folder) const {
    std::map<std::string, std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path(folder))) {
      const std::string name = entry.path().filename().string();
      found[name] = read(folder + "/" + name);
    }
    return found;
  }
};

TEST_F(ParaphraseFolder, HasAShardAGroupOfAllFiles) {
  const ToolResult result = run_tool("cpx-paraphrase", folder_command("made/"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("neutral_mental_dis.json: 1 record, 0 inputs left out"),
                                HasSubstr("neutral_women.json: 3 records, 0 inputs left out")));
  const auto made = files("made");
  EXPECT_EQ(made.size(), 4U);  // two shards, each with its meta file
  const json women = json::parse(made.at("neutral_women.json"));
  ASSERT_EQ(women.size(), 3U);
  EXPECT_EQ(women[0]["input"], "She was late again");
  EXPECT_EQ(women[0]["id"], "women-0");
  EXPECT_EQ(women[2]["input"], "They parked on the lawn");
  EXPECT_EQ(women[2]["id"], "w-9");
  const ToolResult validated =
      train({"--validate", "data.train=[" + path("made/neutral_*.json") + "]"});
  EXPECT_EQ(validated.exit_code, 0) << validated.err;  // meta files do not match
  EXPECT_THAT(validated.out, HasSubstr("2 files, 4 records"));
}

TEST_F(ParaphraseFolder, AShardIsTheOneThatItsInputsAloneMake) {
  ASSERT_EQ(run_tool("cpx-paraphrase", folder_command("made/")).exit_code, 0);
  Arguments alone = command({}, "alone.json");
  std::ranges::replace(alone, path("inputs.txt"), path("hate_mental_disability_1k.txt"));
  ASSERT_EQ(run_tool("cpx-paraphrase", alone).exit_code, 0);
  EXPECT_EQ(read("made/neutral_mental_dis.json"), read("alone.json"));
}

TEST_F(ParaphraseFolder, GoesOnWhereItWasStopped) {
  ASSERT_EQ(run_tool("cpx-paraphrase", folder_command("whole/")).exit_code, 0);
  const auto whole = files("whole");
  // Stopped in the first shard: nothing but journals.
  BackgroundTool tool("cpx-paraphrase", folder_command("made/"));
  ASSERT_TRUE(tool.runs_until([&] { return exists("made/neutral_women.json.journal"); }));
  tool.send(SIGKILL);
  tool.wait();
  const ToolResult again = run_tool("cpx-paraphrase", folder_command("made/"));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(files("made"), whole);
  // Stopped between two shards.
  std::filesystem::remove(path("made/neutral_women.json"));
  std::filesystem::remove(path("made/neutral_women.json.meta"));
  EXPECT_THAT(run_tool("cpx-paraphrase", folder_command("made")).out,
              HasSubstr("neutral_mental_dis.json: made before with the same settings, nothing to "
                        "do\n"));
  EXPECT_EQ(files("made"), whole);
}

TEST_F(ParaphraseFolder, OtherSettingsAreToldBeforeTheWork) {
  ASSERT_EQ(run_tool("cpx-paraphrase", folder_command("made/")).exit_code, 0);
  std::filesystem::remove(path("made/neutral_mental_dis.json"));
  std::filesystem::remove(path("made/neutral_mental_dis.json.meta"));
  const ToolResult other = run_tool("cpx-paraphrase", folder_command("made/", {"--seed", "7"}));
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_EQ(last_line(other), "cpx-paraphrase: [" + path("made/neutral_women.json") +
                                  "] is there already: 'seed' is 42 there and 7 now. Choose "
                                  "another output, or give --overwrite.\n");
  EXPECT_EQ(files("made").size(), 2U);  // nothing was begun
}

TEST_F(ParaphraseFolder, AGroupThatNoFileCanHaveIsTold) {
  write("more.jsonl", "{\"input\": \"They parked on the lawn\", \"group\": \"a/b\"}\n");
  const ToolResult result = run_tool("cpx-paraphrase", folder_command("made/"));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(last_line(result),
            "cpx-paraphrase: [--output] group 'a/b': got 3 bytes, expected 1 to 200 without a '/': "
            "it is part of a file's name in '" +
                path("made/") + "'.\n");
}

TEST_F(ParaphraseTool, FlagsWithoutEffectAreTold) {
  const ToolResult twice =
      paraphrase({"--polarity", "neutral", "--template", path("rude.txt"), "--temperature", "0"});
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_THAT(twice.err, HasSubstr("cpx-paraphrase: [command line] --template-neutral: has no "
                                   "effect beside --template. Leave it out.\n"));
  EXPECT_THAT(twice.err, HasSubstr("[command line] --template-toxic: has no effect with --polarity "
                                   "neutral\n"));
  EXPECT_THAT(twice.err, HasSubstr("are the same text at --temperature 0\n"));
}

TEST_F(ParaphraseTool, ASecondProcessIsRefusedWithTheFirstOnes) {
  std::string inputs;
  for (int i = 0; i < 2000; ++i) inputs += "Sentence " + std::to_string(i) + "\n";
  write("inputs.txt", inputs);
  BackgroundTool first("cpx-paraphrase", command({}));
  ASSERT_TRUE(first.runs_until([&] { return exists("out.json.journal"); }));
  const ToolResult second = paraphrase();
  first.send(SIGTERM);
  first.wait();
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_EQ(last_line(second), "cpx-paraphrase: [--output] '" + path("out.json") +
                                   "' is in use: process " + std::to_string(first.pid()) +
                                   " writes it. Wait for that one, or choose another output.\n");
  EXPECT_FALSE(exists("out.json.lock"));
}

TEST_F(ParaphraseTool, BadInputIsOneClearLineAndNothingIsWritten) {
  write("empty.txt", "");
  write("latin.txt", "Gr\xFC\xDF Gott\n");
  write("long.txt", "Hi\n" + std::string(2000, 'x') + "\n");
  write("bare.txt", "Say it kindly\n");
  const auto error_of = [&](const Arguments& more, const std::string& from, const std::string& to,
                            const std::string& output = "out.json") {
    Arguments arguments = command(more, output);
    std::replace(arguments.begin(), arguments.end(), path(from), path(to));
    const ToolResult result = run_tool("cpx-paraphrase", arguments);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_FALSE(exists("out.json"));
    return last_line(result);
  };
  EXPECT_EQ(error_of({}, "inputs.txt", "empty.txt"),
            "cpx-paraphrase: [" + path("empty.txt") +
                "] got no line with text, expected a text a line.\n");
  EXPECT_EQ(error_of({}, "inputs.txt", "latin.txt"),
            "cpx-paraphrase: [" + path("latin.txt") +
                ": line 1] not UTF-8: got the byte 0xFC at offset 2, expected UTF-8. Convert the "
                "file, for example with iconv.\n");
  EXPECT_EQ(error_of({}, "inputs.txt", "none.txt"),
            "cpx-paraphrase: [" + path("none.txt") +
                "] no such file: got nothing there, expected a file.\n");
  EXPECT_EQ(
      error_of({}, "courteous.txt", "bare.txt"),
      "cpx-paraphrase: [" + path("bare.txt") +
          "] template: got a text without '{input}', expected it where the input text goes.\n");
  EXPECT_EQ(error_of({}, "courteous.txt", "none.txt"),
            "cpx-paraphrase: [template] got '" + path("none.txt") +
                "', expected a file or one of 'published-neutral', 'published-toxic'.\n");
  EXPECT_EQ(error_of({}, "inputs.txt", "inputs.txt", "no/out.json"),
            "cpx-paraphrase: [--output] '" + path("no/out.json") +
                "' cannot be written: there is no folder '" + path("no") + "'. Make it first.\n");
  EXPECT_EQ(error_of({}, "inputs.txt", "inputs.txt", "out.txt"),
            "cpx-paraphrase: [" + path("out.txt") +
                "] the name's ending tells the format: got '.txt', expected .json (a list) or "
                ".jsonl (a record a line).\n");
  EXPECT_EQ(error_of({}, "inputs.txt", "long.txt"),
            "cpx-paraphrase: [" + path("long.txt") +
                ": line 2] got 2013 tokens, expected 1 to 244 (the model's context of 256 less "
                "--max-new-tokens 12).\n");
}

}  // namespace paraphrase_tool_test
}  // namespace cpx::tests
