// SPDX-License-Identifier: Apache-2.0
// cpx-train with the published variants and with retained texts, as a user meets them.
#include <cmath>
#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "tiny_run.h"

namespace cpx::tests {
namespace variant_tool_test {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

constexpr const char* kEveryday = "It rained all night.\nBoil the rice.\nThe shop is open.\n";

class VariantTool : public TinyRun {
 protected:
  VariantTool() { write("everyday.txt", kEveryday); }

  std::string everyday() const { return "data.retain=[" + path("everyday.txt") + "]"; }
};

TEST_F(VariantTool, EachVariantTrainsValidatesAndIsEstimated) {
  for (const std::string name : {"prototype", "transfer", "cycle"}) {
    SCOPED_TRACE(name);
    use("name: " + name + ", num_positives: 2, num_hard_negatives: 2");
    const std::string run = "training.output=" + path(name);
    const ToolResult trained = train({run});
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    const auto all = steps(name);
    ASSERT_EQ(all.size(), 6);
    for (const auto& step : all) EXPECT_TRUE(std::isfinite(step.at("loss").get<double>()));
    EXPECT_TRUE(exists(name + "/best/adapter_model.safetensors"));
    EXPECT_FALSE(exists(name + "/base_nll.bin")) << "nothing is asked of the base";
    EXPECT_THAT(read(name + "/metrics.jsonl"),
                AllOf(HasSubstr("eval_toxic_perplexity"), HasSubstr("eval_separation")));

    const ToolResult validated = train({run, "--validate"});
    EXPECT_EQ(validated.exit_code, 0) << validated.err;
    EXPECT_THAT(validated.out, HasSubstr("1 file, 7 records: 7 used, 0 skipped"));
    const ToolResult estimated = train({run, "--estimate"});
    EXPECT_EQ(estimated.exit_code, 0) << estimated.err;
    EXPECT_THAT(estimated.out, HasSubstr("7 groups"));
  }
}

// The micro batch of one group: input, 2 and 2 texts; 2, 2 and 2 concatenations; 2 and 2 pairs with
// 2 and 2 texts, and 2 cycle pairs more.
TEST_F(VariantTool, EstimateCountsWhatIsTrainedOn) {
  const auto estimate_of = [&](const std::string& objective) {
    use(objective + ", num_positives: 2, num_hard_negatives: 2");
    return train({"--estimate", "training.groups=1"}).out;
  };
  EXPECT_THAT(estimate_of("name: prototype"), HasSubstr("tokens at most (5 texts"));
  EXPECT_THAT(estimate_of("name: transfer"), HasSubstr("tokens at most (6 texts"));
  EXPECT_THAT(estimate_of("name: cycle"), HasSubstr("tokens at most (8 texts"));
  EXPECT_THAT(estimate_of("name: cycle, fine_tuning: pairs"),
              HasSubstr("tokens at most (10 texts"));
}

TEST_F(VariantTool, InspectShowsWhatIsTrainedOn) {
  const auto inspect = [&](const std::string& objective) {
    use(objective + ", num_positives: 2, num_hard_negatives: 2");
    const ToolResult result = train({"--inspect", "1"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  EXPECT_THAT(inspect("name: prototype"),
              AllOf(HasSubstr("input: "), HasSubstr("positive: "), HasSubstr("hard_negative: ")));
  EXPECT_THAT(inspect("name: transfer"),
              AllOf(HasSubstr("positive_input: "), HasSubstr("negative_input: "),
                    HasSubstr("input_negative: ")));
  EXPECT_THAT(inspect("name: cycle"), AllOf(HasSubstr("detoxify: "), HasSubstr("toxify: "),
                                            HasSubstr("positive: "), Not(HasSubstr("cycle: "))));
  EXPECT_THAT(inspect("name: cycle, fine_tuning: pairs"), HasSubstr("cycle: "));
}

TEST_F(VariantTool, AResumedVariantEqualsTheUninterruptedOne) {
  use("name: cycle, num_positives: 2, num_hard_negatives: 2, retain: 0.5, retain_texts: 2");
  ASSERT_EQ(train({everyday()}).exit_code, 0);
  const std::string final = read("run/final/adapter_model.safetensors");
  const ToolResult resumed = train({everyday(), "--resume", path("run/checkpoints/step-000002")});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(read("run/final/adapter_model.safetensors"), final);
}

TEST_F(VariantTool, OtherRetainedTextsAreNotResumed) {
  use("name: cycle, num_positives: 2, num_hard_negatives: 2, retain: 0.5");
  ASSERT_EQ(train({everyday()}).exit_code, 0);
  write("everyday.txt", std::string(kEveryday) + "One more.\n");
  const ToolResult resumed = train({everyday(), "--resume", path("run/checkpoints/step-000002")});
  EXPECT_EQ(resumed.exit_code, 2);
  EXPECT_THAT(last_line(resumed),
              MatchesRegex("cpx-train: .resume " + path("run/checkpoints/step-000002") +
                           ". data.train: got 7 records, [0-9a-f]{16}; 4 retained texts, "
                           "[0-9a-f]{16}, expected 7 records, [0-9a-f]{16}; 3 retained texts, "
                           "[0-9a-f]{16} .from the saved run..\n"));
}

TEST_F(VariantTool, RetainedTextsAreToldAndShown) {
  const ToolResult validated = train({everyday(), "objective.retain=0.3", "--validate"});
  EXPECT_EQ(validated.exit_code, 0) << validated.err;
  EXPECT_THAT(validated.out,
              HasSubstr("1 file, 7 records: 7 used, 0 skipped; 3 retained texts in 1 file"));
  const ToolResult shown = train({everyday(), "objective.retain=0.3", "--inspect", "2"});
  EXPECT_THAT(shown.out,
              AllOf(HasSubstr("Retained text 1 of 3: " + path("everyday.txt: text 1")),
                    HasSubstr("Retained text 2 of 3: "), Not(HasSubstr("Retained text 3 of 3: "))));
}

// With a weight the loss at the start is the same: a fresh adapter is its base.
TEST_F(VariantTool, RetainedTextsAddNothingAtTheStartAndSomethingLater) {
  ASSERT_EQ(train({"model.dtype=float32"}).exit_code, 0);
  const ToolResult held = train({"model.dtype=float32", everyday(), "objective.retain=100",
                                 "training.output=" + path("held")});
  ASSERT_EQ(held.exit_code, 0) << held.err;
  const auto loss = [&](const std::string& run, size_t step) {
    return steps(run).at(step).at("loss").get<double>();
  };
  EXPECT_NEAR(loss("held", 0), loss("run", 0), 1e-6);
  EXPECT_GT(std::abs(loss("held", 5) - loss("run", 5)), 1e-5);
  EXPECT_NEAR(steps("held").at(0).at("retain_distance").get<double>(), 0.0, 1e-9);
  EXPECT_GT(steps("held").at(5).at("retain_distance").get<double>(), 1e-9);
  EXPECT_FALSE(steps("run").at(5).contains("retain_distance"));
}

TEST_F(VariantTool, TheBaseIsReadFromItsFileInALaterRun) {
  ASSERT_EQ(train({everyday(), "objective.retain=0.3"}).exit_code, 0);
  const std::string cache = "objective.base_cache=" + path("run/base_nll.bin");
  const std::string before = read("run/base_nll.bin");
  const ToolResult again =
      train({everyday(), "objective.retain=0.3", cache, "training.output=" + path("second")});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(read("second/final/adapter_model.safetensors"),
            read("run/final/adapter_model.safetensors"));
  EXPECT_EQ(read("run/base_nll.bin"), before) << "nothing new was computed";
  EXPECT_FALSE(exists("second/base_nll.bin"));

  const ToolResult without =
      train({everyday(), "objective.retain=0.3", "objective.cache_base=false",
             "training.output=" + path("third")});
  ASSERT_EQ(without.exit_code, 0) << without.err;
  EXPECT_FALSE(exists("third/base_nll.bin"));
  EXPECT_EQ(read("third/final/adapter_model.safetensors"),
            read("run/final/adapter_model.safetensors"));
}

TEST_F(VariantTool, ADamagedCacheIsNoticedAndMadeAnew) {
  ASSERT_EQ(train().exit_code, 0);
  const std::string cache = read("run/base_nll.bin");
  write("run/base_nll.bin", cache.substr(0, cache.size() / 2));
  const ToolResult result = train({"--overwrite"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("base_nll.bin] the cache of NLLs is damaged"));
  EXPECT_EQ(read("run/base_nll.bin").size(), cache.size());
}

TEST_F(VariantTool, FilesOfRetainedTextsThatAreWrongAreOneClearLine) {
  write("bad.jsonl", "{\"txt\": \"It rained.\"}\n");
  const auto error_of = [&](const std::string& file) {
    const ToolResult result = train({"data.retain=[" + path(file) + "]", "objective.retain=0.3"});
    EXPECT_EQ(result.exit_code, 1);
    return result.err;
  };
  EXPECT_EQ(error_of("bad.jsonl"),
            "cpx-train: [" + path("bad.jsonl") +
                ": text 1, line 1] 'text' is missing (keys: txt), expected a text.\n");
  EXPECT_EQ(error_of("missing.txt"),
            "cpx-train: [command line: data.retain=[" + path("missing.txt") + "]] data.retain: [" +
                path("missing.txt") + "] no such file: got nothing there, expected a file.\n");
}

TEST_F(VariantTool, ARecordWithoutAnInputIsSkippedByPrototype) {
  write("shard.json",
        R"([{"input": "", "group": "g", "id": "1", "paraphrases": ["a b c", "b c d"],
             "paraphrases_toxic": ["c d e", "d e f"]}])");
  use("name: prototype, num_positives: 2, num_hard_negatives: 2");
  const ToolResult result = train();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(
      result.err,
      "cpx-train: [contrast_groups] no record can be used: got 1 records, expected one with at "
      "least 2 neutral and 2 toxic texts, and an input. Lower num_positives or "
      "num_hard_negatives, or check the data.\n");
}

}  // namespace variant_tool_test
}  // namespace cpx::tests
