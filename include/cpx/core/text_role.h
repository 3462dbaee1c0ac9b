// SPDX-License-Identifier: Apache-2.0
// The role of a text in its contrast group. `data` draws it and `objectives` reads it, so both
// modules share this header.
#pragma once

#include <string_view>

namespace cpx {

enum class TextRole {
  kInput,
  kPositive,
  kHardNegative,
  kRandomNegative,
  kComposed,  // made of several texts; on neither side of the contrast
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
