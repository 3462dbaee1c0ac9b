// SPDX-License-Identifier: Apache-2.0
// Names for the tests of a table.
#pragma once

#include <cctype>
#include <string>
#include <string_view>
#include <type_traits>

#include <gtest/gtest.h>

namespace cpx::testing_support {

/// Returns a name that gtest takes: the letters and digits of `text`, "_" for what is between them.
inline std::string test_name(std::string_view text) {
  std::string name;
  bool is_between = false;
  for (const char letter : text) {
    const bool is_kept = std::isalnum(static_cast<unsigned char>(letter)) != 0;
    if (is_kept && is_between && !name.empty()) name += '_';
    if (is_kept) name += letter;
    is_between = !is_kept;
  }
  return name;
}

/// Names each test of a table after its row as gtest prints it, so the type of a row needs a
/// PrintTo(): `INSTANTIATE_TEST_SUITE_P(Fixtures, EveryModel, testing::Values(...), by_value)`.
inline constexpr auto by_value = [](const auto& test) {
  if constexpr (std::is_convertible_v<decltype(test.param), std::string_view>) {
    return test_name(test.param);
  } else {
    return test_name(testing::PrintToString(test.param));
  }
};

}  // namespace cpx::testing_support
