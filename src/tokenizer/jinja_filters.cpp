// SPDX-License-Identifier: Apache-2.0
// Source: jinja2 3.1.6, filters.py.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "cpx/core/text.h"
#include "cpx/core/utf8.h"
#include "jinja_arguments.h"
#include "jinja_functions.h"
#include "jinja_methods.h"
#include "jinja_operators.h"
#include "python_format.h"
#include "python_text.h"

namespace cpx::tokenizer::jinja {

namespace {

constexpr double kIntegerLimit = 9.2233720368547758e18;

std::string filter_name(const std::string& name) { return fmt::format("the filter '{}'", name); }

bool is_markup(const Value& value) {
  const auto* text = value.as<Text>();
  return text != nullptr && text->is_markup;
}

// ---- Members by a path --------------------------------------------------------------------------

using Getter = std::function<Value(Context&, const Value&)>;

std::string_view next_part(std::string_view& path, char separator) {
  const size_t end = path.find(separator);
  const std::string_view part = path.substr(0, end);
  path = end == std::string_view::npos ? std::string_view() : path.substr(end + 1);
  return part;
}

Value path_part(std::string_view part) {
  const bool is_number = !part.empty() && part.size() < 10 &&
                         std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
  return is_number ? Value{int64_t{std::stoll(std::string(part))}} : make_text(std::string(part));
}

// What "a.b.0" finds; a number is an index, and nothing the value itself.
Getter getter(const Value* attribute, const Value* fallback = nullptr) {
  if (attribute == nullptr || attribute->is_none()) {
    return [](Context&, const Value& value) { return value; };
  }
  Values parts;
  if (const auto* path = attribute->text()) {
    std::string_view rest = *path;
    do parts.push_back(path_part(next_part(rest, '.')));
    while (!rest.empty());
  } else {
    parts.push_back(*attribute);
  }
  const bool has_fallback = fallback != nullptr && !fallback->is_none();
  return [parts, fallback = has_fallback ? std::optional(*fallback) : std::nullopt](
             Context& context, const Value& value) {
    Value member = value;
    for (const auto& part : parts) {
      member = get_item(context, member, part);
      if (fallback && member.is_undefined()) member = *fallback;
    }
    return member;
  };
}

Value ignore_case(const Value& value) {
  return value.text() != nullptr ? make_text(python_lower(*value.text())) : value;
}

// What `sort` and others compare by.
Getter sort_key(const Value* attribute, bool is_case_sensitive) {
  return [get = getter(attribute), is_case_sensitive](Context& context, const Value& value) {
    const Value key = get(context, value);
    return is_case_sensitive ? key : ignore_case(key);
  };
}

// The same for "name,age.years": a list of keys.
Getter sort_keys(const Value* attribute, bool is_case_sensitive) {
  std::vector<Getter> getters;
  if (attribute != nullptr && attribute->text() != nullptr) {
    std::string_view rest = *attribute->text();
    do {
      const Value path = make_text(std::string(next_part(rest, ',')));
      getters.push_back(sort_key(&path, is_case_sensitive));
    } while (!rest.empty());
  } else {
    getters.push_back(sort_key(attribute, is_case_sensitive));
  }
  return [getters](Context& context, const Value& value) {
    Values keys;
    for (const auto& get : getters) keys.push_back(get(context, value));
    return make_list(std::move(keys));
  };
}

Values sorted(Context& context, Values values, const Getter& key, bool is_reversed) {
  std::vector<std::pair<Value, Value>> keyed;
  for (auto& value : values) {
    Value its_key = key(context, value);
    keyed.emplace_back(std::move(its_key), std::move(value));
  }
  if (is_reversed) std::ranges::reverse(keyed);  // equal ones keep their order
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& left, const auto& right) {
    return is_less(context, left.first, right.first);
  });
  if (is_reversed) std::ranges::reverse(keyed);
  Values result;
  for (auto& [its_key, value] : keyed) result.push_back(std::move(value));
  return result;
}

// ---- Texts --------------------------------------------------------------------------------------

