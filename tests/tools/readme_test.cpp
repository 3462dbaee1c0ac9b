// SPDX-License-Identifier: Apache-2.0
// Every tool command of the README works: run as printed, but on the tiny model and in a temporary
// output folder. (scripts/quickstart.sh and scripts/test.sh are run by .ci/run.)
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "tiny_run.h"

namespace cpx::tests {
namespace readme_test {

constexpr std::string_view kBinFolder = "build/release/bin/";

using ReadmeCommands = TinyRun;

// The commands of the README's bash blocks that call a tool; lines ended by a backslash are joined.
std::vector<std::string> tool_commands() {
  std::vector<std::string> commands;
  std::istringstream lines(read_text_file(CPX_SOURCE_DIR "/README.md"));
  bool is_in_block = false;
  std::string command;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      is_in_block = line == "```bash";
      continue;
    }
    if (!is_in_block) continue;
    const bool goes_on = line.ends_with('\\');
    command += goes_on ? line.substr(0, line.size() - 1) : line;
    if (goes_on) continue;
    if (command.starts_with(kBinFolder)) commands.push_back(command);
    command.clear();
  }
  return commands;
}

// Words of a command line; single quotes keep a word together.
std::vector<std::string> words_of(const std::string& command) {
  std::vector<std::string> words;
  std::string word;
  bool is_quoted = false;
  for (const char c : command + " ") {
    if (c == '\'') {
      is_quoted = !is_quoted;
    } else if (c == ' ' && !is_quoted) {
      if (!word.empty()) words.push_back(word);
      word.clear();
    } else {
      word += c;
    }
  }
  return words;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

TEST_F(ReadmeCommands, EachOneSucceeds) {
  const std::vector<std::string> commands = tool_commands();
  ASSERT_GE(commands.size(), 4);
  for (const std::string& command : commands) {
    std::vector<std::string> words = words_of(command);
    const std::string tool = words.front().substr(kBinFolder.size());
    std::vector<std::string> arguments;
    for (size_t i = 1; i < words.size(); ++i) {
      std::string word = replaced(words[i], "runs/mine", output());
      word = replaced(word, "models/SmolLM2-135M-Instruct.Q4_1.gguf", model());
      arguments.push_back(word.starts_with("everyday.") ? path(word) : word);
    }
    if (tool == "cpx-train") arguments.push_back("model.path=" + model());
    const ToolResult result = run_tool(tool, arguments);
    EXPECT_EQ(result.exit_code, 0) << command << "\n" << result.err;
  }
}

}  // namespace readme_test
}  // namespace cpx::tests
