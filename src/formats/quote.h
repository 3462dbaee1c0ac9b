// SPDX-License-Identifier: Apache-2.0
// Texts from files in messages: always one readable line.
#pragma once

#include <string>
#include <string_view>

namespace cpx::formats {

/// `text` in single quotes; what is not printable ASCII becomes \xNN, a long text is shortened.
std::string quote(std::string_view text);

/// As quote(), without the quotes.
std::string printable(std::string_view text);

}  // namespace cpx::formats
