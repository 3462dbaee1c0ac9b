// SPDX-License-Identifier: Apache-2.0
// The part a text plays in its contrast group; shared by data (which draws it) and objectives.
#pragma once

#include <string_view>

namespace cpx {

enum class TextRole { kInput, kPositive, kHardNegative, kRandomNegative };

/// "input", "positive", "hard_negative" or "random_negative".
constexpr std::string_view role_name(TextRole role) {
  switch (role) {
    case TextRole::kInput:
      return "input";
    case TextRole::kPositive:
      return "positive";
    case TextRole::kHardNegative:
      return "hard_negative";
    case TextRole::kRandomNegative:
      return "random_negative";
  }
  return "unknown";
}

}  // namespace cpx
