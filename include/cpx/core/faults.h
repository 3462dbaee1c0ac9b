// SPDX-License-Identifier: Apache-2.0
// Collects what is wrong with an input, so that a user sees all of it at once.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cpx/core/error.h"

namespace cpx {

/// The faults that were found, in order.
class Faults {
 public:
  /// Adds "[where] MESSAGE".
  template <class... Args>
  void add(std::string_view where, fmt::format_string<Args...> format, Args&&... args) {
    add_at(where, /*key=*/"", format, std::forward<Args>(args)...);
  }
  /// Adds "[where] key: MESSAGE".
  template <class... Args>
  void add_at(std::string_view where, std::string_view key, fmt::format_string<Args...> format,
              Args&&... args) {
    faults_.push_back({.where = std::string(where),
                       .key = std::string(key),
                       .message = fmt::format(format, std::forward<Args>(args)...)});
  }
  /// Adds a line that names its place itself, such as the text of an error.
  void add_line(std::string line) { faults_.push_back({.message = std::move(line)}); }
  /// Adds the faults of others.
  void append(std::span<const Fault> faults);
  /// As append(), but of more than 20 only the first, and "[file] and N more faults."
  void append_file(std::string_view file, std::span<const Fault> faults);

  /// Runs `call` and returns its result (true if it has none). If it throws a DataError, adds the
  /// error's text and returns nullopt (false).
  template <class Call>
  auto collect(const Call& call) {
    using Result = std::invoke_result_t<const Call&>;
    if constexpr (std::is_void_v<Result>) {
      return collect([&] { return call(), true; }).has_value();
    } else {
      try {
        return std::optional<Result>(call());
      } catch (const DataError& error) {
        add_line(error.what());
        return std::optional<Result>();
      }
    }
  }

  /// True if nothing is wrong.
  bool empty() const { return faults_.empty(); }
  /// How many there are.
  size_t size() const { return faults_.size(); }
  /// Each Fault in order, for loops and append().
  auto begin() const { return faults_.begin(); }
  /// See begin().
  auto end() const { return faults_.end(); }
  /// True if a fault is about `key`, or about a key or an item below it.
  bool has_fault_at(std::string_view key) const;
  /// A line each, for the user.
  std::vector<std::string> texts() const;

  /// Throws ConfigError with all faults, if there are any.
  void throw_if_any() const;
  /// Throws DataError with the first fault, if there is one, and with how many follow; `hint`
  /// stands behind their number.
  void throw_first_if_any(std::string_view hint = {}) const;

 private:
  std::vector<Fault> faults_;
};

}  // namespace cpx
