// SPDX-License-Identifier: Apache-2.0
// Flags that were given and change nothing are told.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace cpx::tools {

/// Tells flags without effect beside others: as faults where they are surely a mistake, else as
/// warnings. Flags that were not given are never told.
class FlagEffects {
 public:
  FlagEffects(const CLI::App& app, std::vector<std::string>& faults) : app_(app), faults_(faults) {}

  bool is_given(const char* flag) const { return app_.count(flag) > 0; }

  /// "[command line] FLAG: has no effect REASON. Leave it out."
  void refuse(std::initializer_list<const char*> flags, std::string_view reason);
  /// The same as a warning.
  void warn(std::initializer_list<const char*> flags, std::string_view reason) const;

 private:
  const CLI::App& app_;
  std::vector<std::string>& faults_;
};

}  // namespace cpx::tools
