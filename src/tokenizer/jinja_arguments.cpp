// SPDX-License-Identifier: Apache-2.0
#include "jinja_arguments.h"

#include <algorithm>
#include <utility>

#include "jinja_operators.h"

namespace cpx::tokenizer::jinja {

BoundArguments::BoundArguments(std::string what, std::vector<std::string_view> names,
                               const Arguments& arguments)
    : what_(std::move(what)), names_(std::move(names)), values_(names_.size()) {
  if (arguments.positional.size() > names_.size()) {
    fail(fmt::format("{} takes at most {} arguments, got {}", what_, names_.size(),
                     arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.keywords) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) fail(fmt::format("{} takes no argument '{}'", what_, name));
    auto& place = values_[static_cast<size_t>(found - names_.begin())];
    if (place != nullptr) fail(fmt::format("{} got the argument '{}' twice", what_, name));
    place = &value;
  }
}

const Value& BoundArguments::at(size_t index) const {
  if (values_[index] == nullptr) fail(parameter(index) + " is missing");
  return *values_[index];
}

const std::string& BoundArguments::text(size_t index) const {
  const auto* undefined = at(index).as<Undefined>();
  if (undefined != nullptr) fail_undefined(*undefined);
  const auto* text = at(index).text();
  if (text == nullptr) {
    fail(fmt::format("{} is of the type {}, expected str", parameter(index), type_name(at(index))));
  }
  return *text;
}

std::string BoundArguments::text_or(size_t index, std::string fallback) const {
  if (values_[index] == nullptr) return fallback;
  return text(index);
}

int64_t BoundArguments::integer(size_t index) const {
  return to_integer(at(index), parameter(index));
}

int64_t BoundArguments::integer_or(size_t index, int64_t fallback) const {
  return values_[index] != nullptr ? integer(index) : fallback;
}

bool BoundArguments::is_true_or(size_t index, bool fallback) const {
  return values_[index] != nullptr ? is_true(*values_[index]) : fallback;
}

std::string BoundArguments::parameter(size_t index) const {
  return fmt::format("the argument '{}' of {}", names_[index], what_);
}

}  // namespace cpx::tokenizer::jinja
