// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/shard_journal.h"

#include <functional>
#include <gmock/gmock.h>
#include <map>
#include <set>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/data/record.h"
#include "tests/support/folders.h"

namespace cpx::pipeline {
namespace shard_journal_test {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using testing_support::FileSizeLimit;
using testing_support::ScratchFolderTest;

const std::vector<Setting> kSettings = {
    {"model", "models/tiny"}, {"seed", int64_t{42}}, {"temperature", 0.7}, {"lower_case", false}};

std::vector<data::Input> three_inputs() {
  return {
      {.text = "The bus was late.", .group = "travel", .id = "travel-0", .where = "a.txt: line 1"},
      {.text = "It \"rained\"\nat C:\\dir.",
       .group = "travel",
       .id = "x",
       .where = "a.txt: line 2"},
      {.text = "Na\xC3\xAFve.", .group = "work", .id = "travel-2", .where = "a.txt: line 4"},
  };
}

// Paraphrases that depend on the input alone, as seeded sampling gives them.
Paraphrases made_of(const data::Input& input) {
  const std::vector<std::string> neutral = {"Politely: " + input.text, "Kindly.", "kindly."};
  const std::vector<std::string> toxic = {"Rudely: " + input.text, input.text};
  return {.neutral = select_candidates(input.text, neutral, {.keep = 2}),
          .toxic = select_candidates(input.text, toxic, {.keep = 2})};
}

class ShardJournalTest : public ScratchFolderTest {
 protected:
  using Files = std::map<std::string, std::string>;

  // Content of every file in the folder by its name.
  Files files() const {
    Files all;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      all[entry.path().filename().string()] = read_text_file(entry.path());
    }
    return all;
  }

  ShardJournal open(const std::vector<Setting>& settings = kSettings, bool overwrite = false,
                    const std::string& name = "out.json") const {
    return ShardJournal(folder_ / name, three_inputs(), settings, overwrite);
  }

  // Adds what is not done, in the order of `order`, and finishes.
  ShardSummary run(const std::vector<int64_t>& order = {0, 1, 2}) const {
    ShardJournal journal = open();
    for (const int64_t index : order) {
      if (!journal.is_done(index)) add(journal, index);
    }
    return journal.finish();
  }

  // Adds what is not done and is killed before it finishes.
  void add_missing() const {
    ShardJournal journal = open();
    for (int64_t index = 0; index < 3; ++index) {
      if (!journal.is_done(index)) add(journal, index);
    }
    ASSERT_EQ(journal.num_done(), 3);
  }

  static void add(ShardJournal& journal, int64_t index) {
    journal.add(index, made_of(journal.inputs()[static_cast<size_t>(index)]));
  }

  // The files of a run that nothing interrupted; the folder is empty afterwards.
  Files uninterrupted() const {
    run();
    Files all = files();
    for (const auto& [name, content] : all) fs::remove(folder_ / name);
    return all;
  }

