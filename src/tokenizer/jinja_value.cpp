// SPDX-License-Identifier: Apache-2.0
#include "jinja_value.h"

#include <algorithm>
#include <cmath>

#include "cpx/core/utf8.h"
#include "jinja_context.h"
#include "python_text.h"

namespace cpx::tokenizer::jinja {

namespace {

constexpr int kMaxDepth = 100;
constexpr size_t kMaxKeyBytes = size_t{1}
                                << 20;  // of a tuple, whose parts may double at each level

struct Brackets {
  const char* open;
  const char* close;
};

Brackets brackets_of(const Sequence& sequence) {
  switch (sequence.kind) {
    case Sequence::Kind::kTuple:
      return {"(", sequence.elements.size() == 1 ? ",)" : ")"};
    case Sequence::Kind::kKeys:
      return {"dict_keys([", "])"};
    case Sequence::Kind::kValues:
      return {"dict_values([", "])"};
    case Sequence::Kind::kItems:
      return {"dict_items([", "])"};
    default:
      return {"[", "]"};
  }
}

std::string sequence_repr(Context& context, const Sequence& sequence) {
  if (sequence.kind == Sequence::Kind::kRange) return sequence.range_text;
  const auto [open, close] = brackets_of(sequence);
  std::string result = open;
  for (size_t i = 0; i < sequence.elements.size(); ++i) {
    if (i > 0) result += ", ";
    result += to_repr(context, sequence.elements[i]);
    context.check_size(result.size());
  }
  return result + close;
}

std::string dict_repr(Context& context, const Dict& dict) {
  std::string result = "{";
  for (const auto& [key, value] : dict.entries()) {
    if (result.size() > 1) result += ", ";
    result += to_repr(context, key) + ": " + to_repr(context, value);
    context.check_size(result.size());
  }
  return result + "}";
}

// A number as a double; 3 and 3.0 and (for 1) true are the same to Python.
std::optional<double> as_double(const Value& value) {
  if (const auto* flag = value.as<bool>()) return *flag ? 1.0 : 0.0;
  if (const auto* number = value.as<int64_t>()) return static_cast<double>(*number);
  if (const auto* number = value.as<double>()) return *number;
  return std::nullopt;
}

std::optional<int64_t> as_integer(const Value& value) {
  if (const auto* flag = value.as<bool>()) return *flag ? 1 : 0;
  if (const auto* number = value.as<int64_t>()) return *number;
  return std::nullopt;
}

// Negative, 0 or positive as left is below, equal to or above right; nothing for NaN.
std::optional<int> order_of_numbers(const Value& left, const Value& right) {
  const auto a = as_integer(left);
  const auto b = as_integer(right);
  if (a && b) return *a < *b ? -1 : *a > *b ? 1 : 0;
  const auto x = as_double(left);
  const auto y = as_double(right);
  if (std::isnan(*x) || std::isnan(*y)) return std::nullopt;
  return *x < *y ? -1 : *x > *y ? 1 : 0;
}

bool is_number(const Value& value) { return as_double(value).has_value(); }

// What is neither a list nor a tuple (a view, a range) equals what has the same elements and kind.
bool are_sequences_equal(Context& context, const Sequence& left, const Sequence& right) {
  if (left.kind != right.kind || left.elements.size() != right.elements.size()) return false;
  for (size_t i = 0; i < left.elements.size(); ++i) {
    if (!are_equal(context, left.elements[i], right.elements[i])) return false;
  }
  return true;
}

bool are_dicts_equal(Context& context, const Dict& left, const Dict& right) {
  if (left.entries().size() != right.entries().size()) return false;
  for (const auto& [key, value] : left.entries()) {
    const Value* other = right.find(key);
    if (other == nullptr || !are_equal(context, value, *other)) return false;
  }
  return true;
}

bool is_sequence_less(Context& context, const Sequence& left, const Sequence& right) {
  const size_t common = std::min(left.elements.size(), right.elements.size());
  for (size_t i = 0; i < common; ++i) {
    if (are_equal(context, left.elements[i], right.elements[i])) continue;
    return is_less(context, left.elements[i], right.elements[i]);
  }
  return left.elements.size() < right.elements.size();
}

int checked_depth(int depth) {
  if (depth > kMaxDepth) fail(fmt::format("its values nest more than {} levels deep", kMaxDepth));
  return depth;
}

}  // namespace

// ---- Dict ---------------------------------------------------------------------------------------

const Value* Dict::find(const Value& key) const {
  const auto place = places_.find(hash_key(key));
  return place == places_.end() ? nullptr : &entries_[place->second].second;
}

const Value* Dict::find(std::string_view key) const { return find(make_text(std::string(key))); }

void Dict::set(const Value& key, Value value) {
  depth_ = std::max({depth_, 1 + nested_depth(key), 1 + nested_depth(value)});
  const auto [place, is_new] = places_.try_emplace(hash_key(key), entries_.size());
  if (is_new) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
}

// ---- Making values ------------------------------------------------------------------------------

Value make_text(std::string text, bool is_markup) {
  return {Text{std::make_shared<const std::string>(std::move(text)), is_markup}};
}

Value make_sequence(Sequence::Kind kind, Values elements) {
  int depth = 1;
  for (const auto& element : elements) depth = std::max(depth, 1 + nested_depth(element));
  return {std::make_shared<const Sequence>(
      Sequence{.kind = kind, .elements = std::move(elements), .depth = depth})};
}

Value make_list(Values elements) {
  return make_sequence(Sequence::Kind::kList, std::move(elements));
}

Value make_undefined(std::string reason) {
  return {Undefined{std::make_shared<const std::string>(std::move(reason))}};
}

Value make_generator(int source_depth, std::function<std::optional<Value>()> next) {
  return {std::make_shared<Generator>(
      Generator{.next = std::move(next), .depth = checked_depth(source_depth + 1)})};
}

// ---- What Python says of them -------------------------------------------------------------------

bool is_true(const Value& value) {
  if (const auto number = as_double(value)) return *number != 0;
  if (const auto* text = value.text()) return !text->empty();
  if (const auto* list = value.as<SequenceRef>()) return !(*list)->elements.empty();
  if (const auto* dict = value.as<DictRef>()) return !(*dict)->entries().empty();
  return value.as<GeneratorRef>() != nullptr || value.as<ObjectRef>() != nullptr;
}

bool are_equal(Context& context, const Value& left, const Value& right) {
  context.step();
  if (is_number(left) && is_number(right)) return order_of_numbers(left, right) == 0;
  if (left.data.index() != right.data.index()) return false;
  if (const auto* text = left.text()) {
    context.spend(std::min(text->size(), right.text()->size()));
    return *text == *right.text();
  }
  if (const auto* list = left.as<SequenceRef>()) {
    return are_sequences_equal(context, **list, **right.as<SequenceRef>());
  }
  if (const auto* dict = left.as<DictRef>()) {
    return are_dicts_equal(context, **dict, **right.as<DictRef>());
  }
  if (const auto* generator = left.as<GeneratorRef>()) {
    return *generator == *right.as<GeneratorRef>();
  }
  if (const auto* object = left.as<ObjectRef>()) return *object == *right.as<ObjectRef>();
  return true;
}

bool is_less(Context& context, const Value& left, const Value& right) {
  context.step();
  for (const Value* value : {&left, &right}) {
    if (const auto* undefined = value->as<Undefined>()) fail_undefined(*undefined);
  }
  if (is_number(left) && is_number(right)) return order_of_numbers(left, right).value_or(0) < 0;
  if (left.text() != nullptr && right.text() != nullptr) {
    context.spend(std::min(left.text()->size(), right.text()->size()));
    return *left.text() < *right.text();  // UTF-8 sorts as its code points do
  }
  const auto* a = left.as<SequenceRef>();
  const auto* b = right.as<SequenceRef>();
  if (a != nullptr && b != nullptr && (*a)->kind == (*b)->kind &&
      ((*a)->kind == Sequence::Kind::kList || (*a)->kind == Sequence::Kind::kTuple)) {
    return is_sequence_less(context, **a, **b);
  }
  fail(fmt::format("it orders {} and {}", type_name(left), type_name(right)));
}

std::string float_text(double number) {
  std::string text = fmt::format("{}", number);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

std::string to_text(Context& context, const Value& value) {
  if (const auto* text = value.text()) return *text;
  if (value.is_undefined()) return "";
  return to_repr(context, value);
}

std::string to_repr(Context& context, const Value& value) {
  context.step();
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (const auto* flag = value.as<bool>()) return *flag ? "True" : "False";
  if (const auto* number = value.as<int64_t>()) return std::to_string(*number);
  if (const auto* number = value.as<double>()) return float_text(*number);
  if (const auto* text = value.as<Text>()) {
    context.spend(text->chars->size());
    const std::string quoted = python_repr(*text->chars);
    return text->is_markup ? "Markup(" + quoted + ")" : quoted;
  }
  const Context::DepthGuard guard(context);
  if (const auto* list = value.as<SequenceRef>()) return sequence_repr(context, **list);
  if (const auto* dict = value.as<DictRef>()) return dict_repr(context, **dict);
  const auto* object = value.as<ObjectRef>();
  if (object == nullptr) {
    fail("it prints what a filter makes one by one; put '| list' or '| join' behind the filter");
  }
  if (auto printed = (*object)->printed(context)) return *printed;
  fail("it prints " + (*object)->description());
}

std::string type_name(const Value& value) {
  constexpr const char* kNames[] = {"undefined", "None", "bool", "int",       "float",
                                    "str",       "",     "dict", "generator", "object"};
  const auto* sequence = value.as<SequenceRef>();
  if (sequence == nullptr) return kNames[value.data.index()];
  constexpr const char* kSequences[] = {"list",      "tuple",       "range",
                                        "dict_keys", "dict_values", "dict_items"};
  return kSequences[static_cast<size_t>((*sequence)->kind)];
}

bool is_hashable(const Value& value) {
  const auto* sequence = value.as<SequenceRef>();
  return value.as<DictRef>() == nullptr && value.as<GeneratorRef>() == nullptr &&
         value.as<ObjectRef>() == nullptr &&
         (sequence == nullptr || (*sequence)->kind == Sequence::Kind::kTuple);
}

std::string hash_key(const Value& value) {
  if (const auto* text = value.text()) return "s" + *text;
  if (const auto number = as_integer(value)) return "n" + std::to_string(*number);
  if (const auto* number = value.as<double>()) {
    const bool is_whole = std::trunc(*number) == *number && std::abs(*number) < 9e18;
    return "n" + (is_whole ? std::to_string(static_cast<int64_t>(*number)) : float_text(*number));
  }
  if (value.is_none()) return "o";
  if (value.is_undefined()) return "u";
  if (!is_hashable(value)) fail("a key is of the unhashable type " + type_name(value));
  std::string key = "t";
  for (const auto& element : (*value.as<SequenceRef>())->elements) {
    const std::string part = hash_key(element);
    key += fmt::format("{}:{}", part.size(), part);
    if (key.size() > kMaxKeyBytes) fail("a tuple that is a key is too large");
  }
  return key;
}

int nested_depth(const Value& value) {
  if (const auto* list = value.as<SequenceRef>()) return checked_depth((*list)->depth);
  if (const auto* dict = value.as<DictRef>()) return checked_depth((*dict)->depth());
  if (const auto* generator = value.as<GeneratorRef>()) return checked_depth((*generator)->depth);
  return 0;
}

void fail(std::string what) { throw TemplateFault{.what = std::move(what)}; }

void fail_undefined(const Undefined& value) {
  fail(value.reason != nullptr ? *value.reason : "a value is undefined");
}

}  // namespace cpx::tokenizer::jinja
