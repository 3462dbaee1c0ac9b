// SPDX-License-Identifier: Apache-2.0
// The arguments of a call, by the names of a function's parameters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jinja_value.h"

namespace cpx::tokenizer::jinja {

class BoundArguments {
 public:
  /// Throws for an argument that none of the `names` takes; `what` names the function.
  BoundArguments(std::string what, std::vector<std::string_view> names, const Arguments& arguments);

  /// The argument at place `index` of the names, or null.
  const Value* find(size_t index) const { return values_[index]; }
  /// Throws where it is missing.
  const Value& at(size_t index) const;
  /// The argument as what a parameter takes; throws where it is something else.
  const std::string& text(size_t index) const;
  std::string text_or(size_t index, std::string fallback) const;
  int64_t integer(size_t index) const;
  int64_t integer_or(size_t index, int64_t fallback) const;
  bool is_true_or(size_t index, bool fallback) const;

 private:
  std::string parameter(size_t index) const;

  std::string what_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

}  // namespace cpx::tokenizer::jinja