// What a filter of texts makes: markup stays markup.
Value text_like(Context& context, const Value& value, std::string (*change)(std::string_view)) {
  const std::string text = to_text(context, value);
  context.spend(text.size());
  return make_text(change(text), is_markup(value));
}

// As the filter `title`: unlike str.title(), words begin behind blanks, - ( { [ <.
std::string title_words(std::string_view text) {
  std::string result;
  const auto is_separator = [](char32_t c) {
    return is_python_space(c) || (c < 0x80 && std::string_view("-({[<").find(
                                                  static_cast<char>(c)) != std::string_view::npos);
  };
  size_t begin = 0;
  while (begin < text.size()) {
    const bool separates = is_separator(decode_utf8(text, begin).code_point);
    size_t end = begin;
    while (end < text.size()) {
      const auto character = decode_utf8(text, end);
      if (is_separator(character.code_point) != separates) break;
      end += character.length;
    }
    const std::string_view part = text.substr(begin, end - begin);
    const size_t first = decode_utf8(part, 0).length;
    result += python_upper(part.substr(0, first)) + python_lower(part.substr(first));
    begin = end;
  }
  return result;
}

Value trim(Context& context, const Value& value, const BoundArguments& given) {
  const std::string text = to_text(context, value);
  context.spend(text.size());
  const bool has_characters = given.find(0) != nullptr && !given.find(0)->is_none();
  const std::string characters = has_characters ? given.text(0) : "";
  return make_text(std::string(has_characters ? python_strip(text, Side::kBoth, characters)
                                              : python_strip(text, Side::kBoth)),
                   is_markup(value));
}

Value replace(Context& context, const Value& value, const BoundArguments& given) {
  const std::string text = to_text(context, value);
  const std::string part = to_text(context, given.at(0));
  const std::string with = to_text(context, given.at(1));
  const bool is_limited = given.find(2) != nullptr && !given.find(2)->is_none();
  return make_text(replace_checked(context, text, part, with, is_limited ? given.integer(2) : -1));
}

// `lines` joined, each but the first behind `indention`.
Value indent(Context& context, const Value& value, const BoundArguments& given) {
  if (const auto* undefined = value.as<Undefined>()) fail_undefined(*undefined);
  const auto* text = value.text();
  if (text == nullptr) fail("the filter 'indent' is put on " + type_name(value));
  const bool has_text_width = given.find(0) != nullptr && given.find(0)->text() != nullptr;
  const int64_t width = has_text_width ? 0 : given.integer_or(0, 4);
  context.check_size(static_cast<uint64_t>(std::max<int64_t>(width, 0)));
  const std::string indention =
      has_text_width ? given.text(0)
                     : std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  const bool indents_blank = given.is_true_or(2, false);
  context.check_size(text->size() * 4);  // its lines
  const std::string ended = *text + "\n";
  const auto lines = python_lines(ended, /*keeps_ends=*/false);
  context.spend(text->size() + std::min(lines.size(), Context::kMaxTextBytes) * indention.size());
  std::string result = given.is_true_or(1, false) ? indention : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) result += '\n';
    if (i > 0 && (indents_blank || !lines[i].empty())) result += indention;
    result += lines[i];
  }
  return make_text(std::move(result), is_markup(value));
}

Value center(Context& context, const Value& value, const BoundArguments& given) {
  return pad_text(context, to_text(context, value), given.integer_or(0, 80), " ", Side::kBoth);
}

Value truncate(Context& context, const Value& value, const BoundArguments& given) {
  const std::string text = to_text(context, value);
  context.spend(text.size());
  const int64_t length = given.integer_or(0, 255);
  const std::string end = given.text_or(2, "...");
  const bool has_leeway = given.find(3) != nullptr && !given.find(3)->is_none();
  const int64_t leeway = has_leeway ? given.integer(3) : 5;
  const int64_t kept = length - python_length(end);
  if (kept < 0) fail("the filter 'truncate' keeps less than its end has characters");
  if (leeway < 0) fail("the argument 'leeway' of the filter 'truncate' is below 0");
  if (python_length(text) <= length + leeway) return make_text(text);
  std::string_view front = python_substring(text, 0, kept);
  if (!given.is_true_or(1, false)) front = front.substr(0, front.rfind(' '));
  return make_text(std::string(front) + end);
}

