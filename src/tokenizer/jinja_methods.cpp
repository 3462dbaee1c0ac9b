// SPDX-License-Identifier: Apache-2.0
#include "jinja_methods.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "cpx/core/utf8.h"
#include "jinja_arguments.h"
#include "jinja_functions.h"
#include "jinja_operators.h"
#include "python_format.h"

namespace cpx::tokenizer::jinja {

namespace {

// What a method of a text gets.
struct TextCall {
  Context& context;
  const std::string& name;
  const std::string& text;
  const Arguments& arguments;

  BoundArguments bind(std::vector<std::string_view> names) const {
    return {"str." + name + "()", std::move(names), arguments};
  }
};

Value list_of(Context& context, const std::vector<std::string_view>& parts) {
  Values elements;
  for (const auto part : parts) {
    context.spend(Context::kElementBytes + part.size());
    elements.push_back(make_text(std::string(part)));
  }
  return make_list(std::move(elements));
}

// The parts of a text are found before they are counted: each takes a few bytes.
void check_parts(const TextCall& call) { call.context.check_size(call.text.size() * 4); }

bool is_given(const Value* value) { return value != nullptr && !value->is_none(); }

// ---- Methods of a text --------------------------------------------------------------------------

Value strip(const TextCall& call) {
  const auto given = call.bind({"chars"});
  const Side side = call.name == "strip"    ? Side::kBoth
                    : call.name == "lstrip" ? Side::kLeft
                                            : Side::kRight;
  if (!is_given(given.find(0))) return make_text(std::string(python_strip(call.text, side)));
  return make_text(std::string(python_strip(call.text, side, given.text(0))));
}

Value change_case(const TextCall& call) {
  call.bind({});
  if (call.name == "upper") return make_text(python_upper(call.text));
  if (call.name == "title") return make_text(python_title(call.text));
  if (call.name == "capitalize") return make_text(python_capitalize(call.text));
  if (call.name == "swapcase") return make_text(python_swapcase(call.text));
  return make_text(python_lower(call.text));
}

Value split(const TextCall& call) {
  const auto given = call.bind({"sep", "maxsplit"});
  const Side from = call.name == "rsplit" ? Side::kRight : Side::kLeft;
  check_parts(call);
  const int64_t most = given.integer_or(1, -1);
  if (!is_given(given.find(0))) return list_of(call.context, python_split(call.text, most, from));
  if (given.text(0).empty()) fail("it splits at an empty text");
  return list_of(call.context, python_split(call.text, given.text(0), most, from));
}

Value split_lines(const TextCall& call) {
  const auto given = call.bind({"keepends"});
  check_parts(call);
  return list_of(call.context, python_lines(call.text, given.is_true_or(0, false)));
}

Value partition(const TextCall& call) {
  const auto given = call.bind({"sep"});
  const std::string& separator = given.text(0);
  if (separator.empty()) fail("it splits at an empty text");
  const bool is_right = call.name == "rpartition";
  const size_t found =
      is_right ? find_last_part(call.text, separator) : find_part(call.text, separator);
  Values parts(3, make_text(""));
  if (found == std::string::npos) {
    parts[is_right ? 2 : 0] = make_text(call.text);
  } else {
    parts = {make_text(call.text.substr(0, found)), make_text(separator),
             make_text(call.text.substr(found + separator.size()))};
  }
  return make_sequence(Sequence::Kind::kTuple, std::move(parts));
}

Value replace_part(const TextCall& call) {
  const auto given = call.bind({"old", "new", "count"});
  return make_text(replace_checked(call.context, call.text, given.text(0), given.text(1),
                                   given.integer_or(2, -1)));
}

// The part of the text that optional begin and end choose, and where it begins.
struct Window {
  std::string_view text;
  int64_t begin;
};

Window window_of(const std::string& text, const BoundArguments& given, size_t at) {
  if (!is_given(given.find(at)) && !is_given(given.find(at + 1))) return {text, 0};
  const int64_t size = python_length(text);
  const auto limit = [&](size_t index, int64_t fallback) {
    if (!is_given(given.find(index))) return fallback;
    const int64_t value = given.integer(index);
    return std::clamp<int64_t>(value < 0 ? std::max<int64_t>(value, -size) + size : value, 0,
                               size + 1);
  };
  const int64_t begin = limit(at, 0);
  const int64_t end = std::min(limit(at + 1, size), size);
  if (begin > end) return {std::string_view(), -1};
  return {python_substring(text, begin, end), begin};
}

// startswith and endswith: of one text or of several.
Value has_end(const TextCall& call) {
  const auto given = call.bind({"prefix", "start", "end"});
  const Window window = window_of(call.text, given, 1);
  if (window.begin < 0) return {false};
  const auto matches = [&](const Value& end) {
    const auto* text = end.text();
    if (text == nullptr) {
      fail(fmt::format("str.{}() is given a value of the type {}, expected str or a tuple of str",
                       call.name, type_name(end)));
    }
    return call.name == "startswith" ? window.text.starts_with(*text)
                                     : window.text.ends_with(*text);
  };
  const Value& ends = given.at(0);
  if (const auto* undefined = ends.as<Undefined>()) fail_undefined(*undefined);
  const auto* tuple = ends.as<SequenceRef>();
  if (tuple == nullptr || (*tuple)->kind != Sequence::Kind::kTuple) return {matches(ends)};
  return {std::ranges::any_of((*tuple)->elements, matches)};
}

Value find_place(const TextCall& call) {
  const auto given = call.bind({"sub", "start", "end"});
  const Window window = window_of(call.text, given, 1);
  const bool is_last = call.name.starts_with('r');
  const size_t found = window.begin < 0 ? std::string::npos
                       : is_last        ? find_last_part(window.text, given.text(0))
                                        : find_part(window.text, given.text(0));
  if (found != std::string::npos) {
    return {window.begin + python_length(window.text.substr(0, found))};
  }
  if (call.name.ends_with("index")) fail("str." + call.name + "(): the text is not there");
  return {int64_t{-1}};
}

Value count_parts(const TextCall& call) {
  const auto given = call.bind({"sub", "start", "end"});
  const std::string& part = given.text(0);
  const Window window = window_of(call.text, given, 1);
  if (window.begin < 0) return {int64_t{0}};
  if (part.empty()) return {python_length(window.text) + 1};
  int64_t count = 0;
  for (size_t at = 0; (at = find_part(window.text, part, at)) != std::string::npos;
       at += part.size()) {
    ++count;
  }
  return {count};
}

Value remove_end(const TextCall& call) {
  const auto given = call.bind({"affix"});
  const std::string& affix = given.text(0);
  const bool is_prefix = call.name == "removeprefix";
  const bool has_affix = is_prefix ? call.text.starts_with(affix) : call.text.ends_with(affix);
  if (!has_affix) return make_text(call.text);
  const size_t kept = call.text.size() - affix.size();
  return make_text(call.text.substr(is_prefix ? affix.size() : 0, kept));
}

Value join_all(const TextCall& call) {
  const auto given = call.bind({"iterable"});
  std::string result;
  bool is_first = true;
  const Iterator next = iterate(call.context, given.at(0));
  while (const auto element = next()) {
    const auto* text = element->text();
    if (text == nullptr) {
      fail(fmt::format("str.join() is given a value of the type {}, expected str",
                       type_name(*element)));
    }
    if (!std::exchange(is_first, false)) result += call.text;
    result += *text;
    call.context.check_size(result.size());
  }
  call.context.spend(result.size());
  return make_text(std::move(result));
}

Value pad(const TextCall& call) {
  const auto given = call.bind({"width", "fillchar"});
  const std::string filling = given.text_or(1, " ");
  if (python_length(filling) != 1) fail("str." + call.name + "(): the filling is no character");
  const Side side = call.name == "ljust"   ? Side::kLeft
                    : call.name == "rjust" ? Side::kRight
                                           : Side::kBoth;
  return pad_text(call.context, call.text, given.integer(0), filling, side);
}

Value fill_zeros(const TextCall& call) {
  const auto given = call.bind({"width"});
  const bool has_sign = call.text.starts_with('-') || call.text.starts_with('+');
  const std::string sign = call.text.substr(0, has_sign ? 1 : 0);
  const Value padded = pad_text(call.context, call.text.substr(sign.size()),
                                given.integer(0) - std::ssize(sign), "0", Side::kRight);
  return make_text(sign + *padded.text());
}

// isdigit() and its like, of ASCII.
Value has_class(const TextCall& call) {
  call.bind({});
  const auto is_ascii = [](char c) { return (c & 0x80) == 0; };
  if (call.name == "isascii") return {std::ranges::all_of(call.text, is_ascii)};
  if (!std::ranges::all_of(call.text, is_ascii)) {
    fail(fmt::format("str.{}() is called of a text that is not ASCII", call.name));
  }
  const auto all = [&](int (*is_of)(int)) {
    return Value{!call.text.empty() && std::ranges::all_of(call.text, [&](char c) {
      return is_of(static_cast<unsigned char>(c)) != 0;
    })};
  };
  if (call.name == "isalpha") return all(std::isalpha);
  if (call.name == "isalnum") return all(std::isalnum);
  if (call.name == "isspace") {
    return {!call.text.empty() && std::ranges::all_of(call.text, [](char c) {
      return is_python_space(static_cast<unsigned char>(c));
    })};
  }
  if (call.name == "islower") {
    return {call.text == python_lower(call.text) && call.text != python_upper(call.text)};
  }
  if (call.name == "isupper") {
    return {call.text == python_upper(call.text) && call.text != python_lower(call.text)};
  }
  return all(std::isdigit);  // isdigit, isdecimal and isnumeric
}

Value format(const TextCall& call) {
  return format_braces(call.context, call.text, call.arguments);
}

Value unknown_method(const TextCall& call) {
  fail(fmt::format("it calls str.{}(), which cpx does not know", call.name));
}

using TextMethod = Value (*)(const TextCall&);

TextMethod find_text_method(std::string_view name) {
  static const std::map<std::string_view, TextMethod> kMethods = {{"capitalize", change_case},
                                                                  {"center", pad},
                                                                  {"count", count_parts},
                                                                  {"endswith", has_end},
                                                                  {"find", find_place},
                                                                  {"format", format},
                                                                  {"index", find_place},
                                                                  {"isalnum", has_class},
                                                                  {"isalpha", has_class},
                                                                  {"isascii", has_class},
                                                                  {"isdecimal", has_class},
                                                                  {"isdigit", has_class},
                                                                  {"islower", has_class},
                                                                  {"isnumeric", has_class},
                                                                  {"isspace", has_class},
                                                                  {"isupper", has_class},
                                                                  {"join", join_all},
                                                                  {"ljust", pad},
                                                                  {"lower", change_case},
                                                                  {"lstrip", strip},
                                                                  {"partition", partition},
                                                                  {"removeprefix", remove_end},
                                                                  {"removesuffix", remove_end},
                                                                  {"replace", replace_part},
                                                                  {"rfind", find_place},
                                                                  {"rindex", find_place},
                                                                  {"rjust", pad},
                                                                  {"rpartition", partition},
                                                                  {"rsplit", split},
                                                                  {"rstrip", strip},
                                                                  {"split", split},
                                                                  {"splitlines", split_lines},
                                                                  {"startswith", has_end},
                                                                  {"strip", strip},
                                                                  {"swapcase", change_case},
                                                                  {"title", change_case},
                                                                  {"upper", change_case},
                                                                  {"zfill", fill_zeros}};
  constexpr std::string_view kUnknown[] = {"casefold",   "encode",       "expandtabs",
                                           "format_map", "isidentifier", "isprintable",
                                           "istitle",    "maketrans",    "translate"};
  if (std::ranges::find(kUnknown, name) != std::end(kUnknown)) return unknown_method;
  const auto found = kMethods.find(name);
  return found == kMethods.end() ? nullptr : found->second;
}

// What Markup's methods would escape, cpx does not call.
void check_markup(const Arguments& arguments, const std::string& name) {
  for (const auto& argument : arguments.positional) {
    const auto* text = argument.as<Text>();
    if (text != nullptr && !text->is_markup && escape_html(*text->chars) != *text->chars) {
      fail(fmt::format("str.{}() is called of a text that is marked safe", name));
    }
  }
}

std::optional<Value> method_of_text(const Text& text, const std::string& name) {
  const TextMethod method = find_text_method(name);
  if (method == nullptr) return std::nullopt;
  return make_function(
      fmt::format("the method 'str.{}'", name),
      [text, name, method](Context& context, const Arguments& arguments) {
        if (text.is_markup) check_markup(arguments, name);
        context.spend(text.chars->size());
        Value result =
            method({.context = context, .name = name, .text = *text.chars, .arguments = arguments});
        if (text.is_markup && result.text() != nullptr) return make_text(*result.text(), true);
        return result;
      });
}

// ---- Methods of dicts and lists -----------------------------------------------------------------

constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListChanges[] = {"append", "clear",  "extend",  "insert",
                                             "pop",    "remove", "reverse", "sort"};
constexpr std::string_view kDictMethods[] = {"copy", "get", "items", "keys", "values"};
constexpr std::string_view kNumberMembers[] = {
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
    "from_bytes",       "fromhex",   "hex",        "imag",      "is_integer",
    "numerator",        "real",      "to_bytes"};

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

Value unsafe_member(const Value& value, const std::string& name) {
  return make_undefined(
      fmt::format("'{}' would change a {}, which templates may not", name, type_name(value)));
}

Value call_dict(const DictRef& dict, const std::string& name, const Arguments& arguments) {
  const std::string what = "dict." + name + "()";
  if (name == "get") {
    const BoundArguments given(what, {"key", "default"}, arguments);
    if (const Value* found = dict->find(given.at(0))) return *found;
    return given.find(1) != nullptr ? *given.find(1) : Value{None{}};
  }
  const BoundArguments given(what, {}, arguments);
  if (name == "copy") return {dict};
  if (name == "keys") return dict_view(*dict, Sequence::Kind::kKeys);
  if (name == "values") return dict_view(*dict, Sequence::Kind::kValues);
  return dict_view(*dict, Sequence::Kind::kItems);
}

std::optional<Value> method_of_dict(const Value& value, const std::string& name) {
  if (is_one_of(kDictChanges, name)) return unsafe_member(value, name);
  if (!is_one_of(kDictMethods, name)) return std::nullopt;
  return make_function(
      fmt::format("the method 'dict.{}'", name),
      [dict = *value.as<DictRef>(), name](Context& context, const Arguments& given) {
        context.spend(dict->entries().size() * sizeof(Value));
        return call_dict(dict, name, given);
      });
}

Value call_list(Context& context, const SequenceRef& list, const std::string& name,
                const Arguments& arguments) {
  const std::string what = "list." + name + "()";
  if (name == "copy") {
    const BoundArguments given(what, {}, arguments);
    return {list};
  }
  const BoundArguments given(what, {"value"}, arguments);
  int64_t count = 0;
  for (size_t i = 0; i < list->elements.size(); ++i) {
    if (!are_equal(context, list->elements[i], given.at(0))) continue;
    if (name == "index") return {static_cast<int64_t>(i)};
    ++count;
  }
  if (name == "index") fail("list.index(): the value is not there");
  return {count};
}

std::optional<Value> method_of_list(const Value& value, const std::string& name) {
  const auto& list = *value.as<SequenceRef>();
  const bool is_list = list->kind == Sequence::Kind::kList;
  if (is_list && is_one_of(kListChanges, name)) return unsafe_member(value, name);
  const bool is_known = name == "count" || name == "index" || (is_list && name == "copy");
  const bool is_view = list->kind != Sequence::Kind::kTuple && !is_list;
  if (!is_known || is_view) return std::nullopt;
  return make_function(fmt::format("the method 'list.{}'", name),
                       [list, name](Context& context, const Arguments& arguments) {
                         return call_list(context, list, name, arguments);
                       });
}

}  // namespace

std::optional<Value> find_method(const Value& value, const std::string& name) {
  if (name.starts_with("__")) {  // Python's own, which the sandbox keeps away
    return make_undefined(fmt::format("access to attribute '{}' is unsafe", name));
  }
  if (const auto* text = value.as<Text>()) return method_of_text(*text, name);
  if (value.as<DictRef>() != nullptr) return method_of_dict(value, name);
  if (value.as<SequenceRef>() != nullptr) return method_of_list(value, name);
  const bool is_number = value.as<int64_t>() != nullptr || value.as<double>() != nullptr ||
                         value.as<bool>() != nullptr;
  if (is_number && is_one_of(kNumberMembers, name)) {
    fail(fmt::format("it uses {}.{}, which cpx does not know", type_name(value), name));
  }
  return std::nullopt;
}

Value dict_view(const Dict& dict, Sequence::Kind kind) {
  Values elements;
  for (const auto& [key, value] : dict.entries()) {
    if (kind == Sequence::Kind::kKeys) elements.push_back(key);
    if (kind == Sequence::Kind::kValues) elements.push_back(value);
    if (kind == Sequence::Kind::kItems) {
      elements.push_back(make_sequence(Sequence::Kind::kTuple, {key, value}));
    }
  }
  return make_sequence(kind, std::move(elements));
}

std::string escape_html(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '\'':
        result += "&#39;";
        break;
      case '"':
        result += "&#34;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string replace_checked(Context& context, std::string_view text, std::string_view part,
                            std::string_view with, int64_t most) {
  const size_t most_parts = text.size() / std::max<size_t>(part.size(), 1) + 1;
  if (with.size() > 0 && most_parts * with.size() > Context::kMaxTextBytes) {  // count them first
    size_t count = 0;
    for (size_t at = 0; at <= text.size() && (at = find_part(text, part, at)) != std::string::npos;
         at += std::max<size_t>(part.size(), 1)) {
      ++count;
      context.check_size(count * with.size());
    }
  }
  std::string result = python_replace(text, part, with, most);
  context.spend(text.size() + result.size());
  return result;
}

Value pad_text(Context& context, std::string_view text, int64_t width, std::string_view filling,
               Side text_side) {
  const int64_t missing = std::max<int64_t>(width - python_length(text), 0);
  if (missing == 0) return make_text(std::string(text));
  context.check_size(static_cast<uint64_t>(missing));
  context.spend(static_cast<uint64_t>(missing) * filling.size() + text.size());
  // Python centers with the odd blank in front where the width is odd too.
  const int64_t half = missing / 2 + (missing & width & 1);
  const int64_t left = text_side == Side::kBoth ? half : text_side == Side::kRight ? missing : 0;
  std::string result;
  for (int64_t i = 0; i < left; ++i) result += filling;
  result += text;
  for (int64_t i = left; i < missing; ++i) result += filling;
  return make_text(std::move(result));
}

}  // namespace cpx::tokenizer::jinja
