// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "cpx/core/error.h"
#include "cpx/core/random.h"

namespace cpx::evaluation {

namespace {

// The value below which `share` of `sorted` lies, between two neighbours in proportion.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = place - static_cast<double>(below);
  return sorted[below] + weight * (sorted[above] - sorted[below]);
}

double log_binomial(int64_t n, int64_t k) {
  const auto log_factorial = [](int64_t number) {
    return std::lgamma(static_cast<double>(number) + 1.0);
  };
  return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

}  // namespace

double mean(std::span<const double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  return std::reduce(values.begin(), values.end()) / static_cast<double>(values.size());
}

std::optional<double> standard_error(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const double center = mean(values);
  double sum = 0.0;
  for (const double value : values) sum += (value - center) * (value - center);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(sum / (n - 1.0) / n);
}

std::optional<Interval> percentile_interval(std::vector<double> figures, double level) {
  CPX_CHECK(level > 0.0 && level < 1.0,
            "[percentile_interval] got level {}, expected a level between 0 and 1.", level);
  std::erase_if(figures, [](double figure) { return !std::isfinite(figure); });
  if (figures.size() < 2) return std::nullopt;
  std::ranges::sort(figures);
  const double tail = (1.0 - level) / 2.0;
  return Interval{.low = quantile(figures, tail), .high = quantile(figures, 1.0 - tail)};
}

std::optional<Interval> bootstrap_interval(
    int64_t num_units, const std::function<double(std::span<const int64_t> units)>& figure,
    const BootstrapOptions& options) {
  CPX_CHECK(options.level > 0.0 && options.level < 1.0 && options.resamples > 0,
            "[bootstrap] got level {} and {} resamples, expected a level between 0 and 1, and 1 or "
            "more.",
            options.level, options.resamples);
  if (num_units < 2) return std::nullopt;
  std::vector<int64_t> drawn(static_cast<size_t>(num_units));
  std::vector<double> figures;
  for (int64_t i = 0; i < options.resamples; ++i) {
    CounterRng rng(options.seed, {static_cast<uint64_t>(i)});
    for (int64_t& unit : drawn) {
      unit = static_cast<int64_t>(rng.below(static_cast<uint64_t>(num_units)));
    }
    figures.push_back(figure(drawn));
  }
  return percentile_interval(std::move(figures), options.level);
}

std::optional<Interval> bootstrap_mean(std::span<const double> values,
                                       const BootstrapOptions& options) {
  return bootstrap_interval(
      std::ssize(values),
      [&](std::span<const int64_t> units) {
        double sum = 0.0;
        for (const int64_t unit : units) sum += values[static_cast<size_t>(unit)];
        return sum / static_cast<double>(units.size());
      },
      options);
}

double mcnemar_p_value(int64_t only_first, int64_t only_second) {
  CPX_CHECK(only_first >= 0 && only_second >= 0,
            "[mcnemar] got {} and {}, expected numbers of 0 or more.", only_first, only_second);
  const int64_t n = only_first + only_second;
  const int64_t smaller = std::min(only_first, only_second);
  double tail = 0.0;
  for (int64_t k = 0; k <= smaller; ++k) {
    tail += std::exp(log_binomial(n, k) - static_cast<double>(n) * std::log(2.0));
  }
  return std::min(1.0, 2.0 * tail);
}

}  // namespace cpx::evaluation
