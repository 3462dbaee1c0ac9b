// SPDX-License-Identifier: Apache-2.0
// Options of objectives in the names of tests.
#pragma once

#include <ostream>

namespace cpx::objectives {

/// Prints a choice by the name that configs give it.
template <class E>
requires requires(E choice) { enum_names(choice); }
std::ostream& operator<<(std::ostream& out, E choice) {
  return out << enum_names(choice)[static_cast<size_t>(choice)];
}

}  // namespace cpx::objectives
