// SPDX-License-Identifier: Apache-2.0
// Whether a text says anything.
#pragma once

#include <string_view>

namespace cpx::data {

/// False for an empty text, or one of blanks alone.
inline bool has_text(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") != std::string_view::npos;
}

}  // namespace cpx::data
