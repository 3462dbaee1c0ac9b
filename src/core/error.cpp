// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/error.h"

#include <system_error>

namespace cpx {

namespace {

std::string lines_of(const std::vector<Fault>& faults) {
  std::string lines;
  for (const Fault& fault : faults) lines += (lines.empty() ? "" : "\n") + fault.text();
  return lines;
}

}  // namespace

std::string Fault::text() const {
  if (where.empty()) return message;
  if (key.empty()) return fmt::format("[{}] {}", where, message);
  return fmt::format("[{}] {}: {}", where, key, message);
}

ConfigError::ConfigError(std::vector<Fault> faults)
    : std::runtime_error(lines_of(faults)), faults_(std::move(faults)) {}

std::string system_error_text(int code) { return std::generic_category().message(code); }

}  // namespace cpx
