// SPDX-License-Identifier: Apache-2.0
#include "flag_effects.h"

#include "cpx/core/log.h"

namespace cpx::tools {

void FlagEffects::refuse(std::initializer_list<const char*> flags, std::string_view reason) {
  for (const char* flag : flags) {
    if (is_given(flag)) {
      faults_.add_at("command line", flag, "has no effect {}. Leave it out.", reason);
    }
  }
}

void FlagEffects::warn(std::initializer_list<const char*> flags, std::string_view reason) const {
  for (const char* flag : flags) {
    if (is_given(flag)) log_warning("[command line] {}: has no effect {}", flag, reason);
  }
}

void check_at_least(std::string_view flag, int64_t value, int64_t least, Faults& faults) {
  if (value >= least) return;
  faults.add_at("command line", flag, "got {}, expected at least {}.", value, least);
}

}  // namespace cpx::tools
