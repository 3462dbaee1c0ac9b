// SPDX-License-Identifier: Apache-2.0
#include "evaluation_json.h"

#include "cpx/pipeline/prompt_file.h"

namespace cpx::pipeline {

std::optional<JsonValue> prompt_value(const JsonValue& object) {
  if (!object.is_object()) object.fail("a text, or an object with one");
  const auto prompt = object.find("prompt");
  return prompt && prompt->is_object() ? std::optional(prompt->at("text")) : prompt;
}

std::string group_of_object(const JsonValue& object) {
  const auto group = object.find("group");
  if (!group) return {};
  return normalize_group(group->is_number() ? group->digits() : group->text_view());
}

std::string place_without_brackets(const JsonValue& value) {
  std::string place = value.place();
  if (place.starts_with('[')) place.erase(0, 1);
  if (place.ends_with(']')) place.pop_back();
  return place;
}

}  // namespace cpx::pipeline
