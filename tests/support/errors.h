// SPDX-License-Identifier: Apache-2.0
// What a call that must fail says.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "cpx/core/error.h"
#include "cpx/core/faults.h"

namespace cpx::testing_support {

/// What message_of() returns where `call` throws no E: a text that no error has.
inline constexpr const char* kNothingThrown = "(nothing was thrown)";

/// The message of the E that `call` throws, or kNothingThrown. Exceptions of other kinds go
/// through, and fail the test.
template <class E, class Call>
std::string message_of(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const E& error) {
    return error.what();
  }
  return kNothingThrown;
}

/// The lines of all faults of the ConfigError that `call` throws; empty where it throws none.
template <class Call>
std::vector<std::string> faults_of(Call&& call) {
  Faults faults;
  try {
    std::forward<Call>(call)();
  } catch (const ConfigError& error) {
    faults.append(error.faults());
  }
  return faults.texts();
}

/// An input with a fault and the message that it gets: a row of a table of tests.
template <class Input>
struct BadInput {
  std::string name;
  Input input;
  std::string message;

  friend void PrintTo(const BadInput& one, std::ostream* out) { *out << one.name; }
};

/// A call that must fail, and its message.
using Mistake = BadInput<std::function<void()>>;

}  // namespace cpx::testing_support
