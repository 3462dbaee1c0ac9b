// SPDX-License-Identifier: Apache-2.0
// Source: Python's operators and jinja2 3.1.6 (sandbox.py: getattr, getitem, is_safe_attribute).
#include "jinja_operators.h"

#include <algorithm>
#include <cmath>

#include "cpx/core/utf8.h"
#include "jinja_methods.h"
#include "python_format.h"
#include "python_text.h"

namespace cpx::tokenizer::jinja {

namespace {

[[noreturn]] void fail_operator(const std::string& symbol, const Value& left, const Value& right) {
  for (const Value* value : {&left, &right}) {
    if (const auto* undefined = value->as<Undefined>()) fail_undefined(*undefined);
  }
  fail(fmt::format("'{}' cannot take {} and {}", symbol, type_name(left), type_name(right)));
}

std::optional<int64_t> integer_of(const Value& value) {
  if (const auto* flag = value.as<bool>()) return *flag ? 1 : 0;
  if (const auto* number = value.as<int64_t>()) return *number;
  return std::nullopt;
}

// ---- Numbers ------------------------------------------------------------------------------------

// Rounds down, as Python does; C++ rounds towards 0.
Value divide_down(const std::string& symbol, int64_t left, int64_t right) {
  if (right == 0) fail("it divides by 0");
  if (right == -1) {
    int64_t result = 0;
    if (__builtin_sub_overflow(int64_t{0}, left, &result)) fail("a number is too large");
    return {symbol == "%" ? int64_t{0} : result};
  }
  const int64_t remainder = left % right;
  const bool is_below = remainder != 0 && (remainder < 0) != (right < 0);
  if (symbol == "%") return {remainder + (is_below ? right : 0)};
  return {left / right - (is_below ? 1 : 0)};
}

Value raise_to_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) fail("it divides by 0");
    return {std::pow(static_cast<double>(base), static_cast<double>(exponent))};
  }
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
      fail("a number is too large");
    }
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) fail("a number is too large");
  }
  return {result};
}

Value combine_integers(const std::string& symbol, int64_t left, int64_t right) {
  int64_t result = 0;
  bool overflows = false;
  if (symbol == "+") {
    overflows = __builtin_add_overflow(left, right, &result);
  } else if (symbol == "-") {
    overflows = __builtin_sub_overflow(left, right, &result);
  } else if (symbol == "*") {
    overflows = __builtin_mul_overflow(left, right, &result);
  } else if (symbol == "/") {
    if (right == 0) fail("it divides by 0");
    return {static_cast<double>(left) / static_cast<double>(right)};
  } else if (symbol == "**") {
    return raise_to_power(left, right);
  } else {
    return divide_down(symbol, left, right);
  }
  if (overflows) fail("a number is too large");
  return {result};
}

Value combine_doubles(const std::string& symbol, double left, double right) {
  if (symbol == "+") return {left + right};
  if (symbol == "-") return {left - right};
  if (symbol == "*") return {left * right};
  if (symbol == "**") {
    const double result = std::pow(left, right);
    if (!std::isfinite(result) && std::isfinite(left) && std::isfinite(right)) {
      fail("a number is too large");
    }
    return {result};
  }
  if (right == 0) fail("it divides by 0");
  if (symbol == "/") return {left / right};
  double remainder = std::fmod(left, right);
  if (remainder != 0 && (remainder < 0) != (right < 0)) remainder += right;
  if (symbol == "%") return {remainder == 0 ? std::copysign(0.0, right) : remainder};
  return {std::round((left - remainder) / right)};
}

// ---- Texts and lists ----------------------------------------------------------------------------

std::string escape_unless_markup(const Text& text) {
  return text.is_markup ? *text.chars : escape_html(*text.chars);
}

Value join_texts(Context& context, const Text& left, const Text& right) {
  context.spend(left.chars->size() + right.chars->size());
  if (left.is_markup || right.is_markup) {
    return make_text(escape_unless_markup(left) + escape_unless_markup(right), true);
  }
  return make_text(*left.chars + *right.chars);
}

bool is_list_or_tuple(const Sequence& sequence) {
  return sequence.kind == Sequence::Kind::kList || sequence.kind == Sequence::Kind::kTuple;
}

Value join_sequences(Context& context, const Sequence& left, const Sequence& right) {
  context.spend((left.elements.size() + right.elements.size()) * sizeof(Value));
  Values joined = left.elements;
  joined.insert(joined.end(), right.elements.begin(), right.elements.end());
  return make_sequence(left.kind, std::move(joined));
}

