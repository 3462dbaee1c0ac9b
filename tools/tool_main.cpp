// SPDX-License-Identifier: Apache-2.0
#include "tool_main.h"

#include <csignal>
#include <exception>
#include <iostream>
#include <new>
#include <string_view>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/standard_output.h"
#include "cpx/core/version.h"
#include "cpx/tensor/device.h"

namespace cpx::tools {

namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

void print_error(const Tool& tool, std::string_view message) {
  // LibTorch's errors carry a backtrace behind the first line; users get the line.
  const std::string_view line = message.substr(0, message.find('\n'));
  std::cerr << fmt::format("{}: {}\n", tool.name, line) << std::flush;
}

void add_common_flags(CLI::App& app, CommonFlags& flags) {
  app.add_option("--device", flags.device, "auto, cpu, cuda or cuda:i")->capture_default_str();
  app.add_option("--threads", flags.threads, "Threads of LibTorch's operators (0: its default)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--log-level", flags.log_level, "debug, info, warning, error or off")
      ->capture_default_str();
}

// The exit code of a command line that is not to be run, or nothing.
std::optional<int> parse(const Tool& tool, CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return kDone;
  } catch (const CLI::CallForVersion&) {
    std::cout << fmt::format("{} {}\n", tool.name, version());
    return kDone;
  } catch (const CLI::ParseError& error) {
    print_error(tool, fmt::format("[command line] {}. See {} --help.", error.what(), tool.name));
    return kWrongUsage;
  }
  return std::nullopt;
}

int run(const Tool& tool, const CLI::App& app, const CommonFlags& flags) {
  set_log_level(parse_log_level(flags.log_level));
  if (tool.check_flags) tool.check_flags(app);
  tensor::set_num_threads(flags.threads);
  install_interrupt_handlers();
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error of the write then
  return tool.run(flags);
}

}  // namespace

int tool_main(const Tool& tool, int argc, char** argv) {
  reserve_standard_descriptors();
  CheckedStandardOutput standard_output;
  CLI::App app(tool.description, tool.name);
  CommonFlags flags;
  if (tool.add_flags) tool.add_flags(app);
  add_common_flags(app, flags);
  app.set_version_flag("--version", std::string(version()), "Print the version and stop");
  app.footer("Examples:\n" + tool.examples);
  app.get_formatter()->column_width(34);
  try {
    const auto code = parse(tool, app, argc, argv);
    const int result = code ? *code : run(tool, app, flags);
    standard_output.finish();
    return result;
  } catch (const ClosedPipe&) {
    return ClosedPipe::kExitCode;
  } catch (const ConfigError& error) {
    for (const Fault& fault : error.faults()) print_error(tool, fault.text());
    return kWrongUsage;
  } catch (const std::bad_alloc&) {
    print_error(tool, "[memory] the system gave no more memory. See --estimate of cpx-train.");
  } catch (const std::exception& error) {
    print_error(tool, error.what());
  }
  return kFailed;
}

}  // namespace cpx::tools