Value word_count(Context& context, const Value& value, const BoundArguments&) {
  const std::string text = to_text(context, value);
  context.spend(text.size());
  int64_t count = 0;
  bool is_inside = false;
  for (const char c : text) {
    if ((c & 0x80) != 0) fail("the filter 'wordcount' is put on a text that is not ASCII");
    const bool is_word = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    count += is_word && !is_inside ? 1 : 0;
    is_inside = is_word;
  }
  return {count};
}

Value escape(Context& context, const Value& value, const BoundArguments&) {
  if (is_markup(value)) return value;
  return make_text(escape_html(to_text(context, value)), true);
}

Value force_escape(Context& context, const Value& value, const BoundArguments&) {
  return make_text(escape_html(to_text(context, value)), true);
}

Value mark_safe(Context& context, const Value& value, const BoundArguments&) {
  return make_text(to_text(context, value), true);
}

Value as_string(Context& context, const Value& value, const BoundArguments&) {
  return value.text() != nullptr ? value : make_text(to_text(context, value));
}

Value upper(Context& context, const Value& value, const BoundArguments&) {
  return text_like(context, value, python_upper);
}
Value lower(Context& context, const Value& value, const BoundArguments&) {
  return text_like(context, value, python_lower);
}
Value capitalize(Context& context, const Value& value, const BoundArguments&) {
  return text_like(context, value, python_capitalize);
}
Value title(Context& context, const Value& value, const BoundArguments&) {
  return make_text(title_words(to_text(context, value)));
}

Value join_elements(Context& context, const Value& value, const BoundArguments& given) {
  const std::string separator = given.find(0) != nullptr ? to_text(context, *given.find(0)) : "";
  const Getter get = getter(given.find(1));
  std::string result;
  bool is_first = true;
  const Iterator next = iterate(context, value);
  while (const auto element = next()) {
    if (!std::exchange(is_first, false)) result += separator;
    result += to_text(context, get(context, *element));
    context.check_size(result.size());
  }
  context.spend(result.size());
  return make_text(std::move(result));
}

// ---- Numbers ------------------------------------------------------------------------------------

Value absolute(Context&, const Value& value, const BoundArguments&) {
  if (const auto number = to_double(value)) {
    return *number < 0 ? negate(value, /*is_minus=*/true) : negate(value, /*is_minus=*/false);
  }
  fail("the filter 'abs' is put on " + type_name(value));
}

// int(value) of a float, or nothing where it has none.
std::optional<int64_t> truncated(double number) {
  if (std::isnan(number)) return std::nullopt;
  if (std::abs(number) >= kIntegerLimit) fail("a number is too large");
  return static_cast<int64_t>(number);
}

// int(text, base), with underscores and prefixes as Python reads them.
std::optional<int64_t> parse_integer(std::string_view text, int64_t base) {
  std::string digits(python_strip(text, Side::kBoth));
  const bool is_negative = digits.starts_with('-');
  if (is_negative || digits.starts_with('+')) digits.erase(0, 1);
  const std::string start = python_lower(digits.substr(0, 2));
  for (const auto& [prefix, its_base] : {std::pair("0x", 16), {"0o", 8}, {"0b", 2}}) {
    if (start != prefix || (base != its_base && base != 0)) continue;
    base = its_base;
    digits.erase(0, 2);
    if (digits.starts_with('_')) digits.erase(0, 1);
  }
  if (base == 0) base = 10;
  if (digits.empty() || digits.starts_with('_') || digits.ends_with('_') ||
      digits.find("__") != std::string::npos || base < 2 || base > 36) {
    return std::nullopt;
  }
  std::erase(digits, '_');
  int64_t number = 0;
  if (is_negative) digits.insert(0, "-");
  if (digits.starts_with("--")) return std::nullopt;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number, static_cast<int>(base));
  if (error == std::errc::result_out_of_range) fail("a number is too large");
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

