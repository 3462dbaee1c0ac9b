// SPDX-License-Identifier: Apache-2.0
// Source: jinja2 3.1.6, tests.py.
#include <algorithm>
#include <iterator>
#include <string_view>

#include "cpx/core/text.h"
#include "jinja_arguments.h"
#include "jinja_functions.h"
#include "jinja_operators.h"
#include "python_text.h"

namespace cpx::tokenizer::jinja {

namespace {

bool is_defined(Context&, const Value& value, const BoundArguments&) {
  return !value.is_undefined();
}
bool is_not_defined(Context&, const Value& value, const BoundArguments&) {
  return value.is_undefined();
}
bool is_python_none(Context&, const Value& value, const BoundArguments&) { return value.is_none(); }
bool is_boolean(Context&, const Value& value, const BoundArguments&) {
  return value.as<bool>() != nullptr;
}
bool is_the_true(Context&, const Value& value, const BoundArguments&) {
  return value.as<bool>() != nullptr && *value.as<bool>();
}
bool is_the_false(Context&, const Value& value, const BoundArguments&) {
  return value.as<bool>() != nullptr && !*value.as<bool>();
}
bool is_integer(Context&, const Value& value, const BoundArguments&) {
  return value.as<int64_t>() != nullptr;
}
bool is_float(Context&, const Value& value, const BoundArguments&) {
  return value.as<double>() != nullptr;
}
bool is_a_number(Context&, const Value& value, const BoundArguments&) {
  return to_double(value).has_value();
}
bool is_string(Context&, const Value& value, const BoundArguments&) {
  return value.text() != nullptr;
}
bool is_mapping(Context&, const Value& value, const BoundArguments&) {
  return value.as<DictRef>() != nullptr;
}

bool is_iterable(Context&, const Value& value, const BoundArguments&) {
  const bool is_container = value.as<SequenceRef>() != nullptr || value.as<DictRef>() != nullptr ||
                            value.as<GeneratorRef>() != nullptr;
  return is_container || value.text() != nullptr || value.is_undefined();
}

bool is_sequence(Context&, const Value& value, const BoundArguments&) {
  const auto* list = value.as<SequenceRef>();
  const bool has_index = list != nullptr && ((*list)->kind == Sequence::Kind::kList ||
                                             (*list)->kind == Sequence::Kind::kTuple ||
                                             (*list)->kind == Sequence::Kind::kRange);
  return has_index || value.as<DictRef>() != nullptr || value.text() != nullptr ||
         value.is_undefined();
}

bool is_callable(Context&, const Value& value, const BoundArguments&) {
  const auto* object = value.as<ObjectRef>();
  return value.is_undefined() || (object != nullptr && (*object)->is_callable());
}

bool has_remainder(Context& context, const Value& value, const Value& divisor, int64_t remainder) {
  return are_equal(context, combine(context, "%", value, divisor), {remainder});
}
bool is_odd(Context& context, const Value& value, const BoundArguments&) {
  return has_remainder(context, value, {int64_t{2}}, 1);
}
bool is_even(Context& context, const Value& value, const BoundArguments&) {
  return has_remainder(context, value, {int64_t{2}}, 0);
}
bool is_divisible(Context& context, const Value& value, const BoundArguments& given) {
  return has_remainder(context, value, given.at(0), 0);
}

// Python's `is`: the same object. Equal numbers and texts are taken for the same.
bool is_same(Context& context, const Value& value, const BoundArguments& given) {
  const Value& other = given.at(0);
  if (value.data.index() != other.data.index()) return false;
  if (const auto* list = value.as<SequenceRef>()) return *list == *other.as<SequenceRef>();
  if (const auto* dict = value.as<DictRef>()) return *dict == *other.as<DictRef>();
  return are_equal(context, value, other);
}

bool is_lower(Context& context, const Value& value, const BoundArguments&) {
  const std::string text = to_text(context, value);
  return text == python_lower(text) && text != python_upper(text);
}
bool is_upper(Context& context, const Value& value, const BoundArguments&) {
  const std::string text = to_text(context, value);
  return text == python_upper(text) && text != python_lower(text);
}
bool is_escaped(Context&, const Value& value, const BoundArguments&) {
  return value.as<Text>() != nullptr && value.as<Text>()->is_markup;
}

bool is_filter(Context&, const Value& value, const BoundArguments&) {
  return value.text() != nullptr && is_known_filter(*value.text());
}
bool is_test(Context&, const Value& value, const BoundArguments&) {
  return value.text() != nullptr && is_known_test(*value.text());
}

struct Test {
  std::string_view name;
  bool has_argument;
  bool (*passes)(Context&, const Value&, const BoundArguments&);
};

constexpr Test kTests[] = {
    {"boolean", false, is_boolean},   {"callable", false, is_callable},
    {"defined", false, is_defined},   {"divisibleby", true, is_divisible},
    {"escaped", false, is_escaped},   {"even", false, is_even},
    {"false", false, is_the_false},   {"filter", false, is_filter},
    {"float", false, is_float},       {"integer", false, is_integer},
    {"iterable", false, is_iterable}, {"lower", false, is_lower},
    {"mapping", false, is_mapping},   {"none", false, is_python_none},
    {"number", false, is_a_number},   {"odd", false, is_odd},
    {"sameas", true, is_same},        {"sequence", false, is_sequence},
    {"string", false, is_string},     {"test", false, is_test},
    {"true", false, is_the_true},     {"undefined", false, is_not_defined},
    {"upper", false, is_upper},
};

struct Comparison {
  std::string_view name;
  const char* symbol;
};
constexpr Comparison kComparisons[] = {
    {"==", "=="},      {"eq", "=="}, {"equalto", "=="}, {"!=", "!="},
    {"ne", "!="},      {">", ">"},   {"gt", ">"},       {"greaterthan", ">"},
    {"ge", ">="},      {">=", ">="}, {"<", "<"},        {"lt", "<"},
    {"lessthan", "<"}, {"<=", "<="}, {"le", "<="},      {"in", "in"},
};

const Test* find_test(const std::string& name) {
  const auto* found = std::ranges::find(kTests, std::string_view(name), &Test::name);
  return found == std::end(kTests) ? nullptr : found;
}

const Comparison* find_comparison(const std::string& name) {
  const auto* found = std::ranges::find(kComparisons, std::string_view(name), &Comparison::name);
  return found == std::end(kComparisons) ? nullptr : found;
}

}  // namespace

bool apply_test(Context& context, const std::string& name, const Value& value,
                const Arguments& arguments) {
  context.step();
  const std::string what = fmt::format("the test '{}'", name);
  if (const Comparison* comparison = find_comparison(name)) {
    const BoundArguments given(what, {"other"}, arguments);
    return compare(context, comparison->symbol, value, given.at(0));
  }
  const Test* test = find_test(name);
  if (test == nullptr) {
    fail(fmt::format("it uses the test {}, which cpx does not know", quote(name)));
  }
  return test->passes(context, value,
                      test->has_argument ? BoundArguments(what, {"other"}, arguments)
                                         : BoundArguments(what, {}, arguments));
}

bool is_known_test(const std::string& name) {
  return find_test(name) != nullptr || find_comparison(name) != nullptr;
}

}  // namespace cpx::tokenizer::jinja
