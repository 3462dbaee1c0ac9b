// SPDX-License-Identifier: Apache-2.0
// Source: Python's json.dumps, and the filter tojson of transformers' chat_template_utils.py.
#include "jinja_json.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "cpx/core/utf8.h"
#include "jinja_arguments.h"
#include "jinja_functions.h"
#include "jinja_operators.h"

namespace cpx::tokenizer::jinja {

namespace {

struct JsonStyle {
  bool is_ascii = false;
  bool has_indent = false;
  std::string indent = {};
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sorts_keys = false;
};

void append_json_character(std::string& json, char32_t c, bool is_ascii) {
  constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b";
  constexpr std::string_view kLetters = "\"\\nrtfb";
  const size_t place = c < 0x80 ? kEscaped.find(static_cast<char>(c)) : std::string_view::npos;
  if (place != std::string_view::npos) {
    json += {'\\', kLetters[place]};
  } else if (c >= 0x20 && (c < 0x7F || !is_ascii)) {
    append_utf8(json, c);
  } else if (c < 0x10000) {
    json += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
  } else {
    const auto rest = static_cast<uint32_t>(c) - 0x10000;
    json += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
  }
}

std::string json_text(std::string_view text, bool is_ascii) {
  std::string json = "\"";
  for (size_t position = 0; position < text.size();) {
    const auto character = decode_utf8(text, position);
    append_json_character(json, character.code_point, is_ascii);
    position += character.length;
  }
  return json + '"';
}

std::string json_number(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
  return float_text(number);
}

// Writes values as json.dumps does.
class JsonWriter {
 public:
  JsonWriter(Context& context, const JsonStyle& style) : context_(context), style_(style) {}

  std::string write(const Value& value) {
    append(value, 0);
    return std::move(json_);
  }

 private:
  void append(const Value& value, int level) {
    const Context::DepthGuard guard(context_);
    context_.step();
    if (const auto* text = value.text()) {
      json_ += json_text(*text, style_.is_ascii);
    } else if (value.is_none()) {
      json_ += "null";
    } else if (const auto* flag = value.as<bool>()) {
      json_ += *flag ? "true" : "false";
    } else if (const auto* number = value.as<int64_t>()) {
      json_ += std::to_string(*number);
    } else if (const auto* real = value.as<double>()) {
      json_ += json_number(*real);
    } else if (const auto* list = value.as<SequenceRef>()) {
      append_list(**list, level);
    } else if (const auto* dict = value.as<DictRef>()) {
      append_dict(**dict, level);
    } else {
      if (const auto* undefined = value.as<Undefined>()) {
        fail("the filter 'tojson' is put on an undefined value: " +
             (undefined->reason != nullptr ? *undefined->reason : std::string("it has no name")));
      }
      fail("the filter 'tojson' is put on a value of the type " + type_name(value));
    }
    context_.check_size(json_.size());
  }

  void begin_line(int level) {
    if (!style_.has_indent) return;
    json_ += '\n';
    for (int i = 0; i < level; ++i) json_ += style_.indent;
  }

  void append_list(const Sequence& list, int level) {
    if (list.kind != Sequence::Kind::kList && list.kind != Sequence::Kind::kTuple) {
      fail("the filter 'tojson' is put on a value of the type " +
           type_name({std::make_shared<const Sequence>(Sequence{.kind = list.kind})}));
    }
    json_ += '[';
    bool is_first = true;
    for (const auto& element : list.elements) {
      if (!is_first) json_ += style_.item_separator;
      is_first = false;
      begin_line(level + 1);
      append(element, level + 1);
    }
    if (!is_first) begin_line(level);
    json_ += ']';
  }

  void append_dict(const Dict& dict, int level) {
    Dict::Entries entries = dict.entries();
    if (style_.sorts_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto& left, const auto& right) {
        return is_less(context_, left.first, right.first);
      });
    }
    json_ += '{';
    bool is_first = true;
    for (const auto& [key, value] : entries) {
      if (!is_first) json_ += style_.item_separator;
      is_first = false;
      begin_line(level + 1);
      json_ += json_text(key_text(key), style_.is_ascii) + style_.key_separator;
      append(value, level + 1);
    }
    if (!is_first) begin_line(level);
    json_ += '}';
  }

