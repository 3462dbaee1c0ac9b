// SPDX-License-Identifier: Apache-2.0
#include "numbers.h"

#include <cmath>
#include <string_view>

#include <fmt/format.h>

namespace cpx::report {

namespace {

constexpr double kLargest = 1e9;        // of those without powers of ten
constexpr double kSmallest = 1e-3;      // of those that are not zero
constexpr double kFractionless = 1000;  // from here on fractions are left out

std::string with_commas(std::string_view digits) {
  constexpr size_t kGroup = 3;
  const size_t begin = digits.starts_with('-') ? 1 : 0;
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > begin && (digits.size() - i) % kGroup == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace

std::string shown(double number) {
  const double size = std::abs(number);
  if (!std::isfinite(number)) return "not finite";
  if (number == 0.0) return "0";
  const bool is_whole = number == std::floor(number);
  if (size >= kLargest || size < kSmallest) {
    return is_whole && size < 1e15 ? with_commas(fmt::format("{:.0f}", number))
                                   : fmt::format("{:.4g}", number);
  }
  if (is_whole || size >= kFractionless) return with_commas(fmt::format("{:.0f}", number));
  return fmt::format("{:.4g}", number);
}

std::string shown_with_sign(double number) {
  const std::string text = shown(number);
  return number > 0.0 ? "+" + text : text;
}

std::string compact(double number, int digits) { return fmt::format("{:.{}g}", number, digits); }

std::string shown_seconds(double seconds) {
  constexpr int64_t kMinute = 60;
  constexpr int64_t kHour = 3600;
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < kMinute) return fmt::format("{:.1f} s", seconds);
  if (whole < kHour) return fmt::format("{} min {} s", whole / kMinute, whole % kMinute);
  return fmt::format("{} h {} min", whole / kHour, whole % kHour / kMinute);
}

}  // namespace cpx::report
