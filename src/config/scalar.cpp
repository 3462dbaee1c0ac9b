// SPDX-License-Identifier: Apache-2.0
#include "scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace cpx::config {
namespace {

// from_chars takes no plus sign.
std::string_view without_plus(std::string_view text) {
  return text.size() > 1 && text[0] == '+' && text[1] != '-' ? text.substr(1) : text;
}

template <class T>
std::optional<T> parse_whole(std::string_view text) {
  const std::string_view digits = without_plus(text);
  T value{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

bool is_plain_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '/' || c == '-';
}

// Words that readers of YAML 1.1 or 1.2 take for null, a bool or a number.
bool has_other_meaning(std::string_view text) {
  static constexpr std::array<std::string_view, 10> kWords = {
      "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan"};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

// Starts as a plain path or name: numbers (-1, .5, .inf, 1e3, 0x10) do not.
bool starts_as_name(std::string_view text) {
  const bool is_relative = text.starts_with("./") || text.starts_with("../");
  const char first = text.front();
  return is_relative ||
         (is_plain_char(first) && first != '-' && first != '.' && !(first >= '0' && first <= '9'));
}

}  // namespace

std::optional<int64_t> parse_int(std::string_view text) { return parse_whole<int64_t>(text); }

std::optional<double> parse_double(std::string_view text) {
  const std::optional<double> value = parse_whole<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::string double_to_yaml(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find('.') == std::string::npos) {
    const size_t exponent = std::min(text.find('e'), text.size());
    text.insert(exponent, ".0");
  }
  return text;
}

std::string text_to_yaml(std::string_view text) {
  if (!text.empty() && starts_as_name(text) && !has_other_meaning(text) &&
      std::all_of(text.begin(), text.end(), is_plain_char)) {
    return std::string(text);
  }
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += fmt::format("\\x{:02x}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

}  // namespace cpx::config
