// SPDX-License-Identifier: Apache-2.0
// What a call that must fail says.
#pragma once

#include <string>
#include <utility>

namespace cpx::testing_support {

/// The message of the E that `call` throws; where it throws none, a text that no test expects.
/// Exceptions of other kinds go through, and fail the test.
template <class E, class Call>
std::string message_of(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const E& error) {
    return error.what();
  }
  return "(nothing was thrown)";
}

}  // namespace cpx::testing_support
