// SPDX-License-Identifier: Apache-2.0
// The methods of Python's str, dict, list and tuple that a template can call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "jinja_context.h"
#include "jinja_value.h"
#include "python_text.h"

namespace cpx::tokenizer::jinja {

/// The method `name` of a value as a function. Undefined for one that changes the value, which the
/// sandbox keeps away; nothing where Python has no such method. Methods that cpx does not know
/// throw when they are called.
std::optional<Value> find_method(const Value& value, const std::string& name);

/// What keys(), values() and items() give.
Value dict_view(const Dict& dict, Sequence::Kind kind);

/// As markupsafe.escape.
std::string escape_html(std::string_view text);

/// python_replace() within the limits.
std::string replace_checked(Context& context, std::string_view text, std::string_view part,
                            std::string_view with, int64_t most);

/// `text` filled up to `width` code points; Side::kBoth centers it.
Value pad_text(Context& context, std::string_view text, int64_t width, std::string_view filling,
               Side text_side);

}  // namespace cpx::tokenizer::jinja
