// SPDX-License-Identifier: Apache-2.0
// Texts of templates in messages.
#pragma once

#include <string>
#include <string_view>

#include "cpx/core/text.h"

namespace cpx::tokenizer {

/// `text` in single quotes, as core shows it.
inline std::string in_quotes(std::string_view text) { return quote(text); }

}  // namespace cpx::tokenizer
