// SPDX-License-Identifier: Apache-2.0
// Numbers as the bytes that files hold.
#pragma once

#include <string>

namespace cpx::formats {

/// Returns `value` as it lies in memory.
template <class T>
std::string raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

}  // namespace cpx::formats