  // The journal of a run that was killed before the end; the folder is empty afterwards.
  std::string full_journal(const std::vector<int64_t>& order) const {
    {
      ShardJournal journal = open();
      for (const int64_t index : order) add(journal, index);
    }
    const std::string content = read_text_file(folder_ / "out.json.journal");
    fs::remove(folder_ / "out.json.journal");
    return content;
  }
};

TEST_F(ShardJournalTest, TrainingReadsTheTextsThatWereKept) {
  const ShardSummary summary = run();
  EXPECT_EQ(summary.num_records, 3);
  EXPECT_THAT(summary.left_out, IsEmpty());
  const data::ShardContent shard = data::read_shards(std::vector<fs::path>{folder_ / "out.json"});
  ASSERT_THAT(shard.faults.texts(), IsEmpty());
  ASSERT_EQ(shard.records.size(), 3);
  for (size_t i = 0; i < 3; ++i) {
    const data::Input input = three_inputs()[i];
    EXPECT_EQ(shard.records[i].input, input.text);
    EXPECT_EQ(shard.records[i].group, input.group);
    EXPECT_EQ(shard.records[i].id, input.id);
    EXPECT_THAT(shard.records[i].neutral, ElementsAre("Politely: " + input.text, "Kindly."));
    EXPECT_THAT(shard.records[i].toxic, ElementsAre("Rudely: " + input.text));
  }
}

TEST_F(ShardJournalTest, BackslashesAreReadBackAsTheyWere) {
  const std::string text = R"(\\host\dir\)";
  const CandidateSelection selection = {.kept = {{.text = text}}, .counts = {.kept = 1}};
  ShardJournal journal(folder_ / "out.json", {{.text = text}}, kSettings);
  journal.add(0, {.neutral = selection, .toxic = selection});
  journal.finish();
  const auto shard = data::read_shards(std::vector<fs::path>{folder_ / "out.json"});
  EXPECT_EQ(shard.records.at(0).input, text);
  EXPECT_THAT(shard.records.at(0).neutral, ElementsAre(text));
}

TEST_F(ShardJournalTest, RecordsAndMetaHaveTheseBytes) {
  run();
  // F of "Politely: The bus was late." against its input: P 4/5, R 1.
  EXPECT_THAT(read_text_file(folder_ / "out.json"),
              StartsWith("[\n{\"input\":\"The bus was late.\",\"group\":\"travel\",\"id\":"
                         "\"travel-0\",\"paraphrases\":[\"Politely: The bus was late.\","
                         "\"Kindly.\"],\"paraphrases_rouge\":[0.888888888888889,0.0],"
                         "\"paraphrases_toxic\":[\"Rudely: The bus was late.\"],"
                         "\"paraphrases_toxic_rouge\":[0.888888888888889]},\n{\"input\":"
                         "\"It \\\"rained\\\"\\nat C:\\\\\\\\dir.\""));
  const Json meta = Json::parse(read_text_file(folder_ / "out.json.meta"));
  EXPECT_EQ(meta["settings"].dump(),
            R"({"model":"models/tiny","seed":42,"temperature":0.7,"lower_case":false})");
  EXPECT_THAT(meta["inputs"].get<std::string>(), StartsWith("3 texts, "));
  EXPECT_EQ(meta["records"], 3);
  EXPECT_EQ(meta["paraphrases"].dump(),
            R"({"wanted":6,"drawn":9,"kept":6,"empty":0,"copies":0,"duplicates":3,"outranked":0})");
  EXPECT_EQ(meta["left_out"].size(), 0);
  EXPECT_EQ(meta["too_few"][2],
            "[a.txt: line 4] paraphrases_toxic: 1 of 2 kept from 2 drawn (1 copy of the input)");
}

TEST_F(ShardJournalTest, JsonLinesHoldTheSameRecords) {
  run();
  ShardJournal journal = open(kSettings, /*overwrite=*/false, "out.jsonl");
  for (int64_t i = 0; i < 3; ++i) add(journal, i);
  journal.finish();
  const auto list = data::read_shards(std::vector<fs::path>{folder_ / "out.json"});
  const auto lines = data::read_shards(std::vector<fs::path>{folder_ / "out.jsonl"});
  EXPECT_THAT(lines.faults.texts(), IsEmpty());
  ASSERT_EQ(lines.records.size(), 3);
  EXPECT_EQ(lines.records[2].neutral, list.records[2].neutral);
}

TEST_F(ShardJournalTest, OrderOfFinishingChangesNoByte) {
  const Files expected = uninterrupted();
  EXPECT_EQ(expected.size(), 2);  // the shard and its meta
  run({2, 0, 1});
  EXPECT_EQ(files(), expected);
}

TEST_F(ShardJournalTest, KilledAtAnyByteOfTheJournalGivesTheSameFiles) {
  const Files expected = uninterrupted();
  const std::string journal = full_journal({1, 0, 2});
  std::set<std::string> completed;
  for (size_t size = 0; size <= journal.size(); ++size) {
    write("out.json.journal", journal.substr(0, size));
    add_missing();
    completed.insert(read_text_file(folder_ / "out.json.journal"));
  }
  // By the number of whole lines that were left: 0, 1 or 2 of inputs (0, 1, 2; 1, 0, 2 twice).
  EXPECT_EQ(completed.size(), 2);
  for (const std::string& content : completed) {
    write("out.json.journal", content);
    run();
    ASSERT_EQ(files(), expected);
    for (const auto& [name, kept] : expected) fs::remove(folder_ / name);
  }
}

TEST_F(ShardJournalTest, KilledWhileTheShardIsPutInPlaceGivesTheSameFiles) {
  const Files expected = uninterrupted();
  const std::string journal = full_journal({0, 1, 2});
  const std::string shard = expected.at("out.json");
  const std::string meta = expected.at("out.json.meta");
  const std::vector<Files> states = {
      {{".out.json.tmp", shard.substr(0, 9)}},
      {{"out.json", shard}},
      {{"out.json", shard}, {".out.json.meta.tmp", meta.substr(0, 9)}},
      {{"out.json", shard}, {"out.json.meta", meta}},
  };
  for (const Files& state : states) {
    write("out.json.journal", journal);
    for (const auto& [name, content] : state) write(name, content);
    run();
    ASSERT_EQ(files(), expected) << testing::PrintToString(state);
    for (const auto& [name, content] : expected) fs::remove(folder_ / name);
  }
}

TEST_F(ShardJournalTest, GoesOnAtTheFirstInputThatIsNotDone) {
  {
    ShardJournal journal = open();
    add(journal, 0);
    add(journal, 2);
  }
  ShardJournal journal = open();
  EXPECT_EQ(journal.num_done(), 2);
  EXPECT_TRUE(journal.is_done(0));
  EXPECT_FALSE(journal.is_done(1));
  EXPECT_TRUE(journal.is_done(2));
  EXPECT_FALSE(journal.is_complete());
}

TEST_F(ShardJournalTest, AFinishedOutputIsCompleteForTheSameSettings) {
  run();
  const Files before = files();
  {
    ShardJournal journal = open();
    EXPECT_TRUE(journal.is_complete());
    EXPECT_TRUE(journal.is_done(1));
    EXPECT_EQ(journal.num_done(), 3);
    EXPECT_THROW(journal.finish(), std::invalid_argument);
  }
  EXPECT_EQ(files(), before);
}

TEST_F(ShardJournalTest, AnOutputOfOtherSettingsIsReplacedOnlyWithOverwrite) {
  run();
  const Files before = files();
  const std::vector<Setting> other = {{"model", "models/tiny"}, {"seed", int64_t{7}}};
  EXPECT_EQ(data_error_of([&] { open(other); }),
            "[out.json] is there already: 'seed' is 42 there and 7 now. Choose another output, or "
            "give --overwrite.");
  EXPECT_THAT(
      data_error_of([&] { ShardJournal(folder_ / "out.json", {three_inputs()[0]}, kSettings); }),
      StartsWith("[out.json] is there already: 'inputs' is \"3 texts, "));
  EXPECT_EQ(files(), before);
  ShardJournal journal = open(other, /*overwrite=*/true);
  EXPECT_EQ(journal.num_done(), 0);
  EXPECT_EQ(files().at("out.json"), before.at("out.json"));  // until the new one is finished
  for (int64_t i = 0; i < 3; ++i) add(journal, i);
  journal.finish();
  EXPECT_THAT(files().at("out.json.meta"), HasSubstr("\"seed\": 7"));
  fs::remove(folder_ / "out.json.meta");
  EXPECT_EQ(data_error_of([&] { open(other); }),
            "[out.json] is there already: out.json.meta does not exist, which told its "
            "settings. Choose another output, or give --overwrite.");
}

TEST_F(ShardJournalTest, AJournalOfOtherSettingsIsGivenUpOnlyWithOverwrite) {
  const std::string before = full_journal({0, 1});
  write("out.json.journal", before);
  std::vector<Setting> other = kSettings;
  other[2].value = 1.0;
  EXPECT_EQ(data_error_of([&] { open(other); }),
            "[out.json.journal] was begun with other settings: 'temperature' is 0.7 there and 1.0 "
            "now. Give those to go on, or --overwrite to begin anew.");
  other = kSettings;
  other.push_back({"top_k", int64_t{25}});
  EXPECT_THAT(data_error_of([&] { open(other); }),
              HasSubstr("'top_k' is not given there and 25 now."));
  other = kSettings;
  other.pop_back();
  EXPECT_THAT(data_error_of([&] { open(other); }),
              HasSubstr("'lower_case' is false there and not given now."));
  EXPECT_EQ(read_text_file(folder_ / "out.json.journal"), before);
  EXPECT_EQ(open(kSettings, /*overwrite=*/true).num_done(), 2);  // its own: goes on
  EXPECT_EQ(open(other, /*overwrite=*/true).num_done(), 0);
  EXPECT_EQ(open(other).num_done(), 0);
}

TEST_F(ShardJournalTest, AJournalWithoutAFinishedInputIsRemoved) {
  {
    ShardJournal journal = open();
    EXPECT_TRUE(fs::exists(folder_ / "out.json.journal"));
  }
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(ShardJournalTest, ADamagedJournalIsOneClearLine) {
  const std::string journal = full_journal({0, 1});
  const size_t second = journal.find('\n') + 1;
  const std::string line = journal.substr(second, journal.find('\n', second) + 1 - second);
  const std::string damaged =
      " is damaged, expected a finished input of 3, each once. Remove the "
      "line to have its input made again.";
  write("out.json.journal", journal + line);  // an input twice
  EXPECT_EQ(data_error_of([&] { open(); }), "[out.json.journal: line 4]" + damaged);
  write("out.json.journal", journal.substr(0, second) + "{\"index\": 1}\n" + line);
  EXPECT_EQ(data_error_of([&] { open(); }), "[out.json.journal: line 2]" + damaged);
  write("out.json.journal", journal + "\n");
  EXPECT_EQ(data_error_of([&] { open(); }), "[out.json.journal: line 4]" + damaged);
  std::string beyond = line;
  beyond.replace(beyond.find("\"index\":0"), 9, "\"index\":3");
  write("out.json.journal", journal + beyond);
  EXPECT_EQ(data_error_of([&] { open(); }), "[out.json.journal: line 4]" + damaged);
  write("out.json.journal", "my notes");
  EXPECT_EQ(data_error_of([&] { open(kSettings, /*overwrite=*/true); }),
            "[out.json.journal] is no journal of cpx: it begins with other bytes. Move the file "
            "away.");
}

TEST_F(ShardJournalTest, OneSideIsAddedToTheShardOfTheOther) {
  data::Input input = {
      .text = "one two",
      .group = "g",
      .id = "g-0",
      .where = "a.json: input 1",
      .json = R"({"id": "old", "paraphrases": ["kept as \\\\ it is"], "paraphrases_rouge": [0.5],
                  "paraphrases_toxic": ["old"], "paraphrases_toxic_rouge": [0.1],
                  "paraphrases_toxic_toxigenscore": [0.9], "note": 1})"};
  ShardJournal journal(folder_ / "out.jsonl", {input}, kSettings);
  journal.add(0, {.toxic = select_candidates(input.text, std::vector<std::string>{"one"}, {})});
  journal.finish();
  EXPECT_EQ(read_text_file(folder_ / "out.jsonl"),
            R"({"input":"one two","group":"g","id":"g-0","paraphrases":["kept as \\\\ it is"],)"
            R"("paraphrases_rouge":[0.5],"note":1,"paraphrases_toxic":["one"],)"
            R"("paraphrases_toxic_rouge":[0.6666666666666666]})"
            "\n");
  const Json meta = Json::parse(read_text_file(folder_ / "out.jsonl.meta"));
  EXPECT_FALSE(meta.contains("paraphrases"));
  EXPECT_EQ(meta["paraphrases_toxic"]["kept"], 1);
}

TEST_F(ShardJournalTest, InputsWithoutParaphrasesAreLeftOutAndReported) {
  ShardJournal journal = open();
  add(journal, 0);
  journal.add(1, {.neutral = made_of(journal.inputs()[1]).neutral,
                  .toxic = select_candidates("x", std::vector<std::string>{"", "X"}, {})});
  add(journal, 2);
  const ShardSummary summary = journal.finish();
  EXPECT_EQ(summary.num_records, 2);
  EXPECT_THAT(summary.left_out,
              ElementsAre("[a.txt: line 2] paraphrases_toxic: 0 of 15 kept from 2 drawn (1 empty, "
                          "1 copy of the input)"));
  EXPECT_EQ(summary.too_few.size(), 2);
  const auto shard = data::read_shards(std::vector<fs::path>{folder_ / "out.json"});
  EXPECT_THAT(shard.faults.texts(), IsEmpty());
  ASSERT_EQ(shard.records.size(), 2);
  EXPECT_EQ(shard.records[1].id, "travel-2");
  const Json meta = Json::parse(read_text_file(folder_ / "out.json.meta"));
  EXPECT_EQ(meta["left_out"][0], summary.left_out[0]);
}

TEST_F(ShardJournalTest, NoParaphraseAtAllIsAnErrorThatKeepsTheJournal) {
  {
    ShardJournal journal = open();
    for (int64_t i = 0; i < 3; ++i) {
      journal.add(i, {.neutral = select_candidates("x", std::vector<std::string>{""}, {})});
    }
    EXPECT_EQ(data_error_of([&] { journal.finish(); }),
              "[out.json] got no record from 3 inputs, expected one or more. First: [a.txt: line "
              "1] paraphrases: 0 of 15 kept from 1 drawn (1 empty)");
  }
  EXPECT_FALSE(fs::exists(folder_ / "out.json"));
  EXPECT_EQ(open().num_done(), 3);
}

TEST_F(ShardJournalTest, BytesThatAreNotUtf8DoNotSpoilTheShard) {
  ShardJournal journal = open({{"model", "m\xFF"}});
  for (int64_t i = 0; i < 3; ++i) {
    journal.add(i, {.neutral = select_candidates("x", std::vector<std::string>{"a\xC3"}, {}),
                    .toxic = select_candidates("x", std::vector<std::string>{"b"}, {})});
  }
  journal.finish();
  const auto shard = data::read_shards(std::vector<fs::path>{folder_ / "out.json"});
  ASSERT_EQ(shard.records.size(), 3);
  EXPECT_THAT(shard.records[0].neutral, ElementsAre("a\xEF\xBF\xBD"));
  EXPECT_TRUE(open({{"model", "m\xFF"}}).is_complete());
}

TEST_F(ShardJournalTest, AnotherWriterOfTheSameOutputIsAnError) {
  ShardJournal journal = open();
  EXPECT_EQ(data_error_of([&] { open(); }),
            fmt::format("[--output] 'out.json' is in use: process {} writes it. Wait for that one, "
                        "or choose another output.",
                        getpid()));
}

TEST_F(ShardJournalTest, MistakesOfTheCallerAreRefused) {
  ShardJournal journal = open();
  add(journal, 0);
  EXPECT_THROW(add(journal, 0), std::invalid_argument);
  EXPECT_THROW(journal.add(3, {}), std::invalid_argument);
  EXPECT_THROW(journal.add(-1, {}), std::invalid_argument);
  EXPECT_THROW(journal.finish(), std::invalid_argument);
}

TEST_F(ShardJournalTest, OutputsThatCannotBeWrittenAreToldAtOnce) {
  const auto message_for = [&](const fs::path& output) {
    return data_error_of([&] { ShardJournal(output, three_inputs(), kSettings); });
  };
  EXPECT_EQ(message_for(folder_ / "none" / "out.json"),
            "[--output] 'none/out.json' cannot be written: No such file or directory. Choose "
            "another output.");
  EXPECT_EQ(message_for(folder_ / "out.txt"),
            "[out.txt] the name's ending tells the format: got '.txt', expected .json (a list) or "
            ".jsonl (a record a line).");
  fs::create_directory(folder_ / "a.json");
  EXPECT_EQ(message_for(folder_ / "a.json"),
            "[a.json] is a folder, expected a file or nothing there. Choose another output.");
  fs::create_symlink("/dev/full", folder_ / "b.json");
  EXPECT_EQ(message_for(folder_ / "b.json"),
            "[b.json] is no regular file, expected a file or nothing there. Choose another "
            "output.");
  fs::create_symlink("/dev/full", folder_ / "c.json.journal");
  EXPECT_THAT(message_for(folder_ / "c.json"), StartsWith("[c.json.journal] is no regular file"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 3);
}

TEST_F(ShardJournalTest, AFullDiskAtTheEndKeepsJournalAndOldOutput) {
  const Files expected = uninterrupted();
  write("out.json.journal", full_journal({0, 1, 2}));
  write("out.json", "old");
  {
    const FileSizeLimit limit(30);
    EXPECT_THAT(data_error_of([&] { run(); }),
                StartsWith("[write] out.json: cannot be written: File too large"));
  }
  EXPECT_EQ(read_text_file(folder_ / "out.json"), "old");
  EXPECT_FALSE(fs::exists(folder_ / "out.json.meta"));
  run();  // there is space again
  EXPECT_EQ(files(), expected);
}

TEST_F(ShardJournalTest, AFullDiskInTheJournalLeavesItWithItsWholeLines) {
  const Files expected = uninterrupted();
  const std::string one = full_journal({0});
  {
    ShardJournal journal = open();
    add(journal, 0);
    const FileSizeLimit limit(one.size() + 30);
    EXPECT_THAT(data_error_of([&] { add(journal, 1); }),
                StartsWith("[write] out.json.journal: cannot be written: File too large"));
    EXPECT_FALSE(journal.is_done(1));
    EXPECT_EQ(read_text_file(folder_ / "out.json.journal"), one);
  }
  run();
  EXPECT_EQ(files(), expected);
}

TEST_F(ShardJournalTest, AFullDiskAtTheBeginningLeavesNothing) {
  const FileSizeLimit limit(20);
  EXPECT_THAT(data_error_of([&] { open(); }),
              StartsWith("[write] out.json.journal: cannot be written: File too large"));
  EXPECT_THAT(files(), IsEmpty());
}

}  // namespace shard_journal_test
}  // namespace cpx::pipeline
