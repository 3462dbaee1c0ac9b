// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/ratio_figure.h"

#include <cmath>
#include <limits>
#include <utility>

#include <ATen/Parallel.h>

#include "cpx/core/error.h"
#include "cpx/core/random.h"

namespace cpx::evaluation {

namespace {

// The units of resample number `number`, as bootstrap_interval() draws them.
std::vector<int64_t> resample(std::span<const int64_t> units, uint64_t seed, int64_t number) {
  CounterRng rng(seed, {static_cast<uint64_t>(number)});
  std::vector<int64_t> drawn(units.size());
  for (int64_t& unit : drawn) unit = units[rng.below(units.size())];
  return drawn;
}

}  // namespace

RatioFigure mean_figure(std::string name, std::vector<double> values) {
  std::vector<double> ones(values.size(), 1.0);
  return {
      .name = std::move(name), .numerators = std::move(values), .denominators = std::move(ones)};
}

double figure_value(const RatioFigure& figure, std::span<const int64_t> units) {
  double numerator = 0.0;
  double denominator = 0.0;
  for (const int64_t unit : units) {
    numerator += figure.numerators[static_cast<size_t>(unit)];
    denominator += figure.denominators[static_cast<size_t>(unit)];
  }
  if (denominator == 0.0) return std::numeric_limits<double>::quiet_NaN();
  const double ratio = numerator / denominator;
  return figure.is_exponential ? std::exp(ratio) : ratio;
}

std::optional<double> deviation(const RatioFigure& figure, std::span<const int64_t> units) {
  std::vector<double> values;
  for (const int64_t unit : units) {
    const auto i = static_cast<size_t>(unit);
    if (figure.denominators[i] > 0.0) {
      values.push_back(figure.numerators[i] / figure.denominators[i]);
    }
  }
  const auto error = standard_error(values);
  return error ? std::optional(*error * std::sqrt(static_cast<double>(values.size())))
               : std::nullopt;
}

ResampledFigures::ResampledFigures(std::span<const RatioFigure> figures,
                                   std::span<const int64_t> units, const BootstrapOptions& options)
    : level_(options.level), resampled_(figures.size()) {
  for (const RatioFigure& figure : figures) values_.push_back(figure_value(figure, units));
  if (units.size() < 2) return;
  for (auto& values : resampled_) values.resize(static_cast<size_t>(options.resamples));
  at::parallel_for(0, options.resamples, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t number = begin; number < end; ++number) {
      const std::vector<int64_t> drawn = resample(units, options.seed, number);
      for (size_t i = 0; i < figures.size(); ++i) {
        resampled_[i][static_cast<size_t>(number)] = figure_value(figures[i], drawn);
      }
    }
  });
}

Estimate ResampledFigures::estimate(size_t figure) const {
  return estimate_of(values_[figure], resampled_[figure]);
}

Estimate ResampledFigures::difference(size_t figure, const ResampledFigures& base) const {
  CPX_CHECK(resampled_[figure].size() == base.resampled_[figure].size(),
            "[difference] got {} and {} resamples, expected equal numbers.",
            resampled_[figure].size(), base.resampled_[figure].size());
  std::vector<double> differences = resampled_[figure];
  for (size_t i = 0; i < differences.size(); ++i) differences[i] -= base.resampled_[figure][i];
  return estimate_of(values_[figure] - base.values_[figure], std::move(differences));
}

Estimate ResampledFigures::estimate_of(double value, std::vector<double> resampled) const {
  if (!std::isfinite(value)) return {};
  return {.value = value, .interval = percentile_interval(std::move(resampled), level_)};
}

}  // namespace cpx::evaluation
