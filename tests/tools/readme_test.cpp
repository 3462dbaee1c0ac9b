// SPDX-License-Identifier: Apache-2.0
// The commands of README.md and docs/usage.md work as pasted, in their order, in a folder like a
// clean clone after its set-up; the flags that the pages name are the tools', and the pages name
// every objective. Only set-up scripts are left out, which .ci/run runs itself.
#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "tiny_run.h"

namespace cpx::tests {
namespace readme_test {

namespace fs = std::filesystem;

const fs::path kRoot = CPX_SOURCE_DIR;
constexpr const char* kModel = "models/SmolLM2-135M-Instruct.Q4_1.gguf";

struct Block {
  std::string heading;
  std::vector<std::string> commands;  // lines ended by a backslash are joined
};

// The pages whose commands work as pasted, one after the other.
const fs::path kPages[] = {kRoot / "README.md", kRoot / "docs" / "usage.md"};

// The bash blocks of a page.
std::vector<Block> bash_blocks(const fs::path& page) {
  std::vector<Block> blocks;
  std::istringstream lines(read_text_file(page));
  std::string heading, command;
  bool is_in_block = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      is_in_block = line == "```bash";
      if (is_in_block) blocks.push_back({.heading = heading, .commands = {}});
      continue;
    }
    if (!is_in_block) {
      if (line.starts_with("## ")) heading = line.substr(3);
      continue;
    }
    const bool goes_on = line.ends_with('\\');
    command += goes_on ? line.substr(0, line.size() - 1) : line;
    if (goes_on) continue;
    if (!command.empty()) blocks.back().commands.push_back(command);
    command.clear();
  }
  return blocks;
}

// Those of all kPages.
std::vector<Block> all_bash_blocks() {
  std::vector<Block> all;
  for (const fs::path& page : kPages) {
    for (Block& block : bash_blocks(page)) all.push_back(std::move(block));
  }
  return all;
}

// What the test appends to a command that holds `part`, to shorten it.
struct Shorter {
  const char* part;
  const char* appended;
};

const Shorter kShorter[] = {
    {"training.max_steps=20",
     " training.max_steps=2 evaluation.every_steps=2 checkpoint.every_steps=2"},
    {"training.max_steps=40",
     " training.max_steps=4 evaluation.every_steps=2 checkpoint.every_steps=2"},
    {"--samples 2", " --max-new-tokens 8"},
};

std::string shortened(std::string command) {
  const std::string pasted = command;
  for (const auto& [part, appended] : kShorter) {
    if (pasted.find(part) != std::string::npos) command += appended;
  }
  return command;
}

// Of a heading's blocks: what they print, in this order, on both streams together; what they write.
struct Claim {
  const char* heading;
  std::vector<const char*> prints;
  std::vector<const char*> files;
};

const Claim kClaims[] = {
    {"Two commands", {"finished at step 2 of 2"}, {"runs/first/final/adapter_model.safetensors"}},
    {"Train",
     {"configs/demo.yaml: good", "total +[0-9]+ MiB", "finished at step 2 of 2",
      "finished at step 4 of 4"},
     {"runs/mine/metrics.jsonl", "runs/mine/final/adapter_model.safetensors",
      "runs/mine/best/adapter_config.json", "runs/mine/checkpoints"}},
    {"Evaluate",
     {"base +adapter +change", "ratio toxic / neutral +[0-9.]+ +[0-9.]+",
      "separation +0\\.[0-9]+ +0\\.[0-9]+", "perplexity, neutral +[0-9.]+\n",
      "mine\\.html: 1 run, 1 report, 0 files of texts, [0-9]+ KiB"},
     {"everyday.json", "everyday_texts.jsonl", "mine.html"}},
    {"Generate",
     {"== Your music is very loud after ten\\.", "-- 1, base\n", "-- 1, adapter\n"},
     {"everyday.jsonl"}},
};

bool is_setup(const std::string& command) {
  return command.starts_with("./scripts/") || command.starts_with("scripts/");
}

// A folder with what a clone has after its set-up; what a command writes stays in it.
class ReadmeCommands : public TinyRun {
 protected:
  ReadmeCommands() {
    for (const char* name : {"configs", "data", "docs", "models", "scripts"}) {
      fs::create_directory_symlink(kRoot / name, path(name));
    }
    fs::create_directories(path("build/release"));
    fs::create_directory_symlink(tools_folder(), path("build/release/bin"));
  }

  // Runs the commands in a shell of their own, as they would be pasted.
  ToolResult paste(const std::vector<std::string>& commands) const {
    std::string script = "exec 2>&1\nunset OMP_NUM_THREADS\n";
    for (const std::string& command : commands) script += shortened(command) + "\n";
    return run_tool("/bin/bash", {"-e", "-o", "pipefail", "-c", script}, {.folder = path(".")});
  }
};

