// SPDX-License-Identifier: Apache-2.0
// The part a text plays in its contrast group; shared by data (which draws it) and objectives.
#pragma once

#include <string_view>

namespace cpx {

enum class TextRole {
  kInput,
  kPositive,
  kHardNegative,
  kRandomNegative,
  kComposed,  // put together from several texts: on neither side
};

/// "input", "positive", "hard_negative", "random_negative" or "composed".
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
    case TextRole::kComposed:
      return "composed";
  }
  return "unknown";
}

}  // namespace cpx
