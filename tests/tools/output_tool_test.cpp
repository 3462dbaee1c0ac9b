// SPDX-License-Identifier: Apache-2.0
// Where the tools write: standard output, links, devices, places that cannot be written.
#include <filesystem>
#include <gmock/gmock.h>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_run.h"

namespace cpx::tests {
namespace output_tool_test {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using Arguments = std::vector<std::string>;

// A tool with the arguments of a mode.
struct Call {
  std::string tool;
  Arguments arguments;
};

class OutputTool : public TinyRun {
 protected:
  OutputTool() {
    write("texts.txt", "The bus was late.\nThank you\n");
    write("turns.txt", "The kettle\n");
  }

  static std::string classifier() { return "tests/fixtures/models/roberta_two_labels"; }

  Call generate(const Arguments& more) const {
    Arguments all = {"--model", model(),   "--template",       "plain",
                     "--dtype", "float32", "--max-new-tokens", "3"};
    all.insert(all.end(), more.begin(), more.end());
    return {"cpx-generate", all};
  }
  Call eval_ppl(const Arguments& more) const {
    Arguments all = {"--model", model(), "--neutral", path("texts.txt"), "--dtype", "float32"};
    all.insert(all.end(), more.begin(), more.end());
    return {"cpx-eval-ppl", all};
  }
  Call score(const std::string& output) const {
    return {"cpx-score",
            {"--model", classifier(), "--input", path("texts.txt"), "--output", output}};
  }
  Call paraphrase(const std::string& output) const {
    return {"cpx-paraphrase",
            {"--model", model(), "--input", path("texts.txt"), "--samples", "2", "--keep", "2",
             "--max-new-tokens", "4", "--form", "plain", "--dtype", "float32", "--output", output}};
  }
  Call train(const Arguments& more) const {
    Arguments all = {"--config", path("config.yaml"), "--device", "cpu"};
    all.insert(all.end(), more.begin(), more.end());
    return {"cpx-train", all};
  }

  static ToolResult run(const Call& call, const ToolSetting& setting = {}) {
    return run_tool(call.tool, call.arguments, setting);
  }

  // Every mode that writes to standard output.
  std::vector<Call> all_modes() const {
    std::vector<Call> calls;
    for (const char* tool :
         {"cpx-train", "cpx-eval-choice", "cpx-eval-ppl", "cpx-eval-rewrite", "cpx-eval-safety",
          "cpx-eval-toxicity", "cpx-generate", "cpx-paraphrase", "cpx-report", "cpx-score"}) {
      calls.push_back({tool, {"--help"}});
      calls.push_back({tool, {"--version"}});
    }
    calls.push_back({"cpx-train", {"--help-config"}});
    for (const char* mode : {"--validate", "--estimate", "--print-config"}) {
      calls.push_back(train({mode}));
    }
    calls.push_back(train({"--inspect", "1"}));
    calls.push_back(train({"training.max_steps=1"}));
    calls.push_back(eval_ppl({}));
    calls.push_back(eval_ppl({"--report", "-"}));
    calls.push_back(eval_ppl({"--items", "-"}));
    calls.push_back(
        {"cpx-eval-safety", {"--perplexities", "tests/fixtures/evaluation/safety_items.json"}});
    calls.push_back(generate({"--prompt", "The kettle"}));
    calls.push_back(generate({"--prompt", "The kettle", "--samples", "2"}));
    calls.push_back(generate({"--prompt", "The kettle", "--output", "-"}));
    calls.push_back(generate({}));  // a conversation
    calls.push_back(score(path("scored.jsonl")));
    calls.push_back(score("-"));
    calls.push_back(paraphrase(path("made.json")));
    return calls;
  }

  static std::string last_line(const std::string& text) {
    const size_t before = text.rfind('\n', text.empty() ? 0 : text.size() - 2);
    return before == std::string::npos ? text : text.substr(before + 1);
  }
};

TEST_F(OutputTool, AFullDiskBehindStandardOutputIsAnErrorInEveryMode) {
  for (const Call& call : all_modes()) {
    const ToolResult result =
        run(call, {.input_file = path("turns.txt"), .output_file = "/dev/full"});
    EXPECT_EQ(result.exit_code, 1) << call.tool << " " << call.arguments.back();
    EXPECT_THAT(result.err,
                testing::EndsWith(call.tool + ": [standard output] cannot be written: No space "
                                              "left on device. What was written there is "
                                              "incomplete.\n"))
        << call.arguments.back();
  }
}

TEST_F(OutputTool, APipeThatNobodyReadsEndsAToolQuietly) {
  constexpr int kKilledBySigpipe = 128 + 13;
  for (const bool ignores : {false, true}) {
    for (const Call& call :
         {Call{"cpx-train", {"--help"}}, Call{"cpx-score", {"--version"}},
          train({"--print-config"}), generate({"--prompt", "The kettle"}), eval_ppl({})}) {
      const ToolResult result = run(call, {.output_is_closed = true, .ignores_sigpipe = ignores});
      EXPECT_EQ(result.exit_code, kKilledBySigpipe) << call.tool << " " << ignores;
      EXPECT_THAT(result.err, Not(HasSubstr(call.tool + ":"))) << ignores;
    }
  }
}

// ---- before the model is loaded -----------------------------------------------------------------

TEST_F(OutputTool, AnOutputThatCannotBeWrittenIsToldBeforeTheModelIsLoaded) {
  fs::create_directory(path("runs"));
  const auto calls = [&](const std::string& output) {
    return std::vector<std::pair<Call, std::string>>{
        {{"cpx-generate", {"--prompt", "x", "--output", output, "--model", path("nowhere")}},
         "--output"},
        {{"cpx-eval-ppl",
          {"--neutral", path("texts.txt"), "--report", output, "--model", path("nowhere")}},
         "--report"},
        {{"cpx-score",
          {"--input", path("texts.txt"), "--output", output, "--model", path("nowhere")}},
         "--output"},
        {{"cpx-paraphrase",
          {"--input", path("texts.txt"), "--output", output, "--model", path("nowhere")}},
         "--output"}};
  };
  for (const auto& [call, flag] : calls(path("runs"))) {
    // These two make shards in it.
    if (call.tool == "cpx-paraphrase" || call.tool == "cpx-score") continue;
    const ToolResult result = run(call);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.err, call.tool + ": [" + flag + "] '" + path("runs") +
                              "' cannot be written: it is a folder, expected a file. Choose "
                              "another place.\n");
  }
  for (const auto& [call, flag] : calls(path("no/out.json"))) {
    EXPECT_EQ(run(call).err, call.tool + ": [" + flag + "] '" + path("no/out.json") +
                                 "' cannot be written: there is no folder '" + path("no") +
                                 "'. Make it first.\n");
  }
  for (const auto& [call, flag] : calls(path("texts.txt"))) {
    const ToolResult result = run(call);
    if (call.tool == "cpx-generate") continue;  // reads no file here
    const std::string input = call.tool == "cpx-eval-ppl" ? "--neutral" : "--input";
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.err, call.tool + ": [" + flag + "] '" + path("texts.txt") + "' is also " +
                              input + ", which is read, expected another file.\n");
  }
  EXPECT_EQ(read("texts.txt"), "The bus was late.\nThank you\n");
}

