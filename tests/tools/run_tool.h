// SPDX-License-Identifier: Apache-2.0
// Runs a built tool as its user would and takes in what it says.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cpx::tests {

struct ToolResult {
  int exit_code = -1;  // 128 + signal where one ended it
  std::string out;     // standard output
  std::string err;     // standard error
};

/// What a tool finds when it starts.
struct ToolSetting {
  int64_t file_bytes = 0;                     // RLIMIT_FSIZE; 0: as here
  std::vector<std::string> environment = {};  // "NAME=value"
  std::string input_file = {};                // standard input; empty: as here
  std::string folder = {};                    // working folder; empty: the source folder
  std::string output_file = {};               // standard output in place of ToolResult::out
  bool output_is_closed = false;              // standard output is a pipe that nobody reads
  bool ignores_sigpipe = false;
};

/// The folder of the tools under test: CPX_TOOLS_DIR where it is set, so that the tests of one
/// build can be run against the tools of another, else bin/ of this build.
std::string tools_folder();

/// Runs the tool `name` (or, with a '/', that program) with `arguments` and waits for its end.
ToolResult run_tool(const std::string& name, const std::vector<std::string>& arguments,
                    const ToolSetting& setting = {});

/// A tool that runs in the background.
class BackgroundTool {
 public:
  BackgroundTool(const std::string& name, const std::vector<std::string>& arguments,
                 const ToolSetting& setting = {});
  pid_t pid() const { return pid_; }
  /// Sends `signal`, unless the tool has ended.
  void send(int signal);
  /// Waits until `condition` holds; false where the tool has ended before.
  bool runs_until(const std::function<bool()>& condition) const;
  /// Waits for its end.
  ToolResult wait();

 private:
  pid_t pid_;
  std::string out_path_;
  std::string err_path_;
};

/// Number of lines of a text.
size_t num_lines(const std::string& text);

/// The last line of what a tool said on standard error: the error, behind its log.
std::string last_line(const ToolResult& result);

}  // namespace cpx::tests
