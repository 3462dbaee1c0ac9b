// SPDX-License-Identifier: Apache-2.0
#include "token_ranges.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cpx/core/error.h"

namespace cpx::objectives {

void check_token_range(std::string_view place, std::string_view kind, size_t index,
                       const TokenRange& range, size_t num_predictions) {
  CPX_CHECK(range.count > 0, "[{}] {} {} has no predicted token: got count {}, expected 1 or more.",
            place, kind, index, range.count);
  CPX_CHECK(range.first >= 0 && range.first <= static_cast<int64_t>(num_predictions) - range.count,
            "[{}] {} {} leaves the predictions: got first {} and count {}, expected them within {} "
            "predictions.",
            place, kind, index, range.first, range.count, num_predictions);
}

double nll_sum(const TokenRange& range, std::span<const double> token_nll) {
  const auto own = token_nll.subspan(range.first, range.count);
  return std::accumulate(own.begin(), own.end(), 0.0);
}

double mean_nll(const TokenRange& range, std::span<const double> token_nll) {
  return nll_sum(range, token_nll) / static_cast<double>(range.count);
}

TextSums text_sums(const TokenRange& range, std::span<const double> token_nll) {
  const double sum = nll_sum(range, token_nll);
  return {.texts = 1,
          .tokens = range.count,
          .nll_sum = sum,
          .text_nll_sum = sum / static_cast<double>(range.count)};
}

void add_token_slope(const TokenRange& range, double slope, std::vector<double>& gradient) {
  for (int64_t t = range.first; t < range.first + range.count; ++t) gradient[t] += slope;
}

void add_mean_slope(const TokenRange& range, double slope, std::vector<double>& gradient) {
  add_token_slope(range, slope / static_cast<double>(range.count), gradient);
}

double add_squared_distance(const TokenRange& range, std::span<const double> token_nll,
                            std::span<const double> base_token_nll, double weight,
                            std::vector<double>& gradient) {
  double sum = 0.0;
  for (int64_t t = range.first; t < range.first + range.count; ++t) {
    const double difference = token_nll[t] - base_token_nll[t];
    sum += difference * difference;
    gradient[t] += 2.0 * weight * difference;
  }
  return weight * sum;
}

bool all_finite(std::span<const double> values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

}  // namespace cpx::objectives
