// SPDX-License-Identifier: Apache-2.0
// Python's two ways to fill texts: 'a %s' % value and 'a {}'.format(value).
#pragma once

#include <string>

#include "jinja_context.h"
#include "jinja_value.h"

namespace cpx::tokenizer::jinja {

/// text % values, where `values` is one value, a tuple or a dict.
Value format_percent(Context& context, const Value& text, const Value& values);

/// The filter `format`: text % arguments.
Value format_filter(Context& context, const Value& text, const Arguments& arguments);

/// text.format(arguments).
Value format_braces(Context& context, const std::string& text, const Arguments& arguments);

}  // namespace cpx::tokenizer::jinja