std::optional<double> parse_float(std::string_view text) {
  std::string digits = python_lower(python_strip(text, Side::kBoth));
  std::erase(digits, '_');
  if (digits.starts_with('+')) digits.erase(0, 1);
  if (digits.starts_with("+") || digits.starts_with("-+")) return std::nullopt;
  double number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool is_whole = end == digits.data() + digits.size() && !digits.empty();
  if (error == std::errc::result_out_of_range && is_whole) fail("a number is too large");
  if (error != std::errc() || !is_whole || digits.find('(') != std::string::npos) {
    return std::nullopt;
  }
  return number;
}

Value as_int(Context&, const Value& value, const BoundArguments& given) {
  if (const auto* undefined = value.as<Undefined>()) fail_undefined(*undefined);
  const Value fallback = given.find(0) != nullptr ? *given.find(0) : Value{int64_t{0}};
  std::optional<int64_t> number;
  if (const auto* text = value.text()) {
    number = parse_integer(*text, given.integer_or(1, 10));
    if (!number) {
      const auto real = parse_float(*text);
      if (real && std::isinf(*real)) return fallback;
      if (real) number = truncated(*real);
    }
  } else if (const auto* real = value.as<double>()) {
    if (std::isinf(*real)) fail("a number is too large");
    number = truncated(*real);
  } else if (to_double(value)) {
    number = to_integer(value, "a number");
  }
  return number ? Value{*number} : fallback;
}

Value as_float(Context&, const Value& value, const BoundArguments& given) {
  if (const auto* undefined = value.as<Undefined>()) fail_undefined(*undefined);
  const auto number = value.text() != nullptr ? parse_float(*value.text()) : to_double(value);
  if (number) return {*number};
  return given.find(0) != nullptr ? *given.find(0) : Value{0.0};
}

// round(number, digits): the decimal text decides ties, so that 2.675 gives 2.67.
double rounded(double number, int64_t digits) {
  if (!std::isfinite(number) || digits > 300) return number;
  if (digits < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(number / unit) * unit;
  }
  const std::string text = fmt::format("{:.{}f}", number, static_cast<int>(digits));
  return std::stod(text);
}

