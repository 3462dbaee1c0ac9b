// SPDX-License-Identifier: Apache-2.0
// Checks of flags: their ranges, and those that were given and change nothing.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include <CLI/CLI.hpp>

#include "cpx/core/faults.h"

namespace cpx::tools {

/// Tells flags without effect beside others: as faults where they are surely a mistake, else as
/// warnings. Flags that were not given are never told.
class FlagEffects {
 public:
  FlagEffects(const CLI::App& app, Faults& faults) : app_(app), faults_(faults) {}

  bool is_given(const char* flag) const { return app_.count(flag) > 0; }

  /// "[command line] FLAG: has no effect REASON. Leave it out."
  void refuse(std::initializer_list<const char*> flags, std::string_view reason);
  /// The same as a warning.
  void warn(std::initializer_list<const char*> flags, std::string_view reason) const;

 private:
  const CLI::App& app_;
  Faults& faults_;
};

/// Adds a fault if the value of `flag` is below `least`.
void check_at_least(std::string_view flag, int64_t value, int64_t least, Faults& faults);

}  // namespace cpx::tools
