// SPDX-License-Identifier: Apache-2.0
// Operators, filters, tests, methods and functions of the part of Jinja that chat templates use.
// Each throws DataError on a name or on types it does not know.
#pragma once

#include <string>
#include <vector>

#include "jinja_expression.h"
#include "jinja_value.h"

namespace cpx::tokenizer::jinja {

std::vector<Value> evaluate_all(const std::vector<Expression>& expressions, const Scope& scope);

/// ==, !=, <, >, <=, >=, in, not in.
bool compare(const std::string& name, const Value& left, const Value& right);

/// + - ~ * % and / (which stands for //).
Value combine(char symbol, const Value& left, const Value& right);

/// value[index]; undefined where there is no such element.
Value subscript(const Value& value, const Value& index);

/// value[begin:end] of a list or text of ASCII; undefined limits stand for the ends.
Value slice(const Value& value, const Value& begin, const Value& end);

Value apply_filter(const std::string& name, const Value& value,
                   const std::vector<Value>& arguments);
bool test(const std::string& name, const Value& value);
Value call_method(const std::string& name, const Value& value, const std::vector<Value>& arguments);
Value call(const std::string& name, const std::vector<Value>& arguments);

}  // namespace cpx::tokenizer::jinja
