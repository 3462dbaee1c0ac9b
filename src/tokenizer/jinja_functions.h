// SPDX-License-Identifier: Apache-2.0
// The functions that every template sees, filters, tests, and objects.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "jinja_context.h"
#include "jinja_value.h"

namespace cpx::tokenizer::jinja {

/// range, dict, namespace, cycler, joiner, and transformers' raise_exception and strftime_now.
std::map<std::string, Value> global_functions();

/// value | name(arguments); throws for a filter that is not known.
Value apply_filter(Context& context, const std::string& name, const Value& value,
                   const Arguments& arguments);

/// value is name(arguments); throws for a test that is not known.
bool apply_test(Context& context, const std::string& name, const Value& value,
                const Arguments& arguments);

bool is_known_filter(const std::string& name);
bool is_known_test(const std::string& name);

/// As transformers' filter tojson: json.dumps with its options.
Value to_json(Context& context, const Value& value, const Arguments& arguments);

/// A function that a value can be.
Value make_function(std::string description,
                    std::function<Value(Context&, const Arguments&)> function);

/// {% set space.name = value %}: throws for anything but a namespace.
void set_member(Context& context, const Value& space, const std::string& name, Value value);

}  // namespace cpx::tokenizer::jinja