TEST_F(ReadmeCommands, WorkAsPastedInTheirOrder) {
  if (!fs::exists(kRoot / kModel)) GTEST_SKIP() << kModel << " is not here (scripts/bootstrap.sh)";
  std::map<std::string, std::string> printed;
  size_t num_commands = 0;
  for (const auto& [heading, commands] : all_bash_blocks()) {
    if (std::ranges::all_of(commands, is_setup)) continue;
    SCOPED_TRACE(heading);
    const ToolResult result = paste(commands);
    ASSERT_EQ(result.exit_code, 0) << result.out;
    printed[heading] += result.out;
    num_commands += commands.size();
  }
  EXPECT_GE(num_commands, 10);
  for (const auto& [heading, prints, files] : kClaims) {
    SCOPED_TRACE(heading);
    std::string rest = printed[heading];
    for (const char* pattern : prints) {
      std::smatch match;
      ASSERT_TRUE(std::regex_search(rest, match, std::regex(pattern))) << pattern << "\n" << rest;
      rest = match.suffix();
    }
    for (const char* file : files) EXPECT_TRUE(exists(file)) << file;
  }
  EXPECT_EQ(steps("runs/mine").size(), 4);           // the second command went on with the first
  EXPECT_EQ(num_lines(read("everyday.jsonl")), 40);  // 20 prompts, 2 samples
}

// What the test above leaves out.
TEST(ReadmeSetup, IsRunByCi) {
  const std::string ci = read_text_file(kRoot / ".ci" / "run");
  size_t num_scripts = 0;
  for (const Block& block : all_bash_blocks()) {
    for (const std::string& command : block.commands) {
      if (!is_setup(command)) continue;
      const std::string script = command.substr(command.find("scripts/"));
      EXPECT_NE(ci.find(script.substr(0, script.find(' '))), std::string::npos) << command;
      ++num_scripts;
    }
  }
  EXPECT_GE(num_scripts, 3);
}

// Commands of the pages, in blocks or between backticks: "cpx-NAME" and what follows.
std::vector<std::string> commands_of(const fs::path& page) {
  static const std::regex kSpan("`(cpx-[a-z-]+ [^`\n]+)`");
  std::vector<std::string> commands;
  const std::string text = read_text_file(page);
  for (std::sregex_iterator match(text.begin(), text.end(), kSpan), end; match != end; ++match) {
    commands.push_back((*match)[1]);
  }
  for (const Block& block : bash_blocks(page)) {
    for (const std::string& command : block.commands) {
      const size_t at = command.find("/bin/cpx-");
      if (at != std::string::npos) commands.push_back(command.substr(at + 5));
    }
  }
  return commands;
}

// "--flag" words of a text; behind a "=" or in a longer word they are none.
std::set<std::string> flags_of(const std::string& text) {
  static const std::regex kFlag("(^|[ ,\n\\[])(--[a-z][a-z-]*)");
  std::set<std::string> flags;
  for (std::sregex_iterator match(text.begin(), text.end(), kFlag), end; match != end; ++match) {
    flags.insert((*match)[2]);
  }
  return flags;
}

TEST(DocumentedFlags, AreThoseOfTheTools) {
  std::vector<fs::path> pages = {kRoot / "README.md"};
  for (const auto& entry : fs::directory_iterator(kRoot / "docs")) pages.push_back(entry.path());
  std::map<std::string, std::set<std::string>> known;
  size_t num_flags = 0;
  for (const fs::path& page : pages) {
    for (const std::string& command : commands_of(page)) {
      const std::string tool = command.substr(0, command.find(' '));
      if (!fs::exists(fs::path(tools_folder()) / tool)) continue;  // another preset's
      if (!known.contains(tool)) known[tool] = flags_of(run_tool(tool, {"--help"}).out);
      for (const std::string& flag : flags_of(command)) {
        EXPECT_TRUE(known[tool].contains(flag)) << page << ": " << command;
        ++num_flags;
      }
    }
  }
  EXPECT_GT(num_flags, 40);
}

// The values of objective.name as the help of cpx-train lists them: "(one of A, B, C; default A)".
std::vector<std::string> objectives_of_help() {
  const std::string help = run_tool("cpx-train", {"--help-config"}).out;
  std::smatch match;
  if (!std::regex_search(help, match, std::regex("objective\\.name \\(one of ([^;)]+)"))) return {};
  const std::string list = match[1];
  const std::regex word("\\w+");
  return {std::sregex_token_iterator(list.begin(), list.end(), word), std::sregex_token_iterator()};
}

TEST(DocumentedObjectives, HaveAHeadingAndAPlaceInTheTableOfWhatWorks) {
  const std::vector<std::string> objectives = objectives_of_help();
  EXPECT_THAT(objectives, testing::IsSupersetOf({"contrastive_perplexity", "sft", "ppo"}));
  const std::string formulas = read_text_file(kRoot / "docs" / "objectives.md");
  const std::string usage = read_text_file(kRoot / "docs" / "usage.md");
  for (const std::string& name : objectives) {
    const std::regex heading("(^|\n)##+ ([a-z_]+, )*" + name + "(, [a-z_]+)*\n");
    EXPECT_TRUE(std::regex_search(formulas, heading)) << name;
    EXPECT_NE(usage.find("`" + name + "`"), std::string::npos) << name;
  }
}

}  // namespace readme_test
}  // namespace cpx::tests
