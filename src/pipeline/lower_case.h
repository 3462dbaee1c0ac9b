// SPDX-License-Identifier: Apache-2.0
// Lower case of UTF-8 texts.
#pragma once

#include <string>
#include <string_view>

namespace cpx::pipeline {

/// `text` with each character in its simple lower case (one character for one, by the C.UTF-8
/// locale's table; Python's lower() differs for the dotted capital I and a final capital sigma).
/// Invalid bytes stay as they are. Throws DataError where the system has no C.UTF-8.
std::string lower_case(std::string_view text);

}  // namespace cpx::pipeline