  static std::string key_text(const Value& key) {
    if (const auto* text = key.text()) return *text;
    if (key.is_none()) return "null";
    if (const auto* flag = key.as<bool>()) return *flag ? "true" : "false";
    if (const auto* number = key.as<int64_t>()) return std::to_string(*number);
    if (const auto* real = key.as<double>()) return json_number(*real);
    fail("the filter 'tojson' meets a key of the type " + type_name(key));
  }

  Context& context_;
  const JsonStyle& style_;
  std::string json_;
};

std::string indent_text(Context& context, const Value& indent) {
  if (const auto* text = indent.text()) return *text;
  const int64_t width = to_integer(indent, "the argument 'indent' of the filter 'tojson'");
  context.check_size(static_cast<uint64_t>(std::max<int64_t>(width, 0)));
  return std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
}

JsonStyle json_style(Context& context, const BoundArguments& given) {
  JsonStyle style{.is_ascii = given.is_true_or(0, false), .sorts_keys = given.is_true_or(3, false)};
  style.has_indent = given.find(1) != nullptr && !given.find(1)->is_none();
  if (style.has_indent) {
    style.indent = indent_text(context, *given.find(1));
    style.item_separator = ",";
  }
  if (given.find(2) == nullptr || given.find(2)->is_none()) return style;
  const Values separators = elements_of(context, *given.find(2));
  if (separators.size() != 2 || separators[0].text() == nullptr ||
      separators[1].text() == nullptr) {
    fail("the argument 'separators' of the filter 'tojson' is not a pair of str");
  }
  style.item_separator = *separators[0].text();
  style.key_separator = *separators[1].text();
  return style;
}

constexpr int kMaxJsonNesting = 90;  // below what a value may nest

Value value_of_json(const nlohmann::ordered_json& json, int depth) {
  if (depth > kMaxJsonNesting) {
    throw_<DataError>("[render_chat] a message or tool nests more than {} levels deep.",
                      kMaxJsonNesting);
  }
  if (json.is_string()) return make_text(json.get<std::string>());
  if (json.is_boolean()) return {json.get<bool>()};
  if (json.is_number_float()) return {json.get<double>()};
  if (json.is_number_unsigned() &&
      json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    throw_<DataError>("[render_chat] a message or tool has the number {}, expected at most {}.",
                      json.get<uint64_t>(), std::numeric_limits<int64_t>::max());
  }
  if (json.is_number_integer()) return {json.get<int64_t>()};
  if (json.is_array()) {
    Values elements;
    for (const auto& element : json) elements.push_back(value_of_json(element, depth + 1));
    return make_list(std::move(elements));
  }
  if (!json.is_object()) return {None{}};
  auto dict = std::make_shared<Dict>();
  for (const auto& [key, value] : json.items()) {
    dict->set(make_text(key), value_of_json(value, depth + 1));
  }
  return {DictRef(std::move(dict))};
}

}  // namespace

Value to_json(Context& context, const Value& value, const Arguments& arguments) {
  const BoundArguments given("the filter 'tojson'",
                             {"ensure_ascii", "indent", "separators", "sort_keys"}, arguments);
  std::string json = JsonWriter(context, json_style(context, given)).write(value);
  context.spend(json.size());
  return make_text(std::move(json));
}

std::map<std::string, Value> read_json_members(std::string_view json) {
  const auto parsed = nlohmann::ordered_json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) {
    throw_<DataError>("[render_chat] the variables of a template are not a JSON object.");
  }
  std::map<std::string, Value> members;
  for (const auto& [name, value] : parsed.items()) members[name] = value_of_json(value, 1);
  return members;
}

}  // namespace cpx::tokenizer::jinja
