// SPDX-License-Identifier: Apache-2.0
// Source: the Python reference, "printf-style String Formatting" and "Format String Syntax".
#include "python_format.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "cpx/core/utf8.h"
#include "jinja_functions.h"
#include "jinja_methods.h"
#include "jinja_operators.h"
#include "python_text.h"

namespace cpx::tokenizer::jinja {

namespace {

constexpr int64_t kMaxPrecision = 200;

// How one value is laid out: [[fill]align][sign][#][0][width][,][.precision][type].
struct Layout {
  std::string fill = " ";
  char align = '\0';
  char sign = '-';
  bool is_alternate = false;
  char grouping = '\0';
  int64_t width = 0;
  std::optional<int64_t> precision = std::nullopt;
  char type = '\0';
};

[[noreturn]] void fail_format(std::string_view what) { fail(fmt::format("a format {}", what)); }

// Reads a number at `position`, which moves behind it.
std::optional<int64_t> read_number(std::string_view text, size_t& position) {
  const size_t begin = position;
  int64_t number = 0;
  while (position < text.size() && text[position] >= '0' && text[position] <= '9') {
    number = number * 10 + (text[position++] - '0');
    if (number > 1'000'000'000) fail_format("has a width beyond all limits");
  }
  return position > begin ? std::optional(number) : std::nullopt;
}

std::string padded(Context& context, const std::string& text, const Layout& layout,
                   char default_align) {
  const char align = layout.align == '\0' ? default_align : layout.align;
  const int64_t missing = layout.width - python_length(text);
  if (missing <= 0) return text;
  context.spend(static_cast<uint64_t>(missing) * layout.fill.size());
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  const size_t sign_size =
      align == '=' && (text.starts_with('-') || text.starts_with('+') || text.starts_with(' ')) ? 1
                                                                                                : 0;
  std::string result = text.substr(0, sign_size);
  for (int64_t i = 0; i < left; ++i) result += layout.fill;
  result += text.substr(sign_size);
  for (int64_t i = left; i < missing; ++i) result += layout.fill;
  return result;
}

std::string with_sign(std::string digits, bool is_negative, char sign) {
  if (is_negative) return "-" + digits;
  return sign == '-' ? digits : sign + digits;
}

// 1234567.5 as 1,234,567.5.
std::string grouped(const std::string& digits, char grouping) {
  if (grouping == '\0') return digits;
  const size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
  std::string result = digits.substr(whole);
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && i % 3 == 0) result.insert(0, 1, grouping);
    result.insert(0, 1, digits[whole - 1 - i]);
  }
  return result;
}

std::string integer_digits(int64_t number, char type, bool is_alternate) {
  const auto size =
      number < 0 ? uint64_t{0} - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  switch (type) {
    case 'x':
      return (is_alternate ? "0x" : "") + fmt::format("{:x}", size);
    case 'X':
      return (is_alternate ? "0X" : "") + fmt::format("{:X}", size);
    case 'o':
      return (is_alternate ? "0o" : "") + fmt::format("{:o}", size);
    case 'b':
      return (is_alternate ? "0b" : "") + fmt::format("{:b}", size);
    default:
      return std::to_string(size);
  }
}

std::string float_digits(double number, const Layout& layout) {
  const double size = std::abs(number);
  const auto precision = static_cast<int>(layout.precision.value_or(6));
  switch (layout.type) {
    case 'e':
      return fmt::format("{:.{}e}", size, precision);
    case 'E':
      return fmt::format("{:.{}E}", size, precision);
    case 'g':
    case 'n':
      return fmt::format("{:.{}g}", size, std::max(precision, 1));
    case 'G':
      return fmt::format("{:.{}G}", size, std::max(precision, 1));
    case '%':
      return fmt::format("{:.{}f}%", size * 100, precision);
    case '\0': {
      if (!layout.precision) return float_text(size);
      std::string text = fmt::format("{:.{}g}", size, std::max(precision, 1));
      const bool is_whole = text.find_first_not_of("0123456789") == std::string::npos;
      return is_whole ? text + ".0" : text;
    }
    default:
      return fmt::format("{:.{}f}", size, precision);
  }
}

bool is_float_type(char type) {
  return std::string_view("eEfFgGn%").find(type) != std::string_view::npos;
}

std::string number_text(Context& context, const Value& value, const Layout& layout) {
  const bool is_float = value.as<double>() != nullptr ||
                        (layout.type != '\0' && layout.type != 'n' && is_float_type(layout.type));
  std::string digits;
  bool is_negative = false;
  if (is_float) {
    const double number = *to_double(value);
    digits = float_digits(number, layout);
    is_negative = std::signbit(number);
  } else {
    const int64_t number = to_integer(value, "a value of a format");
    digits = integer_digits(number, layout.type, layout.is_alternate);
    is_negative = number < 0;
  }
  return padded(context, with_sign(grouped(digits, layout.grouping), is_negative, layout.sign),
                layout, '>');
}

std::string cut(const std::string& text, const std::optional<int64_t>& precision) {
  if (!precision) return text;
  return std::string(python_substring(text, 0, std::min(*precision, python_length(text))));
}

// ---- The % operator -----------------------------------------------------------------------------

// Gives the values in turn, or by name.
class PercentValues {
 public:
  explicit PercentValues(const Value& values) : values_(values) {
    const auto* tuple = values.as<SequenceRef>();
    if (tuple != nullptr && (*tuple)->kind == Sequence::Kind::kTuple) tuple_ = tuple->get();
  }

