// SPDX-License-Identifier: Apache-2.0
#include "jinja_value.h"

namespace cpx::tokenizer::jinja {

bool is_true(const Value& value) {
  if (const auto* flag = value.as<bool>()) return *flag;
  if (const auto* number = value.as<int64_t>()) return *number != 0;
  if (const auto* text = value.as<std::string>()) return !text->empty();
  if (const auto* list = value.as<List>()) return !(*list)->empty();
  if (const auto* dict = value.as<Dict>()) return !(*dict)->empty();
  return false;
}

bool are_equal(const Value& a, const Value& b) {
  if (a.data.index() != b.data.index()) return false;
  if (const auto* flag = a.as<bool>()) return *flag == *b.as<bool>();
  if (const auto* number = a.as<int64_t>()) return *number == *b.as<int64_t>();
  if (const auto* text = a.as<std::string>()) return *text == *b.as<std::string>();
  if (a.as<List>() != nullptr || a.as<Dict>() != nullptr) {
    fail(fmt::format("it compares {} with {}", type_name(a), type_name(b)));
  }
  return true;
}

std::string to_text(const Value& value) {
  if (const auto* text = value.as<std::string>()) return *text;
  if (const auto* number = value.as<int64_t>()) return std::to_string(*number);
  if (const auto* flag = value.as<bool>()) return *flag ? "True" : "False";
  if (value.as<None>() != nullptr) return "None";
  if (value.is_undefined()) return "";
  fail(fmt::format("it prints {}", type_name(value)));
}

std::string type_name(const Value& value) {
  constexpr const char* kNames[] = {
      "an undefined value", "none", "a truth value", "a number", "a text", "a list", "an object"};
  return kNames[value.data.index()];
}

void fail(const std::string& what) {
  throw_<DataError>(
      "[render_chat] the chat template cannot be rendered: {}. Give a simpler one with "
      "--template FILE.",
      what);
}

}  // namespace cpx::tokenizer::jinja
