// SPDX-License-Identifier: Apache-2.0
// The kinds of errors that cpx throws, and the one way to format and throw them.
// Wording: "[where] what is wrong: got X, expected Y (from Z). Hint."
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace cpx {

/// A file, its format or its content is not what was expected.
class DataError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// One thing that is wrong; `Faults` (core/faults.h) collects them.
struct Fault {
  std::string where = {};  // the file and line, or the flag; empty: `message` begins with it
  std::string key = {};    // of a config ("adapter.rank"), or the flag; empty: it is about no key
  std::string message = {};

  /// The line for the user: "[where] key: message", without what is empty.
  std::string text() const;
};

/// The configuration or the command line is wrong; carries all faults at once, one line each.
class ConfigError : public std::runtime_error {
 public:
  explicit ConfigError(std::vector<Fault> faults);
  explicit ConfigError(const std::string& line)
      : ConfigError(std::vector<Fault>{{.message = line}}) {}

  /// Never empty.
  const std::vector<Fault>& faults() const { return faults_; }

 private:
  std::vector<Fault> faults_;
};

/// Formats the message and throws it as an `E`.
template <class E, class... Args>
[[noreturn]] void throw_(fmt::format_string<Args...> format, Args&&... args) {
  throw E(fmt::format(format, std::forward<Args>(args)...));
}

/// Text of the system error `code` (errno), for example "No such file or directory".
std::string system_error_text(int code);

}  // namespace cpx

/// Throws std::invalid_argument with a formatted message unless `condition` holds.
#define CPX_CHECK(condition, ...)                        \
  do {                                                   \
    if (!(condition)) {                                  \
      ::cpx::throw_<std::invalid_argument>(__VA_ARGS__); \
    }                                                    \
  } while (false)