  Value next() {
    if (tuple_ == nullptr) {
      if (std::exchange(position_, 1) > 0) fail_format("has too few values");
      return values_;
    }
    if (position_ == tuple_->elements.size()) fail_format("has too few values");
    return tuple_->elements[position_++];
  }

  Value named(std::string_view name) {
    const auto* dict = values_.as<DictRef>();
    if (dict == nullptr) fail_format("names a value, expected a dict behind '%'");
    const Value* found = (*dict)->find(name);
    if (found == nullptr) fail(fmt::format("a format names '{}', which is not there", name));
    return *found;
  }

  // Python does not mind a dict whose values are not used.
  bool has_rest() const {
    if (tuple_ != nullptr) return position_ < tuple_->elements.size();
    return position_ == 0 && values_.as<DictRef>() == nullptr &&
           values_.as<SequenceRef>() == nullptr;
  }

 private:
  const Value& values_;
  const Sequence* tuple_ = nullptr;
  size_t position_ = 0;
};

std::string percent_text(Context& context, const Value& value, Layout layout, bool has_zero) {
  if (layout.type == 's' || layout.type == 'r' || layout.type == 'a') {
    const std::string text = layout.type == 's' ? to_text(context, value) : to_repr(context, value);
    return padded(context, cut(text, layout.precision), layout, '>');
  }
  if (layout.type == 'c' && value.text() != nullptr && python_length(*value.text()) == 1) {
    return padded(context, *value.text(), layout, '>');
  }
  const auto number = to_double(value);
  if (!number) {
    fail(fmt::format("'%{}' is given a value of the type {}, expected a number", layout.type,
                     type_name(value)));
  }
  if (has_zero && layout.align != '<') {
    layout.fill = "0";
    layout.align = '=';
  }
  if (std::string_view("diuxXo").find(layout.type) != std::string_view::npos) {
    const Value whole = value.as<double>() != nullptr
                            ? Value{static_cast<int64_t>(std::clamp(*number, -9e18, 9e18))}
                            : value;
    if (layout.type == 'i' || layout.type == 'u') layout.type = 'd';
    return number_text(context, whole, layout);
  }
  if (!is_float_type(layout.type) || layout.type == '%' || layout.type == 'n') {
    fail(fmt::format("a format has '%{}', which cpx does not know", layout.type));
  }
  return number_text(context, value, layout);
}

// The flags, width and precision behind a '%'.
Layout read_percent(std::string_view text, size_t& position, PercentValues& values,
                    bool& has_zero) {
  Layout layout;
  for (; position < text.size(); ++position) {
    const char flag = text[position];
    if (flag == '-') {
      layout.align = '<';
    } else if (flag == '+' || (flag == ' ' && layout.sign == '-')) {
      layout.sign = flag;
    } else if (flag == '0') {
      has_zero = true;
    } else if (flag == '#') {
      layout.is_alternate = true;
    } else if (flag != ' ') {
      break;
    }
  }
  const auto number = [&]() -> std::optional<int64_t> {
    if (position >= text.size() || text[position] != '*') return read_number(text, position);
    ++position;
    return to_integer(values.next(), "the width of a format");
  };
  layout.width = number().value_or(0);
  if (position < text.size() && text[position] == '.') {
    ++position;
    layout.precision = std::min(number().value_or(0), kMaxPrecision);
  }
  return layout;
}

std::string fill_percent(Context& context, std::string_view text, const Value& given) {
  PercentValues values(given);
  std::string result;
  for (size_t position = 0; position < text.size();) {
    if (text[position] != '%') {
      result += text[position++];
      continue;
    }
    std::optional<Value> value;
    if (++position < text.size() && text[position] == '(') {
      const size_t end = text.find(')', position);
      if (end == std::string_view::npos) fail_format("has a name without end");
      value = values.named(text.substr(position + 1, end - position - 1));
      position = end + 1;
    }
    bool has_zero = false;
    Layout layout = read_percent(text, position, values, has_zero);
    if (position >= text.size()) fail_format("ends within a '%'");
    layout.type = text[position++];
    if (layout.type == '%') {
      result += '%';
    } else {
      result += percent_text(context, value ? *value : values.next(), layout, has_zero);
    }
    context.check_size(result.size());
  }
  if (values.has_rest()) fail_format("has fewer places than values");
  return result;
}

// ---- str.format ---------------------------------------------------------------------------------

Layout parse_spec(std::string_view spec) {
  Layout layout;
  size_t position = 0;
  const auto is_align = [&](size_t at) {
    return at < spec.size() && std::string_view("<>=^").find(spec[at]) != std::string_view::npos;
  };
  const size_t first = spec.empty() ? 0 : decode_utf8(spec, 0).length;
  if (is_align(first)) {
    layout.fill = spec.substr(0, first);
    layout.align = spec[first];
    position = first + 1;
  } else if (is_align(0)) {
    layout.align = spec[position++];
  }
  const auto accept = [&](std::string_view characters) {
    const bool is_there =
        position < spec.size() && characters.find(spec[position]) != std::string_view::npos;
    return is_there ? spec[position++] : '\0';
  };
  if (const char sign = accept("+- ")) layout.sign = sign;
  layout.is_alternate = accept("#") != '\0';
  if (accept("0") != '\0' && layout.align == '\0') {
    layout.fill = "0";
    layout.align = '=';
  }
  layout.width = read_number(spec, position).value_or(0);
  layout.grouping = accept(",_");
  if (accept(".") != '\0') {
    const auto precision = read_number(spec, position);
    if (!precision) fail_format("has a '.' without a precision");
    layout.precision = *precision;
  }
  layout.type = accept("bcdeEfFgGnosxX%");
  if (position != spec.size()) {
    fail(fmt::format("a format has '{}', which cpx does not know", spec));
  }
  return layout;
}

std::string formatted(Context& context, const Value& value, std::string_view spec) {
  if (spec.empty()) return to_text(context, value);
  Layout layout = parse_spec(spec);
  if (to_double(value) && layout.type != 's' && value.as<bool>() == nullptr) {
    if (layout.precision) layout.precision = std::min(*layout.precision, kMaxPrecision);
    return number_text(context, value, layout);
  }
  if (value.text() == nullptr || (layout.type != '\0' && layout.type != 's')) {
    fail(fmt::format("a format has '{}' for a value of the type {}", spec, type_name(value)));
  }
  return padded(context, cut(*value.text(), layout.precision), layout, '<');
}

// The value that "0", "name", "name.member" or "name[key]" stands for.
Value field_value(Context& context, std::string_view field, const Arguments& arguments,
                  size_t& next) {
  const size_t name_end = std::min(field.find_first_of(".["), field.size());
  const std::string name(field.substr(0, name_end));
  size_t position = 0;
  auto index = read_number(name, position);
  if (name.empty()) index = static_cast<int64_t>(next++);
  Value value;
  if (index) {
    if (*index >= std::ssize(arguments.positional)) fail_format("has more places than values");
    value = arguments.positional[static_cast<size_t>(*index)];
  } else {
    const auto found =
        std::ranges::find(arguments.keywords, name, &std::pair<std::string, Value>::first);
    if (found == arguments.keywords.end()) {
      fail(fmt::format("a format names '{}', which is not there", name));
    }
    value = found->second;
  }
  for (std::string_view rest = field.substr(name_end); !rest.empty();) {
    const bool is_item = rest[0] == '[';
    const size_t end =
        is_item ? rest.find(']') : std::min(rest.find_first_of(".[", 1), rest.size());
    if (end == std::string_view::npos) fail_format("has a '[' without end");
    const std::string member(rest.substr(1, end - 1));
    position = 0;
    const auto number = read_number(member, position);
    value = is_item ? get_item(context, value, number ? Value{*number} : make_text(member))
                    : get_attribute(context, value, member);
    rest.remove_prefix(end + (is_item ? 1 : 0));
  }
  return value;
}

// One {field!conversion:spec}, without its braces.
std::string fill_field(Context& context, std::string_view field, const Arguments& arguments,
                       size_t& next) {
  const size_t colon = field.find(':');
  const std::string_view spec =
      colon == std::string_view::npos ? std::string_view() : field.substr(colon + 1);
  std::string_view name = field.substr(0, colon);
  if (spec.find('{') != std::string_view::npos) {
    fail_format("nests braces, which cpx does not know");
  }
  const size_t mark = name.find('!');
  const std::string_view conversion =
      mark == std::string_view::npos ? std::string_view() : name.substr(mark + 1);
  name = name.substr(0, mark);
  Value value = field_value(context, name, arguments, next);
  if (conversion == "s") value = make_text(to_text(context, value));
  if (conversion == "r") value = make_text(to_repr(context, value));
  if (!conversion.empty() && conversion != "s" && conversion != "r") {
    fail_format("has a conversion that cpx does not know");
  }
  return formatted(context, value, spec);
}

}  // namespace

