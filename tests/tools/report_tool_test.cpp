// SPDX-License-Identifier: Apache-2.0
// cpx-report as its user meets it.
#include <filesystem>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "run_tool.h"
#include "tests/support/folders.h"

namespace cpx::tests {
namespace report_tool_test {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kReport =
    R"({"kind":"perplexity","model":"m.gguf","adapter":null,"ratio":1.5501890621694554})";

class ReportTool : public testing_support::ScratchFolderTest {
 protected:
  ReportTool() {
    write("run/config.resolved.yaml", "model:\n  path: m.gguf\ndata:\n  train: [\"" +
                                          path("shard.json") + "\"]\n  eval: [no/such.json]\n");
    write("run/metrics.jsonl", "{\"step\":1,\"loss\":2.5}\n{\"step\":2,\"loss\":2.25}\n");
    write("shard.json", "[{\"input\":\"a\"},{\"input\":\"b\"}]");
    write("report.json", kReport);
    write("texts.jsonl", "{\"prompt\":\"A kettle\",\"sample\":0,\"text\":\" sings\"}\n");
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string read(const std::string& name) const { return read_text_file(folder_ / name); }

  ToolResult run(std::vector<std::string> inputs, std::vector<std::string> flags = {}) const {
    for (std::string& input : inputs) input = path(input);
    if (flags.empty()) flags = {"--output", path("page.html")};
    inputs.insert(inputs.end(), flags.begin(), flags.end());
    return run_tool("cpx-report", inputs);
  }

  void expect_error(const ToolResult& result, int code, const std::string& line) const {
    EXPECT_EQ(result.exit_code, code);
    EXPECT_EQ(without_folder(result.err), "cpx-report: " + line + "\n");
    EXPECT_FALSE(fs::exists(path("page.html")));
  }
};

TEST_F(ReportTool, HelpNamesItsFlagsAndExamples) {
  const ToolResult result = run_tool("cpx-report", {"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, AllOf(HasSubstr("--output"), HasSubstr("--fact"), HasSubstr("--prompts"),
                                HasSubstr("Examples:")));
}

TEST_F(ReportTool, ARunAReportAndTextsBecomeOnePage) {
  const ToolResult result = run({"run", "report.json", "texts.jsonl"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out,
              testing::MatchesRegex(".*page.html: 1 run, 1 report, 1 file of texts, [0-9]+ KiB\n"));
  const std::string page = read("page.html");
  EXPECT_THAT(page, AllOf(HasSubstr("<title>run</title>"), HasSubstr("1.5501890621694554"),
                          HasSubstr(" sings"), HasSubstr("(1 file, 2 records)"),
                          HasSubstr("[no/such.json] (not found from this folder)")));
}

TEST_F(ReportTool, ReportsAloneAreEnough) {
  write("two.json", std::string("[") + kReport + "," + kReport + "]");
  const ToolResult result = run({"two.json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(read("page.html"), HasSubstr("<title>cpx report</title>"));
}

TEST_F(ReportTool, TitleAndFactsAreThoseOfTheCommandLine) {
  const ToolResult result = run({"run"}, {"--title", "A <title>", "--fact", "Machine=2 cores",
                                          "--fact", "Licence=a=b", "--output", path("page.html")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(read("page.html"),
              AllOf(HasSubstr("<h1>A &lt;title&gt;</h1>"),
                    HasSubstr("<th scope=\"row\">Machine</th>\n<td>2 cores</td>"),
                    HasSubstr("<th scope=\"row\">Licence</th>\n<td>a=b</td>")));
}

TEST_F(ReportTool, StandardOutputCarriesThePageAlone) {
  const ToolResult result = run({"run"}, {"--output", "-"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.out.starts_with("<!DOCTYPE html>\n"));
  EXPECT_TRUE(result.out.ends_with("</html>\n"));
}

TEST_F(ReportTool, AnOldPageIsReplaced) {
  write("page.html", "old");
  ASSERT_EQ(run({"run"}).exit_code, 0);
  EXPECT_TRUE(read("page.html").starts_with("<!DOCTYPE html>"));
}

TEST_F(ReportTool, DamagedLinesAreWarnedOfAndTheRestIsShown) {
  write("run/metrics.jsonl", "{\"step\":1,\"loss\":2.5}\n[1]\n{\"step\":3,\"loss\":2.25}\n");
  const ToolResult result = run({"run"});
  ASSERT_EQ(result.exit_code, 0);
  const std::string note = path("run/metrics.jsonl") +
                           ": step 2, line 2] is [1], expected an object with the key step. It was "
                           "left out.";
  EXPECT_THAT(result.err, HasSubstr("[" + note));
  EXPECT_THAT(read("page.html"), AllOf(HasSubstr("What was left out"), HasSubstr(note)));
}

// ---- Errors -------------------------------------------------------------------------------------

TEST_F(ReportTool, FaultsOfTheCommandLineAreToldTogether) {
  const ToolResult result = run_tool("cpx-report", {"--fact", "x", "--prompts", "0"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-report: [command line] nothing to show: got no input, expected run folders of "
            "cpx-train or reports of the cpx-eval tools.\n"
            "cpx-report: [command line] --output: got nothing, expected a file to write.\n"
            "cpx-report: [command line] --fact: got 'x', expected NAME=TEXT.\n"
            "cpx-report: [command line] --prompts: got 0, expected at least 1.\n");
}

TEST_F(ReportTool, AnInputThatIsNotThereIsAnError) {
  expect_error(
      run({"gone"}), 1,
      "[gone] no such file or folder: got nothing there, expected a run folder or a report.");
}

TEST_F(ReportTool, AFolderWithoutARunIsAnError) {
  fs::create_directory(path("empty"));
  expect_error(
      run({"empty"}), 1,
      "[empty] is no run folder: got neither metrics.jsonl nor config.resolved.yaml, expected "
      "a folder that cpx-train has written.");
}

TEST_F(ReportTool, JsonThatIsNoReportIsAnError) {
  write("list.json", "[1, 2]");
  expect_error(run({"list.json"}), 1,
               "[list.json: value 1] is 1, expected a report of a cpx-eval tool (with the key "
               "kind), or texts with a prompt each.");
  write("one.json", "3");
  expect_error(run({"one.json"}), 1,
               "[one.json: value 1, line 1] is 3, expected a report of a cpx-eval tool, or texts "
               "with a prompt each.");
  write("empty.json", "");
  expect_error(run({"empty.json"}), 1, "[empty.json] got an empty file, expected values.");
}

TEST_F(ReportTool, ARunWithoutContentHasNothingToShow) {
  write("run/config.resolved.yaml", "");
  write("run/metrics.jsonl", "");
  const ToolResult result = run({"run"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(last_line(result),
            "cpx-report: [--output] nothing to show: got 1 input without figures, settings or "
            "texts, expected a run that has begun, or a report.\n");
}

TEST_F(ReportTool, ThePageReplacesNoInputAndNoFileOfARun) {
  const std::string report = read("report.json");
  EXPECT_EQ(run({"report.json"}, {"--output", path("report.json")}).exit_code, 2);
  EXPECT_EQ(read("report.json"), report);
  EXPECT_EQ(run({"run"}, {"--output", path("run/metrics.jsonl")}).exit_code, 2);
  fs::create_directories(path("run/final"));
  const ToolResult inside = run({"run"}, {"--output", path("run/final/page.html")});
  EXPECT_EQ(inside.exit_code, 2);
  EXPECT_EQ(inside.err, "cpx-report: [--output] '" + path("run/final/page.html") +
                            "' lies among the files of the run '" + path("run") +
                            "', expected another place. The run's folder itself is one.\n");
  EXPECT_EQ(run({"run"}, {"--output", path("run/page.html")}).exit_code, 0);
}

TEST_F(ReportTool, AFolderThatIsNotThereIsToldBeforeAnythingIsRead) {
  expect_error(run({"run"}, {"--output", path("no/page.html")}), 1,
               "[--output] 'no/page.html' cannot be written: there is no folder 'no'. Make it "
               "first.");
}

}  // namespace report_tool_test
}  // namespace cpx::tests