// A text, list or tuple so many times; nothing for what cannot be repeated.
std::optional<Value> repeat(Context& context, const Value& value, int64_t times) {
  const auto count = static_cast<uint64_t>(std::max<int64_t>(times, 0));
  const auto check = [&](uint64_t size) {
    if (size > 0 && count > Context::kMaxTextBytes / size) context.check_size(UINT64_MAX);
    context.spend(size * count);
  };
  if (const auto* text = value.as<Text>()) {
    check(text->chars->size());
    std::string result;
    for (uint64_t i = 0; i < count && !text->chars->empty(); ++i) result += *text->chars;
    return make_text(std::move(result), text->is_markup);
  }
  const auto* list = value.as<SequenceRef>();
  if (list == nullptr || !is_list_or_tuple(**list)) return std::nullopt;
  check((*list)->elements.size() * sizeof(Value));
  Values result;
  for (uint64_t i = 0; i < count && !(*list)->elements.empty(); ++i) {
    result.insert(result.end(), (*list)->elements.begin(), (*list)->elements.end());
  }
  return make_sequence((*list)->kind, std::move(result));
}

std::optional<Value> join(Context& context, const Value& left, const Value& right) {
  const auto* left_text = left.as<Text>();
  const auto* right_text = right.as<Text>();
  if (left_text != nullptr && right_text != nullptr) {
    return join_texts(context, *left_text, *right_text);
  }
  const auto* a = left.as<SequenceRef>();
  const auto* b = right.as<SequenceRef>();
  if (a == nullptr || b == nullptr || (*a)->kind != (*b)->kind || !is_list_or_tuple(**a)) {
    return std::nullopt;
  }
  return join_sequences(context, **a, **b);
}

bool contains(Context& context, const Value& container, const Value& element) {
  if (const auto* text = container.text()) {
    const auto* part = element.text();
    if (const auto* undefined = element.as<Undefined>()) fail_undefined(*undefined);
    if (part == nullptr) fail("'in' looks for " + type_name(element) + " in a str");
    context.spend(text->size());
    return find_part(*text, *part) != std::string::npos;
  }
  if (const auto* dict = container.as<DictRef>()) return (*dict)->find(element) != nullptr;
  const Iterator next = iterate(context, container);
  while (const auto value = next()) {
    if (are_equal(context, *value, element)) return true;
  }
  return false;
}

// ---- Members ------------------------------------------------------------------------------------

// Python's name of the type in "'dict object' has no attribute 'x'".
std::string owner_of(const Value& value) {
  if (value.is_none()) return "None";
  if (const auto* object = value.as<ObjectRef>()) return (*object)->description();
  return fmt::format("'{} object'", type_name(value));
}

Value missing_member(const Value& owner, const std::string& name) {
  return make_undefined(fmt::format("{} has no attribute '{}'", owner_of(owner), name));
}

Value missing_element(const Value& owner, const Value& index) {
  const std::string shown = index.as<int64_t>() != nullptr
                                ? std::to_string(*index.as<int64_t>())
                                : "a key of the type " + type_name(index);
  return make_undefined(fmt::format("{} has no element {}", owner_of(owner), shown));
}

std::optional<Value> find_attribute(Context& context, const Value& value, const std::string& name) {
  if (const auto* undefined = value.as<Undefined>()) fail_undefined(*undefined);
  if (const auto* object = value.as<ObjectRef>()) return (*object)->attribute(context, name);
  return find_method(value, name);
}

// An element of a list or text at an index that may count from the end.
std::optional<Value> element_at(const Value& value, int64_t index) {
  const bool is_text = value.text() != nullptr;
  const auto* list = value.as<SequenceRef>();
  const bool has_index =
      list != nullptr && (is_list_or_tuple(**list) || (*list)->kind == Sequence::Kind::kRange);
  if (!is_text && !has_index) return std::nullopt;
  const int64_t size = length_of(value);
  const int64_t position = index < 0 ? index + size : index;
  if (position < 0 || position >= size) return std::nullopt;
  if (!is_text) return (*list)->elements[static_cast<size_t>(position)];
  return make_text(std::string(python_substring(*value.text(), position, position + 1)),
                   value.as<Text>()->is_markup);
}

std::optional<Value> find_element(Context& context, const Value& value, const Value& index) {
  if (const auto* dict = value.as<DictRef>()) {
    const Value* found = is_hashable(index) ? (*dict)->find(index) : nullptr;
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }
  if (const auto* text = value.text()) context.spend(text->size());
  const auto number = integer_of(index);
  return number ? element_at(value, *number) : std::nullopt;
}

