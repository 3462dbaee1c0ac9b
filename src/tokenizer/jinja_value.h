// SPDX-License-Identifier: Apache-2.0
// Values of the part of Jinja that chat templates use.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cpx/core/error.h"

namespace cpx::tokenizer::jinja {

struct Value;
struct Undefined {};
struct None {};
using List = std::shared_ptr<std::vector<Value>>;
/// Also what namespace() makes, which is shared and changed in place.
using Dict = std::shared_ptr<std::map<std::string, Value>>;

struct Value {
  std::variant<Undefined, None, bool, int64_t, std::string, List, Dict> data;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
  bool is_undefined() const { return as<Undefined>() != nullptr; }
};

/// False for undefined, none, false, 0 and what is empty.
bool is_true(const Value& value);

/// As `==`: values of different types are not equal.
bool are_equal(const Value& a, const Value& b);

/// As {{ }} prints it; throws DataError for lists and objects.
std::string to_text(const Value& value);

/// What a value is, for messages.
std::string type_name(const Value& value);

/// Throws the DataError for what a template does and cpx does not know; `what` ends without a dot.
[[noreturn]] void fail(const std::string& what);

}  // namespace cpx::tokenizer::jinja
