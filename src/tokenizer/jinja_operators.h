// SPDX-License-Identifier: Apache-2.0
// What operators, members, indexes and loops of a template do to values.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "jinja_context.h"
#include "jinja_value.h"

namespace cpx::tokenizer::jinja {

/// + - * / // % **; throws for types that Python refuses.
Value combine(Context& context, const std::string& symbol, const Value& left, const Value& right);

/// -value (or +value).
Value negate(const Value& value, bool is_minus);

/// ==, !=, <, >, <=, >=, in, not in.
bool compare(Context& context, const std::string& symbol, const Value& left, const Value& right);

/// value.name: an attribute, else an element; undefined where there is neither.
Value get_attribute(Context& context, const Value& value, const std::string& name);

/// value[index]: an element, else an attribute; undefined where there is neither.
Value get_item(Context& context, const Value& value, const Value& index);

/// value[begin:end:step]; what is none is left out.
Value slice(Context& context, const Value& value, const Value& begin, const Value& end,
            const Value& step);

/// value(arguments).
Value call(Context& context, const Value& value, const Arguments& arguments);

using Iterator = std::function<std::optional<Value>()>;

/// The elements of a value one by one; throws for what cannot be looped over.
Iterator iterate(Context& context, const Value& value);

/// All of them.
Values elements_of(Context& context, const Value& value);

/// As len(value).
int64_t length_of(const Value& value);

/// As int(value) of a number, for arguments; `what` names it in the message.
int64_t to_integer(const Value& value, const std::string& what);

/// A number (a bool is one) as a double, or nothing.
std::optional<double> to_double(const Value& value);

}  // namespace cpx::tokenizer::jinja