// ---- Slices -------------------------------------------------------------------------------------

// Where a slice begins and ends, clipped to what there is, as Python's slice.indices() has it.
struct SliceRange {
  int64_t begin;
  int64_t end;
  int64_t step;

  std::vector<int64_t> positions() const {
    std::vector<int64_t> result;
    for (int64_t i = begin; step > 0 ? i < end : i > end; i += step) result.push_back(i);
    return result;
  }
};

int64_t clip_limit(const Value& value, int64_t fallback, int64_t size, int64_t low, int64_t high) {
  if (value.is_none()) return fallback;
  const int64_t index = to_integer(value, "a limit of a slice");
  return std::clamp(index < 0 ? std::max(index, -size - 1) + size : index, low, high);
}

SliceRange slice_range(const Value& begin, const Value& end, const Value& step, int64_t size) {
  int64_t stride = step.is_none() ? 1 : to_integer(step, "the step of a slice");
  if (stride == 0) fail("the step of a slice is 0");
  stride = std::clamp(stride, -size - 1, size + 1);
  const int64_t low = stride > 0 ? 0 : -1;
  const int64_t high = stride > 0 ? size : size - 1;
  return {.begin = clip_limit(begin, stride > 0 ? low : high, size, low, high),
          .end = clip_limit(end, stride > 0 ? high : low, size, low, high),
          .step = stride};
}

Value slice_text(const Text& text, const SliceRange& range) {
  if (range.step == 1) {
    const int64_t end = std::max(range.begin, range.end);
    return make_text(std::string(python_substring(*text.chars, range.begin, end)), text.is_markup);
  }
  std::vector<std::string_view> characters;
  for (size_t position = 0; position < text.chars->size();) {
    const size_t length = decode_utf8(*text.chars, position).length;
    characters.push_back(std::string_view(*text.chars).substr(position, length));
    position += length;
  }
  std::string result;
  for (const int64_t i : range.positions()) result += characters[static_cast<size_t>(i)];
  return make_text(std::move(result), text.is_markup);
}

}  // namespace

Value combine(Context& context, const std::string& symbol, const Value& left, const Value& right) {
  if (symbol == "%" && left.text() != nullptr) return format_percent(context, left, right);
  const auto a = integer_of(left);
  const auto b = integer_of(right);
  if (a && b) return combine_integers(symbol, *a, *b);
  const auto x = to_double(left);
  const auto y = to_double(right);
  if (x && y) return combine_doubles(symbol, *x, *y);
  std::optional<Value> result;
  if (symbol == "+") result = join(context, left, right);
  if (symbol == "*" && b) result = repeat(context, left, *b);
  if (symbol == "*" && a) result = repeat(context, right, *a);
  if (!result) fail_operator(symbol, left, right);
  return *result;
}

Value negate(const Value& value, bool is_minus) {
  if (const auto* undefined = value.as<Undefined>()) fail_undefined(*undefined);
  if (const auto number = integer_of(value)) {
    return is_minus ? combine_integers("-", 0, *number) : Value{*number};
  }
  const auto number = to_double(value);
  if (!number) fail("a sign stands in front of " + type_name(value));
  return {is_minus ? -*number : *number};
}

bool compare(Context& context, const std::string& symbol, const Value& left, const Value& right) {
  if (symbol == "==") return are_equal(context, left, right);
  if (symbol == "!=") return !are_equal(context, left, right);
  if (symbol == "in") return contains(context, right, left);
  if (symbol == "not in") return !contains(context, right, left);
  if (symbol == "<") return is_less(context, left, right);
  if (symbol == ">") return is_less(context, right, left);
  const bool is_equal = are_equal(context, left, right);
  const bool is_strict =
      is_less(context, symbol == "<=" ? left : right, symbol == "<=" ? right : left);
  return is_equal || is_strict;
}

Value get_attribute(Context& context, const Value& value, const std::string& name) {
  if (auto found = find_attribute(context, value, name)) return *found;
  if (const auto* dict = value.as<DictRef>()) {
    if (const Value* found = (*dict)->find(name)) return *found;
  }
  return missing_member(value, name);
}

Value get_item(Context& context, const Value& value, const Value& index) {
  if (const auto* undefined = value.as<Undefined>()) fail_undefined(*undefined);
  if (auto found = find_element(context, value, index)) return *found;
  const auto* name = index.text();
  if (name == nullptr) return missing_element(value, index);
  if (auto found = find_attribute(context, value, *name)) return *found;
  return missing_member(value, *name);
}

