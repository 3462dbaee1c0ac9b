// SPDX-License-Identifier: Apache-2.0
// What the readers of prompts and of continuations have in common.
#pragma once

#include <optional>
#include <string>

#include "cpx/core/json.h"

namespace cpx::pipeline {

/// The text under `prompt` of an object, or under `text` of the object there
/// (RealToxicityPrompts); nothing where there is no `prompt`.
std::optional<JsonValue> prompt_value(const JsonValue& object);

/// The `group` of an object (a text or a number) by its usual name; empty where it has none.
std::string group_of_object(const JsonValue& object);

/// "a.jsonl: record 3, line 3".
std::string place_without_brackets(const JsonValue& value);

}  // namespace cpx::pipeline