Value round_number(Context&, const Value& value, const BoundArguments& given) {
  if (const auto* undefined = value.as<Undefined>()) fail_undefined(*undefined);
  const auto number = to_double(value);
  if (!number) fail("the filter 'round' is put on " + type_name(value));
  const int64_t precision = given.integer_or(0, 0);
  const std::string method = given.text_or(1, "common");
  if (method == "common") {
    if (value.as<double>() != nullptr) return {rounded(*number, precision)};
    const int64_t whole = to_integer(value, "a number");
    if (precision >= 0) return {whole};
    return {static_cast<int64_t>(rounded(*number, precision))};
  }
  if (method != "ceil" && method != "floor") {
    fail("the argument 'method' of the filter 'round' is neither common, ceil nor floor");
  }
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = *number * unit;
  return {(method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit};
}

Value sum(Context& context, const Value& value, const BoundArguments& given) {
  const Getter get = getter(given.find(0));
  Value total = given.find(1) != nullptr ? *given.find(1) : Value{int64_t{0}};
  if (total.text() != nullptr) fail("the filter 'sum' starts with a str");
  const Iterator next = iterate(context, value);
  while (const auto element = next()) total = combine(context, "+", total, get(context, *element));
  return total;
}

// ---- Lists --------------------------------------------------------------------------------------

Value as_list(Context& context, const Value& value, const BoundArguments&) {
  return make_list(elements_of(context, value));
}

Value length(Context&, const Value& value, const BoundArguments&) { return {length_of(value)}; }

Value first(Context& context, const Value& value, const BoundArguments&) {
  const auto element = iterate(context, value)();
  return element ? *element : make_undefined("No first item, sequence was empty");
}

void check_reversible(const Value& value, const char* filter) {
  if (value.as<GeneratorRef>() != nullptr) {
    fail(
        fmt::format("the filter '{}' is put on what another filter makes one by one; put '| list' "
                    "in between",
                    filter));
  }
}

Value last(Context& context, const Value& value, const BoundArguments&) {
  check_reversible(value, "last");
  const Values elements = elements_of(context, value);
  return elements.empty() ? make_undefined("No last item, sequence was empty") : elements.back();
}

Value generator_of(Context& context, const Value& source,
                   std::function<std::optional<Value>()> next) {
  context.spend(sizeof(Generator));
  return make_generator(nested_depth(source), std::move(next));
}

Value generator_over(Context& context, Values elements) {
  Value list = make_list(std::move(elements));
  return generator_of(context, list, iterate(context, list));
}

Value reverse(Context& context, const Value& value, const BoundArguments&) {
  if (value.text() != nullptr) return slice(context, value, {None{}}, {None{}}, {int64_t{-1}});
  Values elements = elements_of(context, value);
  std::ranges::reverse(elements);
  // A generator has no end to start from: jinja2 makes a list of it.
  if (value.as<GeneratorRef>() != nullptr) return make_list(std::move(elements));
  return generator_over(context, std::move(elements));
}

Value sort(Context& context, const Value& value, const BoundArguments& given) {
  return make_list(sorted(context, elements_of(context, value),
                          sort_keys(given.find(2), given.is_true_or(1, false)),
                          given.is_true_or(0, false)));
}

Value unique(Context& context, const Value& value, const BoundArguments& given) {
  return generator_of(context, value,
                      [&context, next = iterate(context, value),
                       key = sort_key(given.find(1), given.is_true_or(0, false)),
                       seen = std::unordered_set<std::string>()]() mutable -> std::optional<Value> {
                        while (auto element = next()) {
                          std::string its_key = hash_key(key(context, *element));
                          context.spend(its_key.size());
                          if (seen.insert(std::move(its_key)).second) return element;
                        }
                        return std::nullopt;
                      });
}

Value extreme(Context& context, const Value& value, const BoundArguments& given, bool is_largest) {
  const Getter key = sort_key(given.find(1), given.is_true_or(0, false));
  std::optional<Value> best;
  const Iterator next = iterate(context, value);
  while (auto element = next()) {
    const bool is_better =
        !best || (is_largest ? is_less(context, key(context, *best), key(context, *element))
                             : is_less(context, key(context, *element), key(context, *best)));
    if (is_better) best = std::move(element);
  }
  return best ? *best : make_undefined("No aggregated item, sequence was empty");
}

Value smallest(Context& context, const Value& value, const BoundArguments& given) {
  return extreme(context, value, given, /*is_largest=*/false);
}
Value largest(Context& context, const Value& value, const BoundArguments& given) {
  return extreme(context, value, given, /*is_largest=*/true);
}

Value batch(Context& context, const Value& value, const BoundArguments& given) {
  const auto size = static_cast<size_t>(std::max<int64_t>(given.integer(0), 0));
  const bool fills = given.find(1) != nullptr && !given.find(1)->is_none();
  Values rows;
  Values row;
  for (auto& element : elements_of(context, value)) {
    if (row.size() == size) rows.push_back(make_list(std::exchange(row, {})));
    row.push_back(std::move(element));
  }
  if (!row.empty()) {
    while (fills && row.size() < size) {
      context.spend(sizeof(Value));
      row.push_back(*given.find(1));
    }
    rows.push_back(make_list(std::move(row)));
  }
  return generator_over(context, std::move(rows));
}

Value slice_columns(Context& context, const Value& value, const BoundArguments& given) {
  const Values elements = elements_of(context, value);
  const int64_t num_columns = given.integer(0);
  if (num_columns == 0) fail("it divides by 0");
  const bool fills = given.find(1) != nullptr && !given.find(1)->is_none();
  const int64_t each = std::ssize(elements) / std::max<int64_t>(num_columns, 1);
  const int64_t num_longer = std::ssize(elements) % std::max<int64_t>(num_columns, 1);
  Values columns;
  int64_t begin = 0;
  for (int64_t i = 0; i < num_columns; ++i) {
    context.spend(sizeof(Value));
    const int64_t end = begin + each + (i < num_longer ? 1 : 0);
    Values column(elements.begin() + begin, elements.begin() + end);
    if (fills && i >= num_longer) column.push_back(*given.find(1));
    columns.push_back(make_list(std::move(column)));
    begin = end;
  }
  return generator_over(context, std::move(columns));
}

Value items(Context& context, const Value& value, const BoundArguments&) {
  if (value.is_undefined()) return generator_over(context, {});
  const auto* dict = value.as<DictRef>();
  if (dict == nullptr) fail("the filter 'items' is put on " + type_name(value));
  return generator_over(context, elements_of(context, dict_view(**dict, Sequence::Kind::kItems)));
}

Value sort_dict(Context& context, const Value& value, const BoundArguments& given) {
  if (const auto* undefined = value.as<Undefined>()) fail_undefined(*undefined);
  const auto* dict = value.as<DictRef>();
  if (dict == nullptr) fail("the filter 'dictsort' is put on " + type_name(value));
  const std::string by = given.text_or(1, "key");
  if (by != "key" && by != "value") {
    fail("the argument 'by' of the filter 'dictsort' is neither key nor value");
  }
  const Value place{int64_t{by == "key" ? 0 : 1}};
  return make_list(sorted(context, elements_of(context, dict_view(**dict, Sequence::Kind::kItems)),
                          sort_key(&place, given.is_true_or(0, false)),
                          given.is_true_or(2, false)));
}

// ---- Others -------------------------------------------------------------------------------------

Value fall_back(Context&, const Value& value, const BoundArguments& given) {
  const bool is_kept = !value.is_undefined() && (!given.is_true_or(1, false) || is_true(value));
  if (is_kept) return value;
  return given.find(0) != nullptr ? *given.find(0) : make_text("");
}

Value attribute(Context& context, const Value& value, const BoundArguments& given) {
  if (value.as<DictRef>() == nullptr) return get_attribute(context, value, given.text(0));
  const auto method = find_method(value, given.text(0));  // never an element
  return method ? *method
                : make_undefined("'dict object' has no attribute '" + given.text(0) + "'");
}

struct Filter {
  std::string_view name;
  std::vector<std::string_view> parameters;
  Value (*apply)(Context&, const Value&, const BoundArguments&);
};

const Filter* find_filter(const std::string& name) {
  static const Filter kFilters[] = {
      {"abs", {}, absolute},
      {"attr", {"name"}, attribute},
      {"batch", {"linecount", "fill_with"}, batch},
      {"capitalize", {}, capitalize},
      {"center", {"width"}, center},
      {"count", {}, length},
      {"d", {"default_value", "boolean"}, fall_back},
      {"default", {"default_value", "boolean"}, fall_back},
      {"dictsort", {"case_sensitive", "by", "reverse"}, sort_dict},
      {"e", {}, escape},
      {"escape", {}, escape},
      {"first", {}, first},
      {"float", {"default"}, as_float},
      {"forceescape", {}, force_escape},
      {"indent", {"width", "first", "blank"}, indent},
      {"int", {"default", "base"}, as_int},
      {"items", {}, items},
      {"join", {"d", "attribute"}, join_elements},
      {"last", {}, last},
      {"length", {}, length},
      {"list", {}, as_list},
      {"lower", {}, lower},
      {"max", {"case_sensitive", "attribute"}, largest},
      {"min", {"case_sensitive", "attribute"}, smallest},
      {"replace", {"old", "new", "count"}, replace},
      {"reverse", {}, reverse},
      {"round", {"precision", "method"}, round_number},
      {"safe", {}, mark_safe},
      {"slice", {"slices", "fill_with"}, slice_columns},
      {"sort", {"reverse", "case_sensitive", "attribute"}, sort},
      {"string", {}, as_string},
      {"sum", {"attribute", "start"}, sum},
      {"title", {}, title},
      {"trim", {"chars"}, trim},
      {"truncate", {"length", "killwords", "end", "leeway"}, truncate},
      {"unique", {"case_sensitive", "attribute"}, unique},
      {"upper", {}, upper},
      {"wordcount", {}, word_count},
  };
  const auto* found = std::ranges::find(kFilters, std::string_view(name), &Filter::name);
  return found == std::end(kFilters) ? nullptr : found;
}

// ---- Filters that apply filters and tests -------------------------------------------------------

// The arguments behind the first `count`.
Arguments rest_of(const Arguments& arguments, size_t count) {
  const auto first = arguments.positional.begin();
  return {.positional = {first + static_cast<ptrdiff_t>(count), arguments.positional.end()},
          .keywords = arguments.keywords};
}

const std::string& name_argument(const Arguments& arguments, size_t index, const char* what) {
  const auto* name = arguments.positional[index].text();
  if (name == nullptr) {
    fail(fmt::format("{} is of the type {}, expected str", what,
                     type_name(arguments.positional[index])));
  }
  return *name;
}

Getter mapping(const Arguments& arguments) {
  if (!arguments.positional.empty()) {
    const std::string name = name_argument(arguments, 0, "the filter of the filter 'map'");
    return [name, rest = rest_of(arguments, 1)](Context& context, const Value& value) {
      return apply_filter(context, name, value, rest);
    };
  }
  const BoundArguments given("the filter 'map'", {"attribute", "default"}, arguments);
  if (given.find(0) == nullptr) fail("the filter 'map' is given neither a filter nor 'attribute'");
  return getter(given.find(0), given.find(1));
}

Value map(Context& context, const Value& value, const Arguments& arguments) {
  return generator_of(context, value,
                      [&context, next = iterate(context, value),
                       change = mapping(arguments)]() -> std::optional<Value> {
                        const auto element = next();
                        if (!element) return std::nullopt;
                        return change(context, *element);
                      });
}

// select, reject, selectattr and rejectattr: by a test, or by truth.
Value filter_by_test(Context& context, const std::string& name, const Value& value,
                     const Arguments& arguments) {
  const bool keeps = name.starts_with("select");
  const bool has_attribute = name.ends_with("attr");
  if (!is_true(value)) return generator_over(context, {});
  if (has_attribute && arguments.positional.empty()) {
    fail(filter_name(name) + " is given no attribute");
  }
  const Getter get = getter(has_attribute ? &arguments.positional[0] : nullptr);
  const size_t at = has_attribute ? 1 : 0;
  const bool has_test = arguments.positional.size() > at;
  const std::string test =
      has_test ? name_argument(arguments, at, "the test of a filter") : std::string();
  const Arguments rest = has_test ? rest_of(arguments, at + 1) : Arguments();
  return generator_of(
      context, value,
      [&context, next = iterate(context, value), get, test, rest, keeps]() -> std::optional<Value> {
        while (auto element = next()) {
          const Value member = get(context, *element);
          const bool is_passed =
              test.empty() ? is_true(member) : apply_test(context, test, member, rest);
          if (is_passed == keeps) return element;
        }
        return std::nullopt;
      });
}

constexpr std::string_view kTestFilters[] = {"select", "reject", "selectattr", "rejectattr"};
constexpr std::string_view kOtherFilters[] = {"map", "format", "tojson"};
// Filters of jinja2 that cpx does not have.
constexpr std::string_view kAbsentFilters[] = {"filesizeformat", "groupby",   "pprint",
                                               "random",         "striptags", "urlencode",
                                               "urlize",         "wordwrap",  "xmlattr"};

bool is_among(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

Value apply_filter(Context& context, const std::string& name, const Value& value,
                   const Arguments& arguments) {
  context.step();
  if (const Filter* filter = find_filter(name)) {
    return filter->apply(context, value,
                         BoundArguments(filter_name(name), filter->parameters, arguments));
  }
  if (name == "map") return map(context, value, arguments);
  if (is_among(kTestFilters, name)) return filter_by_test(context, name, value, arguments);
  if (name == "tojson") return to_json(context, value, arguments);
  if (name == "format") return format_filter(context, value, arguments);
  fail(fmt::format("it uses the filter {}, which cpx does not know", quote(name)));
}

bool is_known_filter(const std::string& name) {
  return find_filter(name) != nullptr || is_among(kTestFilters, name) ||
         is_among(kOtherFilters, name) || is_among(kAbsentFilters, name);
}

}  // namespace cpx::tokenizer::jinja