Value slice(Context& context, const Value& value, const Value& begin, const Value& end,
            const Value& step) {
  if (const auto* undefined = value.as<Undefined>()) fail_undefined(*undefined);
  const auto* list = value.as<SequenceRef>();
  const auto* text = value.as<Text>();
  if (text == nullptr && (list == nullptr || !is_list_or_tuple(**list))) {
    // jinja2 finds no such element, and nothing is printed; a range is beyond what cpx knows.
    if (list != nullptr && (*list)->kind == Sequence::Kind::kRange) fail("it slices a range");
    return make_undefined(fmt::format("{} cannot be sliced", owner_of(value)));
  }
  const SliceRange range = slice_range(begin, end, step, length_of(value));
  if (text != nullptr) {
    const size_t each = range.step == 1 ? 1 : sizeof(std::string_view) + sizeof(int64_t);
    context.spend(text->chars->size() * each);
    return slice_text(*text, range);
  }
  const auto positions = range.positions();
  context.spend(positions.size() * sizeof(Value));
  Values elements;
  for (const int64_t i : positions) elements.push_back((*list)->elements[static_cast<size_t>(i)]);
  return make_sequence((*list)->kind, std::move(elements));
}

Value call(Context& context, const Value& value, const Arguments& arguments) {
  if (const auto* undefined = value.as<Undefined>()) fail_undefined(*undefined);
  const auto* object = value.as<ObjectRef>();
  if (object == nullptr || !(*object)->is_callable()) {
    fail(fmt::format(
        "it calls {}, which is no function",
        object != nullptr ? (*object)->description() : "a value of the type " + type_name(value)));
  }
  const Context::DepthGuard guard(context);
  context.step();
  return ObjectRef(*object)->call(context, arguments);
}

Iterator iterate(Context& context, const Value& value) {
  if (const auto* generator = value.as<GeneratorRef>()) {
    return [&context, source = *generator] {
      const Context::DepthGuard guard(context);
      context.step();
      return source->next();
    };
  }
  if (value.is_undefined()) return [] { return std::optional<Value>(); };
  if (const auto* list = value.as<SequenceRef>()) {
    return [&context, source = *list, next = size_t{0}]() mutable -> std::optional<Value> {
      context.step();
      if (next == source->elements.size()) return std::nullopt;
      return source->elements[next++];
    };
  }
  if (const auto* dict = value.as<DictRef>()) {
    return [&context, source = *dict, next = size_t{0}]() mutable -> std::optional<Value> {
      context.step();
      if (next == source->entries().size()) return std::nullopt;
      return source->entries()[next++].first;
    };
  }
  const auto* text = value.as<Text>();
  if (text == nullptr) {
    const auto* object = value.as<ObjectRef>();
    fail("it loops over " + (object != nullptr ? (*object)->description()
                                               : "a value of the type " + type_name(value)));
  }
  return [&context, source = *text, next = size_t{0}]() mutable -> std::optional<Value> {
    context.step();
    if (next == source.chars->size()) return std::nullopt;
    const size_t length = decode_utf8(*source.chars, next).length;
    next += length;
    return make_text(source.chars->substr(next - length, length));
  };
}

Values elements_of(Context& context, const Value& value) {
  Values elements;
  const Iterator next = iterate(context, value);
  while (auto element = next()) {
    context.spend(Context::kElementBytes);
    elements.push_back(std::move(*element));
  }
  return elements;
}

int64_t length_of(const Value& value) {
  if (const auto* list = value.as<SequenceRef>()) return std::ssize((*list)->elements);
  if (const auto* dict = value.as<DictRef>()) return std::ssize((*dict)->entries());
  if (const auto* text = value.text()) return python_length(*text);
  if (value.is_undefined()) return 0;
  fail("it asks for the length of " + (value.as<ObjectRef>() != nullptr
                                           ? (*value.as<ObjectRef>())->description()
                                           : "a value of the type " + type_name(value)));
}

int64_t to_integer(const Value& value, const std::string& what) {
  if (const auto* undefined = value.as<Undefined>()) fail_undefined(*undefined);
  const auto number = integer_of(value);
  if (!number) fail(fmt::format("{} is of the type {}, expected int", what, type_name(value)));
  return *number;
}

std::optional<double> to_double(const Value& value) {
  if (const auto* flag = value.as<bool>()) return *flag ? 1.0 : 0.0;
  if (const auto* number = value.as<int64_t>()) return static_cast<double>(*number);
  if (const auto* number = value.as<double>()) return *number;
  return std::nullopt;
}

}  // namespace cpx::tokenizer::jinja