Value format_percent(Context& context, const Value& text, const Value& values) {
  const auto* format = text.as<Text>();
  if (format->is_markup) fail("'%' is used on a text that is marked safe");
  context.spend(format->chars->size());
  return make_text(fill_percent(context, *format->chars, values));
}

Value format_filter(Context& context, const Value& text, const Arguments& arguments) {
  const bool has_names = !arguments.keywords.empty();
  if (has_names && !arguments.positional.empty()) {
    fail("the filter 'format' is given values with and without names");
  }
  Value values = make_sequence(Sequence::Kind::kTuple, arguments.positional);
  if (has_names) {
    auto dict = std::make_shared<Dict>();
    for (const auto& [name, value] : arguments.keywords) dict->set(make_text(name), value);
    values = {DictRef(std::move(dict))};
  }
  return format_percent(context, make_text(to_text(context, text)), values);
}

Value format_braces(Context& context, const std::string& text, const Arguments& arguments) {
  std::string result;
  size_t next = 0;
  for (size_t position = 0; position < text.size();) {
    const char c = text[position++];
    const bool is_doubled = position < text.size() && text[position] == c;
    if ((c != '{' && c != '}') || is_doubled) {
      position += (c == '{' || c == '}') ? 1 : 0;
      result += c;
      continue;
    }
    const size_t end = text.find('}', position);
    if (c == '}' || end == std::string::npos) fail_format("has a brace without its other half");
    result += fill_field(context, std::string_view(text).substr(position, end - position),
                         arguments, next);
    position = end + 1;
    context.check_size(result.size());
  }
  context.spend(result.size());
  return make_text(std::move(result));
}

}  // namespace cpx::tokenizer::jinja
