// SPDX-License-Identifier: Apache-2.0
// JSON as the values of a template.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "jinja_value.h"

namespace cpx::tokenizer::jinja {

/// The members of a JSON object by name; throws DataError for anything else.
std::map<std::string, Value> read_json_members(std::string_view json);

}  // namespace cpx::tokenizer::jinja
