// SPDX-License-Identifier: Apache-2.0
#include "run_tool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "cpx/core/output_file.h"

namespace cpx::tests {

namespace {

std::string capture_path(const std::string& what) {
  static std::atomic<int> counter{0};
  const auto name = "cpx-tool-" + std::to_string(getpid()) + "-" + std::to_string(counter++) + what;
  return (std::filesystem::temp_directory_path() / name).string();
}

void redirect(int stream, const std::string& path) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || dup2(file, stream) < 0) _exit(126);
  close(file);
}

void apply(const ToolSetting& setting) {
  if (setting.file_bytes > 0) {
    const auto bytes = static_cast<rlim_t>(setting.file_bytes);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = bytes};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(126);
  }
  for (const std::string& variable : setting.environment) {
    putenv(const_cast<char*>(variable.c_str()));
  }
  if (!setting.input_file.empty()) {
    const int file = open(setting.input_file.c_str(), O_RDONLY);
    if (file < 0 || dup2(file, STDIN_FILENO) < 0) _exit(126);
    close(file);
  }
}

void exchange_output(const ToolSetting& setting) {
  if (!setting.output_file.empty()) redirect(STDOUT_FILENO, setting.output_file);
  if (setting.output_is_closed) {
    int ends[2];
    if (pipe(ends) != 0 || dup2(ends[1], STDOUT_FILENO) < 0) _exit(126);
    close(ends[0]);
    close(ends[1]);
  }
  if (setting.ignores_sigpipe) std::signal(SIGPIPE, SIG_IGN);
}

[[noreturn]] void become(const std::string& binary, const std::vector<std::string>& arguments,
                         const std::string& out, const std::string& err,
                         const ToolSetting& setting) {
  apply(setting);
  redirect(STDOUT_FILENO, out);
  redirect(STDERR_FILENO, err);
  exchange_output(setting);
  const char* folder = setting.folder.empty() ? CPX_SOURCE_DIR : setting.folder.c_str();
  if (chdir(folder) != 0) _exit(126);
  std::vector<char*> argv = {const_cast<char*>(binary.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(binary.c_str(), argv.data());
  _exit(127);
}

std::string take_file(const std::string& path) {
  const std::string text = read_text_file(path);
  std::filesystem::remove(path);
  return text;
}

}  // namespace

std::string tools_folder() {
  const char* folder = std::getenv("CPX_TOOLS_DIR");
  return folder != nullptr ? folder : CPX_BINARY_DIR "/bin";
}

BackgroundTool::BackgroundTool(const std::string& name, const std::vector<std::string>& arguments,
                               const ToolSetting& setting)
    : out_path_(capture_path(".out")), err_path_(capture_path(".err")) {
  const bool is_path = name.find('/') != std::string::npos;
  const std::string binary = is_path ? name : tools_folder() + "/" + name;
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) become(binary, arguments, out_path_, err_path_, setting);
}

bool BackgroundTool::runs_until(const std::function<bool()>& condition) const {
  while (!condition()) {
    siginfo_t ended{};
    const int code = waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT);
    if (code != 0 || ended.si_pid != 0) return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

void BackgroundTool::send(int signal) { kill(pid_, signal); }

ToolResult BackgroundTool::wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return {code, take_file(out_path_), take_file(err_path_)};
}

ToolResult run_tool(const std::string& name, const std::vector<std::string>& arguments,
                    const ToolSetting& setting) {
  return BackgroundTool(name, arguments, setting).wait();
}

size_t num_lines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::string last_line(const ToolResult& result) {
  if (result.err.size() < 2) return result.err;
  const size_t before = result.err.rfind('\n', result.err.size() - 2);
  return before == std::string::npos ? result.err : result.err.substr(before + 1);
}

}  // namespace cpx::tests
