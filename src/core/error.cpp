// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/error.h"

#include <system_error>

namespace cpx {

namespace {

std::string join_lines(const std::vector<std::string>& lines) {
  return fmt::format("{}", fmt::join(lines, "\n"));
}

}  // namespace

ConfigError::ConfigError(std::vector<std::string> faults)
    : std::runtime_error(join_lines(faults)), faults_(std::move(faults)) {}

std::string system_error_text(int code) { return std::generic_category().message(code); }

}  // namespace cpx
