// SPDX-License-Identifier: Apache-2.0
#include "cpx/report/run_record.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "tests/support/folders.h"

namespace cpx::report {
namespace run_record_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kConfig =
    "# Written by cpx-train (hash 12): copy it to change it.\n"
    "model:\n  path: models/small.gguf\n  dtype: float32\n"
    "adapter:\n  rank: 8\n  alpha: 16.0\n  dropout: 0.0\n  target_modules: all-linear\n"
    "data:\n  train: [\"a/*.json\", b.json]\n"
    "objective:\n  name: sft\n"
    "training:\n  max_steps: 3\n  seed: 42\n";

class RunRecordTest : public testing_support::ScratchFolderTest {
 protected:
  RunRecord read() const { return read_run(folder_ / "run"); }

  std::vector<std::string> notes_of(const RunRecord& run) const {
    std::vector<std::string> notes;
    for (const std::string& note : run.notes) notes.push_back(without_folder(note));
    return notes;
  }

  static std::string fact(const RunRecord& run, const std::string& name) {
    for (const NamedText& one : run.facts) {
      if (one.name == name) return one.text;
    }
    return "(no such fact)";
  }
};

TEST_F(RunRecordTest, MetricsBecomeASeriesPerKey) {
  write("run/config.resolved.yaml", kConfig);
  write("run/metrics.jsonl",
        "{\"step\":1,\"loss\":2.5,\"grad_norm\":1}\n{\"step\":2,\"loss\":2.25}\n"
        "{\"step\":2,\"eval_loss\":3.0}\n");
  const RunRecord run = read();
  ASSERT_NE(run.find_series("loss"), nullptr);
  EXPECT_THAT(run.find_series("loss")->steps, ElementsAre(1, 2));
  EXPECT_THAT(run.find_series("loss")->values, ElementsAre(2.5, 2.25));
  EXPECT_THAT(run.find_series("eval_loss")->steps, ElementsAre(2));
  EXPECT_EQ(run.find_series("other"), nullptr);
  EXPECT_THAT(run.notes, IsEmpty());
}

TEST_F(RunRecordTest, DamagedLinesAreLeftOutAndNoted) {
  write("run/config.resolved.yaml", kConfig);
  write("run/metrics.jsonl",
        "{\"step\":1,\"loss\":2.5}\n[1,2]\n{\"loss\":2.0}\n{\"step\":4,\"loss\":1.5}\n");
  const RunRecord run = read();
  EXPECT_THAT(run.find_series("loss")->steps, ElementsAre(1, 4));
  EXPECT_THAT(
      notes_of(run),
      ElementsAre("[run/metrics.jsonl: step 2, line 2] is [1,2], expected an object with the key "
                  "step. It was left out.",
                  "[run/metrics.jsonl: step 3, line 3] 'step' is missing. It was left out."));
}

TEST_F(RunRecordTest, ATornLastLineIsLeftOut) {
  write("run/config.resolved.yaml", kConfig);
  write("run/metrics.jsonl", "{\"step\":1,\"loss\":2.5}\n{\"step\":2,\"lo");
  const RunRecord run = read();
  EXPECT_THAT(run.find_series("loss")->steps, ElementsAre(1));
  ASSERT_EQ(run.notes.size(), 1U);
  EXPECT_THAT(notes_of(run)[0],
              testing::StartsWith("[run/metrics.jsonl: step 2, line 2] is not valid JSON: "));
}

TEST_F(RunRecordTest, ManyDamagedLinesAreCounted) {
  write("run/config.resolved.yaml", kConfig);
  write("run/metrics.jsonl", "1\n2\n3\n4\n5\n6\n7\n{\"step\":8,\"loss\":1}\n");
  const std::vector<std::string> notes = notes_of(read());
  ASSERT_EQ(notes.size(), 6U);
  EXPECT_EQ(notes.back(), "[run/metrics.jsonl] 2 more values were left out too.");
}

TEST_F(RunRecordTest, ValuesThatWereNotFiniteAreCounted) {
  write("run/config.resolved.yaml", kConfig);
  write("run/metrics.jsonl", "{\"step\":1,\"loss\":null}\n{\"step\":2,\"loss\":1.0}\n");
  const RunRecord run = read();
  EXPECT_THAT(run.find_series("loss")->steps, ElementsAre(2));
  EXPECT_THAT(notes_of(run),
              ElementsAre("[run/metrics.jsonl] loss: 1 value was not finite and left out."));
}

TEST_F(RunRecordTest, StepsThatGoBackAreSorted) {
  write("run/config.resolved.yaml", kConfig);
  write("run/metrics.jsonl", "{\"step\":3,\"loss\":3}\n{\"step\":1,\"loss\":1}\n");
  EXPECT_THAT(read().find_series("loss")->values, ElementsAre(1.0, 3.0));
}

TEST_F(RunRecordTest, AFolderWithoutARunIsAnError) {
  write("run/other.txt", "");
  EXPECT_EQ(
      data_error_of([&] { read(); }),
      "[run] is no run folder: got neither metrics.jsonl nor config.resolved.yaml, expected a "
      "folder that cpx-train has written.");
}

TEST_F(RunRecordTest, AMissingFileIsNoted) {
  write("run/metrics.jsonl", "{\"step\":1,\"loss\":1}\n");
  EXPECT_THAT(notes_of(read()),
              ElementsAre("[run/config.resolved.yaml] there is no such file: no settings."));
}

TEST_F(RunRecordTest, GenerationsAreItsSamples) {
  write("run/config.resolved.yaml", kConfig);
  write("run/metrics.jsonl", "{\"step\":1,\"loss\":1}\n");
  write("run/generations.jsonl", "{\"step\":0,\"prompt\":\"A\",\"text\":\"B\"}\n{\"step\":1}\n");
  const RunRecord run = read();
  ASSERT_EQ(run.samples.size(), 1U);
  EXPECT_EQ(run.samples[0].row, "step 0");
  EXPECT_THAT(notes_of(run),
              ElementsAre("[run/generations.jsonl: text 2, line 2] is {\"step\":1}, expected an "
                          "object with the keys prompt and text. It was left out."));
}

TEST_F(RunRecordTest, FactsComeFromSettingsMetricsAndAdapter) {
  write("run/config.resolved.yaml", kConfig);
  write("run/metrics.jsonl",
        "{\"step\":1,\"epoch\":0.5,\"loss\":2,\"tokens\":100,\"tokens_per_second\":50,"
        "\"cpu_seconds\":3,\"peak_memory_mib\":10.4,\"skipped_steps\":0}\n"
        "{\"step\":2,\"epoch\":1.0,\"loss\":1,\"tokens\":200,\"tokens_per_second\":40,"
        "\"cpu_seconds\":4,\"peak_memory_mib\":12.6,\"skipped_steps\":1}\n");
  write("run/final/adapter_config.json", R"({"target_modules":["k_proj","q_proj"]})");
  write("run/final/README.md",
        "Trained with the objective `sft` by cpx 0.1.0. Load it with PEFT.\n");
  const RunRecord run = read();
  EXPECT_EQ(fact(run, "Base model"), "models/small.gguf");
  EXPECT_EQ(fact(run, "Adapter"), "LoRA, rank 8, alpha 16.0, dropout 0.0");
  EXPECT_EQ(fact(run, "Adapted layers"), "all-linear (k_proj, q_proj)");
  EXPECT_EQ(fact(run, "Training data"), "[a/*.json, b.json]");
  EXPECT_EQ(fact(run, "Optimizer steps"), "2 of 3");
  EXPECT_EQ(fact(run, "Epochs"), "1 (2 steps an epoch)");
  EXPECT_EQ(fact(run, "Tokens through the model"), "300");
  EXPECT_EQ(fact(run, "Skipped steps"), "1");
  EXPECT_EQ(fact(run, "Time"), "7.0 s in steps, 7.0 s of all threads together");
  EXPECT_EQ(fact(run, "Peak memory"), "13 MiB");
  EXPECT_EQ(fact(run, "cpx"), "0.1.0");
  EXPECT_EQ(fact(run, "Machine"), "not in the run folder");
}

// ---- Settings -----------------------------------------------------------------------------------

TEST(FlatSettings, HaveKeysWithDots) {
  const auto settings =
      flat_settings("a:\n  b: 1.0\n  c: [x, \"y z\"]\n  d: null\ne: {}\n", "c.yaml");
  ASSERT_EQ(settings.size(), 4U);
  EXPECT_EQ(settings[0].name + "=" + settings[0].text, "a.b=1.0");
  EXPECT_EQ(settings[1].name + "=" + settings[1].text, "a.c=[x, y z]");
  EXPECT_EQ(settings[2].name + "=" + settings[2].text, "a.d=null");
  EXPECT_EQ(settings[3].name + "=" + settings[3].text, "e={}");
}

TEST(FlatSettings, TextThatIsNoYamlIsToldWithItsLine) {
  EXPECT_THAT(
      testing_support::message_of<DataError>([] { flat_settings("a: 1\nb: [1", "c.yaml"); }),
      testing::MatchesRegex("\\[c.yaml: line [0-9]+\\] is not valid YAML: .*\\. Its settings "
                            "were left out\\."));
  EXPECT_EQ(testing_support::message_of<DataError>([] { flat_settings("- 1\n", "c.yaml"); }),
            "[c.yaml] got a single value or a list, expected keys with values. Its settings were "
            "left out.");
  EXPECT_EQ(testing_support::message_of<DataError>([] { flat_settings("", "c.yaml"); }),
            "[c.yaml] got an empty file, expected keys with values. Its settings were left out.");
}

// ---- Names --------------------------------------------------------------------------------------

TEST(ShortNames, AreTheEndsThatDiffer) {
  EXPECT_THAT(short_names({"/a/one/run", "/a/two/run"}), ElementsAre("one", "two"));
  EXPECT_THAT(short_names({"/a/one/final", "/a/two/best"}), ElementsAre("final", "best"));
  EXPECT_THAT(short_names({"x/s/a", "y/s/a", "y/s/b"}), ElementsAre("x/s/a", "y/s/a", "b"));
  EXPECT_THAT(short_names({"runs/demo/"}), ElementsAre("demo"));
  EXPECT_THAT(short_names({"a/b", "a/b"}), ElementsAre("b", "b"));
  EXPECT_THAT(short_names({}), IsEmpty());
}

}  // namespace run_record_test
}  // namespace cpx::report
