// SPDX-License-Identifier: Apache-2.0
#include "jinja_methods.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>

#include "cpx/core/utf8.h"
#include "json_node.h"
#include "regex.h"

namespace cpx::tokenizer::jinja {

namespace {

// What Python's str.strip() removes: White_Space and the separators 0x1C to 0x1F.
bool is_stripped(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

std::string strip(std::string_view text, bool strips_left, bool strips_right) {
  size_t begin = text.size();
  size_t end = 0;
  for (size_t position = 0; position < text.size();) {
    const auto character = decode_utf8(text, position);
    const size_t next = position + character.length;
    if (!is_stripped(character.code_point)) {
      begin = std::min(begin, position);
      end = next;
    }
    position = next;
  }
  if (!strips_left) begin = 0;
  if (!strips_right) end = text.size();
  return begin < end ? std::string(text.substr(begin, end - begin)) : "";
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

std::string change_case(const std::string& text, int (*change)(int)) {
  if (!is_ascii(text)) fail("it changes the case of a text that is not ASCII");
  std::string result = text;
  for (auto& c : result) c = static_cast<char>(change(c));
  return result;
}

std::string capitalize(const std::string& text) {
  std::string result = change_case(text, std::tolower);
  if (!result.empty()) result[0] = static_cast<char>(std::toupper(result[0]));
  return result;
}

const std::string& text_argument(const std::vector<Value>& arguments, size_t index) {
  const auto* text = index < arguments.size() ? arguments[index].as<std::string>() : nullptr;
  if (text == nullptr) fail("a function lacks a text");
  return *text;
}

std::string replace_all(const std::string& text, const std::string& from, const std::string& to) {
  if (from.empty()) fail("it replaces an empty text");
  std::string result;
  size_t position = 0;
  for (size_t found; (found = text.find(from, position)) != std::string::npos;) {
    result += text.substr(position, found - position) + to;
    position = found + from.size();
  }
  return result + text.substr(position);
}

Value split(const std::string& text, const std::string& separator) {
  if (separator.empty()) fail("it splits at an empty text");
  auto parts = std::make_shared<std::vector<Value>>();
  size_t position = 0;
  for (size_t found; (found = text.find(separator, position)) != std::string::npos;) {
    parts->push_back({text.substr(position, found - position)});
    position = found + separator.size();
  }
  parts->push_back({text.substr(position)});
  return {parts};
}

bool contains(const Value& container, const Value& element) {
  if (const auto* text = container.as<std::string>()) {
    const auto* part = element.as<std::string>();
    if (part == nullptr) fail("'in' looks for " + type_name(element) + " in a text");
    return text->find(*part) != std::string::npos;
  }
  if (const auto* list = container.as<List>()) {
    return std::any_of((*list)->begin(), (*list)->end(),
                       [&](const Value& value) { return are_equal(value, element); });
  }
  const auto* dict = container.as<Dict>();
  const auto* key = element.as<std::string>();
  if (dict == nullptr || key == nullptr) fail("'in' looks into " + type_name(container));
  return (*dict)->contains(*key);
}

template <class T>
bool is_ordered(const std::string& name, const T& left, const T& right) {
  if (name == "<") return left < right;
  if (name == ">") return left > right;
  return name == "<=" ? left <= right : left >= right;
}

int64_t length(const Value& value) {
  if (const auto* list = value.as<List>()) return static_cast<int64_t>((*list)->size());
  if (const auto* dict = value.as<Dict>()) return static_cast<int64_t>((*dict)->size());
  const auto* text = value.as<std::string>();
  if (text == nullptr) fail("it asks for the length of " + type_name(value));
  return std::count_if(text->begin(), text->end(), [](char c) { return (c & 0xC0) != 0x80; });
}

Value calculate(char symbol, int64_t left, int64_t right) {
  int64_t result = 0;
  bool overflows = false;
  if (symbol == '+') overflows = __builtin_add_overflow(left, right, &result);
  if (symbol == '-') overflows = __builtin_sub_overflow(left, right, &result);
  if (symbol == '*') overflows = __builtin_mul_overflow(left, right, &result);
  if (symbol == '/' || symbol == '%') {
    if (right == 0 || right == -1) fail("it divides by 0 or -1");
    const int64_t remainder = left % right;
    const bool is_below = remainder != 0 && (remainder < 0) != (right < 0);  // rounds down
    result = symbol == '%' ? remainder + (is_below ? right : 0) : left / right - (is_below ? 1 : 0);
  }
  if (overflows) fail("a number is too large");
  return {result};
}

bool passes(const std::string& name, const Value& value, const std::vector<Value>& arguments) {
  const bool compares = name == "equalto" || name == "eq" || name == "==";
  if (!compares) return test(name, value);
  if (arguments.size() != 3) fail("the test 'equalto' lacks a value");
  return are_equal(value, arguments[2]);
}

// selectattr(name, test, value) and its opposite.
Value filter_members(const Value& value, const std::vector<Value>& arguments, bool keeps) {
  const auto* list = value.as<List>();
  if (list == nullptr) fail("it filters " + type_name(value));
  const Value key{text_argument(arguments, 0)};
  auto kept = std::make_shared<std::vector<Value>>();
  for (const auto& element : **list) {
    const Value member = subscript(element, key);
    const bool is_passed = arguments.size() == 1
                               ? is_true(member)
                               : passes(text_argument(arguments, 1), member, arguments);
    if (is_passed == keeps) kept->push_back(element);
  }
  return {kept};
}

// The index that a limit of a slice means for `size` elements.
size_t limit(const Value& value, int64_t fallback, int64_t size) {
  if (value.is_undefined() || value.as<None>() != nullptr) return static_cast<size_t>(fallback);
  const auto* number = value.as<int64_t>();
  if (number == nullptr) fail("a slice has the limit " + type_name(value));
  const int64_t index = *number < 0 ? *number + size : *number;
  return static_cast<size_t>(std::clamp<int64_t>(index, 0, size));
}

}  // namespace

std::vector<Value> evaluate_all(const std::vector<Expression>& expressions, const Scope& scope) {
  std::vector<Value> values;
  values.reserve(expressions.size());
  for (const auto& expression : expressions) values.push_back(expression(scope));
  return values;
}

bool compare(const std::string& name, const Value& left, const Value& right) {
  if (name == "==") return are_equal(left, right);
  if (name == "!=") return !are_equal(left, right);
  if (name == "in") return contains(right, left);
  if (name == "not in") return !contains(right, left);
  const auto* left_number = left.as<int64_t>();
  const auto* right_number = right.as<int64_t>();
  if (left_number != nullptr && right_number != nullptr) {
    return is_ordered(name, *left_number, *right_number);
  }
  fail(fmt::format("it orders {} and {}", type_name(left), type_name(right)));
}

Value combine(char symbol, const Value& left, const Value& right) {
  if (symbol == '~') return {to_text(left) + to_text(right)};
  const auto* left_number = left.as<int64_t>();
  const auto* right_number = right.as<int64_t>();
  if (left_number != nullptr && right_number != nullptr) {
    return calculate(symbol, *left_number, *right_number);
  }
  const auto* left_text = left.as<std::string>();
  const auto* right_text = right.as<std::string>();
  if (symbol == '+' && left_text != nullptr && right_text != nullptr) {
    return {*left_text + *right_text};
  }
  const auto* left_list = left.as<List>();
  const auto* right_list = right.as<List>();
  if (symbol == '+' && left_list != nullptr && right_list != nullptr) {
    auto joined = std::make_shared<std::vector<Value>>(**left_list);
    joined->insert(joined->end(), (*right_list)->begin(), (*right_list)->end());
    return {joined};
  }
  fail(fmt::format("'{}' joins {} and {}", symbol, type_name(left), type_name(right)));
}

Value subscript(const Value& value, const Value& index) {
  if (const auto* dict = value.as<Dict>()) {
    const auto* key = index.as<std::string>();
    const auto found = key == nullptr ? (*dict)->end() : (*dict)->find(*key);
    return found == (*dict)->end() ? Value{} : found->second;
  }
  if (value.is_undefined() || value.as<None>() != nullptr) {
    fail(fmt::format("it asks {} for a member", type_name(value)));
  }
  const auto* list = value.as<List>();
  const auto* number = index.as<int64_t>();
  if (list == nullptr || number == nullptr) return {};
  const auto size = static_cast<int64_t>((*list)->size());
  const int64_t position = *number < 0 ? *number + size : *number;
  if (position < 0 || position >= size) return {};
  return (**list)[static_cast<size_t>(position)];
}

Value slice(const Value& value, const Value& begin, const Value& end) {
  const auto* list = value.as<List>();
  const auto* text = value.as<std::string>();
  if (list == nullptr && (text == nullptr || !is_ascii(*text))) {
    fail("it cuts " + type_name(value));
  }
  const int64_t size = length(value);
  const size_t from = limit(begin, 0, size);
  const size_t to = std::max(from, limit(end, size, size));
  if (text != nullptr) return {text->substr(from, to - from)};
  const auto first = (*list)->begin();
  return {std::make_shared<std::vector<Value>>(first + static_cast<ptrdiff_t>(from),
                                               first + static_cast<ptrdiff_t>(to))};
}

Value apply_filter(const std::string& name, const Value& value,
                   const std::vector<Value>& arguments) {
  if (name == "length" || name == "count") return {length(value)};
  if (name == "default" || name == "d") {
    if (!value.is_undefined()) return value;
    return arguments.empty() ? Value{std::string()} : arguments[0];
  }
  if (name == "trim") return {strip(to_text(value), true, true)};
  if (name == "string") return {to_text(value)};
  if (name == "upper") return {change_case(to_text(value), std::toupper)};
  if (name == "lower") return {change_case(to_text(value), std::tolower)};
  if (name == "capitalize") return {capitalize(to_text(value))};
  if (name == "selectattr") return filter_members(value, arguments, /*keeps=*/true);
  if (name == "rejectattr") return filter_members(value, arguments, /*keeps=*/false);
  if (name == "list" && value.as<List>() != nullptr) return value;
  if (name == "first") return subscript(value, {int64_t{0}});
  if (name == "last") return subscript(value, {int64_t{-1}});
  fail("it uses the filter " + in_quotes(name));
}

bool test(const std::string& name, const Value& value) {
  const bool is_sequence = value.as<List>() != nullptr || value.as<Dict>() != nullptr ||
                           value.as<std::string>() != nullptr;
  if (name == "defined") return !value.is_undefined();
  if (name == "undefined") return value.is_undefined();
  if (name == "none") return value.as<None>() != nullptr;
  if (name == "string") return value.as<std::string>() != nullptr;
  if (name == "mapping") return value.as<Dict>() != nullptr;
  if (name == "iterable" || name == "sequence") return is_sequence;
  if (name == "number" || name == "integer") return value.as<int64_t>() != nullptr;
  if (name == "boolean") return value.as<bool>() != nullptr;
  if (name == "true") return value.as<bool>() != nullptr && is_true(value);
  if (name == "false") return value.as<bool>() != nullptr && !is_true(value);
  fail("it uses the test " + in_quotes(name));
}

Value call_method(const std::string& name, const Value& value,
                  const std::vector<Value>& arguments) {
  const auto* text = value.as<std::string>();
  if (text == nullptr) {
    fail(fmt::format("it calls {} of {}", in_quotes(name), type_name(value)));
  }
  const bool is_strip = name == "strip" || name == "lstrip" || name == "rstrip";
  if (is_strip && arguments.empty()) return {strip(*text, name != "rstrip", name != "lstrip")};
  if (name == "upper") return {change_case(*text, std::toupper)};
  if (name == "lower") return {change_case(*text, std::tolower)};
  if (name == "capitalize") return {capitalize(*text)};
  if (name == "startswith") return {text->starts_with(text_argument(arguments, 0))};
  if (name == "endswith") return {text->ends_with(text_argument(arguments, 0))};
  if (name == "split" && arguments.size() == 1) return split(*text, text_argument(arguments, 0));
  if (name == "replace" && arguments.size() == 2) {
    return {replace_all(*text, text_argument(arguments, 0), text_argument(arguments, 1))};
  }
  fail("it calls the method " + in_quotes(name));
}

Value call(const std::string& name, const std::vector<Value>& arguments) {
  if (name == "raise_exception") {
    throw_<DataError>("[render_chat] the model's chat template refuses this conversation: {}",
                      text_argument(arguments, 0));
  }
  fail("it calls the function " + in_quotes(name));
}

}  // namespace cpx::tokenizer::jinja
