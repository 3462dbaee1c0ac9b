// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <type_traits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/config/print.h"

namespace cpx::config {
namespace {

std::string plural(std::string_view noun, bool is_plural) {
  return fmt::format("{}{}", noun, is_plural ? "s" : "");
}

// "number >= 0 and < 1"; the only allowed number stands for itself.
std::string describe_number(std::string_view noun, const Rule& rule) {
  if (rule.at_least && rule.at_least == rule.at_most) return fmt::format("{}", *rule.at_least);
  std::string text(noun);
  bool is_first = true;
  const auto add = [&](std::string_view relation, const std::optional<double>& bound) {
    if (bound) {
      text += fmt::format("{} {} {}", is_first ? "" : " and", relation, *bound);
      is_first = false;
    }
  };
  add(">=", rule.at_least);
  add(">", rule.above);
  add("<=", rule.at_most);
  add("<", rule.below);
  return text;
}

std::string describe(const Value& value, const Rule& rule, bool is_plural);

std::string describe_list(const List& list, const Rule& rule) {
  const std::string items = describe(list.sample(), rule, /*is_plural=*/true);
  std::string text = list.fixed_size ? fmt::format("list of {} {}", *list.fixed_size, items)
                                     : fmt::format("list of {}", items);
  if (rule.non_empty) text += ", at least one";
  if (!rule.instead_of_list.empty()) text += fmt::format(", or {}", rule.instead_of_list);
  return text;
}

std::string describe(const Value& value, const Rule& rule, bool is_plural) {
  return std::visit(
      [&](const auto& target) -> std::string {
        using T = std::decay_t<decltype(target)>;
        if constexpr (std::is_same_v<T, bool*>) {
          return "true or false";
        } else if constexpr (std::is_same_v<T, int64_t*>) {
          return describe_number(plural("whole number", is_plural), rule);
        } else if constexpr (std::is_same_v<T, double*>) {
          return describe_number(plural("number", is_plural), rule);
        } else if constexpr (std::is_same_v<T, std::string*>) {
          return plural("text", is_plural);
        } else if constexpr (std::is_same_v<T, std::filesystem::path*>) {
          return plural("path", is_plural);
        } else if constexpr (std::is_same_v<T, NamedChoice>) {
          return target.names.size() == 1 ? std::string(target.names[0])
                                          : fmt::format("one of {}", fmt::join(target.names, ", "));
        } else if constexpr (std::is_same_v<T, List>) {
          return describe_list(target, rule);
        } else if constexpr (std::is_same_v<T, Nullable>) {
          return describe(target.sample(), rule, is_plural) + " or null";
        } else {
          return plural("map", is_plural) + " of keys";
        }
      },
      value.target);
}

}  // namespace

std::string describe_type(const Value& value, const Rule& rule) {
  return describe(value, rule, /*is_plural=*/false);
}

}  // namespace cpx::config
