// SPDX-License-Identifier: Apache-2.0
#include "flag_effects.h"

#include <fmt/format.h>

#include "cpx/core/log.h"

namespace cpx::tools {

void FlagEffects::refuse(std::initializer_list<const char*> flags, std::string_view reason) {
  for (const char* flag : flags) {
    if (!is_given(flag)) continue;
    faults_.push_back(
        fmt::format("[command line] {}: has no effect {}. Leave it out.", flag, reason));
  }
}

void FlagEffects::warn(std::initializer_list<const char*> flags, std::string_view reason) const {
  for (const char* flag : flags) {
    if (is_given(flag)) log_warning("[command line] {}: has no effect {}", flag, reason);
  }
}

}  // namespace cpx::tools
