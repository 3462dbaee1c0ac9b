// SPDX-License-Identifier: Apache-2.0
#include "chart_scale.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace cpx::report {

namespace {

constexpr double kRoom = 0.05;           // of the range, at each end
constexpr double kFewDecades = 1.5;      // below this a logarithmic axis has 2 and 5 too
constexpr double kAlmostWhole = 1.0e-9;  // rounding of the last mark

std::vector<double> round_linear(double low, double high, int count) {
  const double rough = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10.0 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> values;
  for (double k = std::ceil(low / step - kAlmostWhole); k * step <= high + kAlmostWhole * step;
       ++k) {
    values.push_back(k == 0.0 ? 0.0 : k * step);
  }
  return values;
}

std::vector<double> round_logarithmic(double low, double high, int count) {
  const double decades = std::log10(high / low);
  if (decades < 0.5) return round_linear(low, high, count);
  const std::array<double, 3> factors = {1.0, 2.0, 5.0};
  const size_t num_factors = decades < kFewDecades * 2 ? factors.size() : 1;
  const double every = std::max(1.0, std::ceil(decades / count));
  std::vector<double> values;
  for (double k = std::floor(std::log10(low)); std::pow(10.0, k) <= high; k += every) {
    for (size_t i = 0; i < num_factors; ++i) {
      const double value = factors[i] * std::pow(10.0, k);
      if (value >= low && value <= high) values.push_back(value);
    }
  }
  return values;
}

}  // namespace

double ChartScale::operator()(double value) const {
  const double share =
      is_logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return begin + share * (end - begin);
}

ChartScale value_scale(double low, double high, bool is_logarithmic) {
  ChartScale scale{.low = low, .high = high, .is_logarithmic = is_logarithmic && low > 0.0};
  if (scale.is_logarithmic) {
    const double room = std::max(std::pow(high / low, kRoom), 1.01);
    scale.low /= room;
    scale.high *= room;
    return scale;
  }
  const double range = high - low;
  const double room = range > 0.0 ? kRoom * range : std::max(0.1 * std::abs(low), 1.0e-6);
  scale.low -= room;
  scale.high += room;
  return scale;
}

std::vector<double> round_values(const ChartScale& scale, int count) {
  return scale.is_logarithmic ? round_logarithmic(scale.low, scale.high, count)
                              : round_linear(scale.low, scale.high, count);
}

}  // namespace cpx::report
