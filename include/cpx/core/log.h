// SPDX-License-Identifier: Apache-2.0
// The log sink: every message of the library goes through here to standard error.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace cpx {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

/// Level of that name ("debug", "info", "warning", "error", "off"); throws ConfigError otherwise.
LogLevel parse_log_level(std::string_view name);

/// Messages below `level` are dropped; the default is kInfo.
void set_log_level(LogLevel level);

/// Writes one line to standard error, first clearing a progress line that stands there.
void log_message(LogLevel level, std::string_view text);

template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace cpx
