// SPDX-License-Identifier: Apache-2.0
// The roles of the items of the transfer and cycle objectives. `data` makes the items and
// `objectives` reads their roles, so both modules share this header.
#pragma once

#include <string_view>

namespace cpx {

/// Concatenations of two texts of a contrast group; the input is what the published script calls
/// the reference.
enum class TransferRole { kPositiveInput, kNegativeInput, kInputNegative };

/// Instruction pairs and plain texts of a contrast group.
enum class CycleRole {
  kDetoxify,  // asked to reword a negative without toxic words: a positive
  kToxify,    // asked to reword a positive in a toxic way: a negative
  kPositive,
  kNegative,
  kCycle,  // back from kDetoxify: the same two texts, asked the other way round
};

/// "positive_input", "negative_input" or "input_negative".
constexpr std::string_view role_name(TransferRole role) {
  switch (role) {
    case TransferRole::kPositiveInput:
      return "positive_input";
    case TransferRole::kNegativeInput:
      return "negative_input";
    case TransferRole::kInputNegative:
      return "input_negative";
  }
  return "unknown";
}

/// "detoxify", "toxify", "positive", "negative" or "cycle".
constexpr std::string_view role_name(CycleRole role) {
  switch (role) {
    case CycleRole::kDetoxify:
      return "detoxify";
    case CycleRole::kToxify:
      return "toxify";
    case CycleRole::kPositive:
      return "positive";
    case CycleRole::kNegative:
      return "negative";
    case CycleRole::kCycle:
      return "cycle";
  }
  return "unknown";
}

}  // namespace cpx
