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

// P(|Z| > z) for a standard normal Z, and 1 where the continuity correction made z negative.
double two_sided(double z) { return std::min(1.0, std::erfc(z / std::numbers::sqrt2)); }

}  // namespace

std::vector<double> mid_ranks(std::span<const double> values) { return rank(values).ranks; }

std::optional<MannWhitney> mann_whitney(std::span<const double> x, std::span<const double> y) {
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

  const double tie_term = ranking.tie_sum / (num_all * (num_all - 1.0));
  const double variance = num_pairs / 12.0 * (num_all + 1.0 - tie_term);
  const double excess = std::max(u, num_pairs - u) - num_pairs / 2.0 - 0.5;
  // All values equal: no variance, and nothing speaks against one distribution.
  const double p_value = variance > 0.0 ? two_sided(excess / std::sqrt(variance)) : 1.0;
  return MannWhitney{.separation = u / num_pairs, .p_value = p_value};
}

}  // namespace cpx::objectives