TEST_F(OutputTool, TheOutputsOfATrainingAreToldBeforeItsDataIsRead) {
  const Arguments no_data = {"data.train=[" + path("none.json") + "]"};
  const auto message = [&](Arguments more) {
    more.insert(more.end(), no_data.begin(), no_data.end());
    return run(train(more)).err;
  };
  EXPECT_EQ(message({"--profile", path("no/trace.json")}),
            "cpx-train: [--profile] '" + path("no/trace.json") +
                "' cannot be written: there is no folder '" + path("no") + "'. Make it first.\n");
  EXPECT_EQ(message({"training.output=" + path("eval.json")}),
            "cpx-train: [training.output] '" + path("eval.json") +
                "' cannot be written to: Not a directory. Choose another folder.\n");
  EXPECT_EQ(message({"--profile", path("config.yaml")}),
            "cpx-train: [--profile] '" + path("config.yaml") +
                "' is also --config, which is read, expected another file.\n");
  EXPECT_EQ(message({"objective.base_cache=" + path("eval.json")}),
            "cpx-train: [objective.base_cache] '" + path("eval.json") +
                "' is also data.eval, which is read, expected another file.\n");
  EXPECT_FALSE(exists("run"));
}

// ---- links, modes, streams ----------------------------------------------------------------------

TEST_F(OutputTool, ALinkIsFollowedAndTheModeStays) {
  for (const Call& call : {generate({"--prompt", "x", "--output", path("link.jsonl")}),
                           eval_ppl({"--report", path("link.jsonl")}), score(path("link.jsonl"))}) {
    write("real.jsonl", "old");
    chmod(path("real.jsonl").c_str(), 0600);
    fs::remove(path("link.jsonl"));
    fs::create_symlink("real.jsonl", path("link.jsonl"));
    const ToolResult result = run(call);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(fs::is_symlink(path("link.jsonl"))) << call.tool;
    EXPECT_THAT(read("real.jsonl"), testing::StartsWith("{")) << call.tool;
    struct stat status {};
    ASSERT_EQ(stat(path("real.jsonl").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U) << call.tool;
  }
}

TEST_F(OutputTool, ADeviceIsWrittenInto) {
  for (const Call& call : {generate({"--prompt", "x", "--output", "/dev/null"}),
                           eval_ppl({"--report", "/dev/null"}), score("/dev/null")}) {
    EXPECT_EQ(run(call).exit_code, 0) << call.tool;
    EXPECT_TRUE(fs::is_character_file("/dev/null"));
  }
  for (const Call& call : {generate({"--prompt", "x", "--output", "/dev/full"}),
                           eval_ppl({"--report", "/dev/full"}), score("/dev/full")}) {
    const ToolResult result = run(call);
    EXPECT_EQ(result.exit_code, 1) << call.tool;
    EXPECT_EQ(last_line(result.err), call.tool +
                                         ": [write] /dev/full: cannot be written: No "
                                         "space left on device. What was written there is "
                                         "incomplete.\n");
  }
}

TEST_F(OutputTool, ADashIsStandardOutputWithNothingElse) {
  for (const std::string name : {"-", "/dev/stdout"}) {
    ToolResult result = run(generate({"--prompt", "x", "--samples", "2", "--output", name}));
    EXPECT_EQ(num_lines(result.out), 2U);
    EXPECT_EQ(nlohmann::json::parse(result.out.substr(0, result.out.find('\n')))["prompt"], "x");
    result = run(score(name));
    EXPECT_EQ(num_lines(result.out), 2U);
    EXPECT_TRUE(
        nlohmann::json::parse(result.out.substr(0, result.out.find('\n'))).contains("score"));
    EXPECT_THAT(result.err, HasSubstr("2 texts of 2 records scored"));
    result = run(eval_ppl({"--report", name}));
    EXPECT_TRUE(nlohmann::json::accept(result.out));
  }
}

}  // namespace output_tool_test
}  // namespace cpx::tests
