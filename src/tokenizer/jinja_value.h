// SPDX-License-Identifier: Apache-2.0
// Values of chat templates: what Python's types are to jinja2.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "cpx/core/error.h"

namespace cpx::tokenizer::jinja {

class Context;
class Dict;
class Object;
struct Sequence;
struct Generator;

/// The reason is what is said where a template uses the value for more than printing or testing it.
struct Undefined {
  std::shared_ptr<const std::string> reason = nullptr;
};
struct None {};
/// UTF-8; `is_markup` is what the filters `safe` and `escape` set.
struct Text {
  std::shared_ptr<const std::string> chars;
  bool is_markup = false;
};
using SequenceRef = std::shared_ptr<const Sequence>;
using DictRef = std::shared_ptr<const Dict>;
using GeneratorRef = std::shared_ptr<Generator>;
using ObjectRef = std::shared_ptr<Object>;

/// A value; copies share texts and containers, which never change once they are made.
struct Value {
  std::variant<Undefined, None, bool, int64_t, double, Text, SequenceRef, DictRef, GeneratorRef,
               ObjectRef>
      data;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
  /// The characters of a text, or null.
  const std::string* text() const {
    const auto* value = as<Text>();
    return value != nullptr ? value->chars.get() : nullptr;
  }
  bool is_undefined() const { return as<Undefined>() != nullptr; }
  bool is_none() const { return as<None>() != nullptr; }
};

using Values = std::vector<Value>;

/// A list, and what else holds values in an order.
struct Sequence {
  enum class Kind { kList, kTuple, kRange, kKeys, kValues, kItems };
  Kind kind = Kind::kList;
  Values elements = {};
  /// How deep containers nest in it; see nested_depth().
  int depth = 1;
  /// How a range prints.
  std::string range_text = {};
};

/// What a dict maps, in the order in which keys came.
class Dict {
 public:
  using Entries = std::vector<std::pair<Value, Value>>;

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  /// Adds or replaces. Throws for keys that Python cannot hash.
  void set(const Value& key, Value value);
  const Entries& entries() const { return entries_; }
  int depth() const { return depth_; }

 private:
  Entries entries_;
  std::unordered_map<std::string, size_t> places_;  // by hash_key()
  int depth_ = 1;
};

/// Values that are made when they are asked for, once.
struct Generator {
  std::function<std::optional<Value>()> next;
  int depth = 1;
};

/// What a call was given.
struct Arguments {
  Values positional = {};
  std::vector<std::pair<std::string, Value>> keywords = {};
};

/// Values with a behaviour of their own: functions, macros, namespaces, the variable `loop`.
class Object {
 public:
  virtual ~Object() = default;
  /// The attribute `name`, or nothing.
  virtual std::optional<Value> attribute(Context&, const std::string& /*name*/) { return {}; }
  virtual bool is_callable() const { return true; }
  virtual Value call(Context& context, const Arguments& arguments) = 0;
  /// As Python prints it; nothing where that would be an address.
  virtual std::optional<std::string> printed(Context&) const { return {}; }
  /// What it is, for messages: "the macro 'f'".
  virtual std::string description() const = 0;
};

// ---- Making values ------------------------------------------------------------------------------

Value make_text(std::string text, bool is_markup = false);
Value make_list(Values elements);
Value make_sequence(Sequence::Kind kind, Values elements);
Value make_undefined(std::string reason);
Value make_generator(int source_depth, std::function<std::optional<Value>()> next);

// ---- What Python says of them -------------------------------------------------------------------

/// As bool(value).
bool is_true(const Value& value);

/// As left == right.
bool are_equal(Context& context, const Value& left, const Value& right);

/// As left < right; throws for what has no order.
bool is_less(Context& context, const Value& left, const Value& right);

/// As str(value), which is what {{ }} prints.
std::string to_text(Context& context, const Value& value);

/// As repr(value), which is how a list prints its elements.
std::string to_repr(Context& context, const Value& value);

/// As repr(number): the shortest text that reads back as it.
std::string float_text(double number);

/// Python's name of its type, for messages: "str", "NoneType".
std::string type_name(const Value& value);

/// False for lists and dicts, which cannot be keys.
bool is_hashable(const Value& value);

/// A text that is equal for equal keys; throws for what Python cannot hash.
std::string hash_key(const Value& value);

/// How deep containers nest in `value`: 0 for a number. Throws past the limit.
int nested_depth(const Value& value);

/// Throws TemplateFault.
[[noreturn]] void fail(std::string what);

/// Throws the fault that an undefined value causes where it is used.
[[noreturn]] void fail_undefined(const Undefined& value);

/// What is wrong, without place or hint; becomes a DataError that has both.
struct TemplateFault {
  std::string what;
  bool is_refusal = false;  // the template called raise_exception()
};

}  // namespace cpx::tokenizer::jinja
