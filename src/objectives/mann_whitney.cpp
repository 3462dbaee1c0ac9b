// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/mann_whitney.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <numeric>

#include "cpx/core/error.h"

namespace cpx::objectives {

namespace {

struct Ranking {
  std::vector<double> ranks;  // as mid_ranks
  double tie_sum = 0.0;       // sum of t^3 - t over the runs of t equal values
};

Ranking rank(std::span<const double> values) {
  for (const double value : values) {
    CPX_CHECK(std::isfinite(value), "[mid_ranks] a value has no rank: got {}, expected a number.",
              value);
  }
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });

  Ranking ranking{.ranks = std::vector<double>(values.size())};
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const auto run = static_cast<double>(end - begin);
    const double mean_rank = static_cast<double>(begin) + (run + 1.0) / 2.0;
    for (size_t k = begin; k < end; ++k) ranking.ranks[order[k]] = mean_rank;
    ranking.tie_sum += run * run * run - run;
    begin = end;
  }
  return ranking;
}

constexpr int64_t kMostExact = 8;  // values of the smaller sample

// P(U <= u) for samples of `m` and `n` values without ties, all orders equally likely. The number
// of orders with U = k is the coefficient of q^k in the Gaussian binomial coefficient (m + n, m),
// the product over i = 1 to m of (1 - q^(n + i)) / (1 - q^i).
double exact_lower_tail(int64_t m, int64_t n, int64_t u) {
  std::vector<double> counts(static_cast<size_t>(u) + 1, 0.0);
  counts[0] = 1.0;
  double num_orders = 1.0;
  for (int64_t i = 1; i <= m; ++i) {
    for (int64_t k = u; k >= n + i; --k) counts[k] -= counts[k - n - i];
    for (int64_t k = i; k <= u; ++k) counts[k] += counts[k - i];
    num_orders *= static_cast<double>(n + i) / static_cast<double>(i);
  }
  return std::reduce(counts.begin(), counts.end()) / num_orders;
}

// P(|Z| > z) for a standard normal Z, and 1 where the continuity correction made z negative.
double two_sided(double z) { return std::min(1.0, std::erfc(z / std::numbers::sqrt2)); }

}  // namespace

std::vector<double> mid_ranks(std::span<const double> values) { return rank(values).ranks; }

std::optional<MannWhitney> mann_whitney(std::span<const double> x, std::span<const double> y,
                                        PValueMethod method) {
  if (x.empty() || y.empty()) return std::nullopt;
  std::vector<double> all(x.begin(), x.end());
  all.insert(all.end(), y.begin(), y.end());
  const Ranking ranking = rank(all);

  const auto num_x = static_cast<double>(x.size());
  const auto num_y = static_cast<double>(y.size());
  const double num_all = num_x + num_y;
  const double num_pairs = num_x * num_y;
  const double rank_sum =
      std::accumulate(ranking.ranks.begin(), ranking.ranks.begin() + std::ssize(x), 0.0);
  const double u = rank_sum - num_x * (num_x + 1.0) / 2.0;

  const int64_t smaller = std::min(std::ssize(x), std::ssize(y));
  if (method == PValueMethod::kExactIfSmall && smaller <= kMostExact && ranking.tie_sum == 0.0) {
    const int64_t larger = std::max(std::ssize(x), std::ssize(y));
    const auto lower = std::llround(std::min(u, num_pairs - u));
    return MannWhitney{.separation = u / num_pairs,
                       .p_value = std::min(1.0, 2.0 * exact_lower_tail(smaller, larger, lower)),
                       .is_exact = true};
  }
  const double tie_term = ranking.tie_sum / (num_all * (num_all - 1.0));
  const double variance = num_pairs / 12.0 * (num_all + 1.0 - tie_term);
  const double excess = std::max(u, num_pairs - u) - num_pairs / 2.0 - 0.5;
  // All values equal: no variance, and nothing speaks against one distribution.
  const double p_value = variance > 0.0 ? two_sided(excess / std::sqrt(variance)) : 1.0;
  return MannWhitney{.separation = u / num_pairs, .p_value = p_value};
}

}  // namespace cpx::objectives
