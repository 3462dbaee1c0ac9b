// SPDX-License-Identifier: Apache-2.0
// Compiled with -ffp-contract=fast: a product and a sum are one fused operation here.
#include "cpx/kernels/cached_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>

#include "fast_exp.h"
#include "multiversion.h"

namespace cpx::kernels {

namespace {

// One register with AVX-512, two with AVX2.
using Lanes [[gnu::vector_size(64)]] = float;
using Eight [[gnu::vector_size(32)]] = float;
using EightAt [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
using LanesAt [[gnu::vector_size(64), gnu::aligned(4), gnu::may_alias]] = float;

constexpr int64_t kMaxHeadsAtOnce = 4;
constexpr int64_t kEightsAtOnce = 8;

// scores[g * stride + lane] = q_g . key of the lane.
template <int num_heads>
[[gnu::always_inline]] inline void score_block(const float* q, const float* block, int64_t size,
                                               float* scores, int64_t stride) {
  Lanes sums[num_heads] = {};
  for (int64_t e = 0; e < size; ++e) {
    const Lanes keys = *reinterpret_cast<const LanesAt*>(block + e * kKeyBlock);
#pragma GCC unroll 4
    for (int g = 0; g < num_heads; ++g) sums[g] += q[g * size + e] * keys;
  }
#pragma GCC unroll 4
  for (int g = 0; g < num_heads; ++g) *reinterpret_cast<LanesAt*>(scores + g * stride) = sums[g];
}

CPX_MULTIVERSION void score_blocks(const float* q, int64_t num_heads, const float* blocks,
                                   int64_t num_blocks, int64_t size, float* scores,
                                   int64_t stride) {
  for (int64_t block = 0; block < num_blocks; ++block) {
    const float* keys = blocks + block * size * kKeyBlock;
    float* own = scores + block * kKeyBlock;
    switch (num_heads) {
      case 4:
        score_block<4>(q, keys, size, own, stride);
        break;
      case 3:
        score_block<3>(q, keys, size, own, stride);
        break;
      case 2:
        score_block<2>(q, keys, size, own, stride);
        break;
      default:
        score_block<1>(q, keys, size, own, stride);
    }
  }
}

// Scores become exp(scale * (score - highest)); their sum.
CPX_MULTIVERSION float to_weights(float* scores, int64_t count, float scale) {
  float highest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : highest)
  for (int64_t i = 0; i < count; ++i) highest = scores[i] > highest ? scores[i] : highest;
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) {
    scores[i] = fast_exp(scale * (scores[i] - highest));
    sum += scores[i];
  }
  return sum;
}

// sums += weights[j] * values[j] for `num_eights` times eight components.
template <int num_eights>
[[gnu::always_inline]] inline void add_values_of(const float* weights, const float* values,
                                                 int64_t count, int64_t size, float* sums) {
  Eight parts[num_eights];
#pragma GCC unroll 8
  for (int n = 0; n < num_eights; ++n) parts[n] = *reinterpret_cast<const EightAt*>(sums + 8 * n);
  for (int64_t j = 0; j < count; ++j) {
    const float* row = values + j * size;
#pragma GCC unroll 8
    for (int n = 0; n < num_eights; ++n) {
      parts[n] += weights[j] * *reinterpret_cast<const EightAt*>(row + 8 * n);
    }
  }
#pragma GCC unroll 8
  for (int n = 0; n < num_eights; ++n) *reinterpret_cast<EightAt*>(sums + 8 * n) = parts[n];
}

CPX_MULTIVERSION void add_values(const float* weights, const float* values, int64_t count,
                                 int64_t size, float* sums) {
  int64_t e = 0;
  for (; e + 8 * kEightsAtOnce <= size; e += 8 * kEightsAtOnce) {
    add_values_of<kEightsAtOnce>(weights, values + e, count, size, sums + e);
  }
  for (; e < size; e += 8) add_values_of<1>(weights, values + e, count, size, sums + e);
}

int64_t first_block(const CachedRange& range) { return range.begin / kKeyBlock; }
int64_t num_blocks(const CachedRange& range) {
  return (range.end + kKeyBlock - 1) / kKeyBlock - first_block(range);
}

// Up to kMaxHeadsAtOnce heads; `scores` holds their rows of `stride` numbers.
void attend_heads(const CachedQuery& query, int64_t first_head, int64_t num_heads, int64_t size,
                  float scale, float* scores, int64_t stride) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  const std::span ranges(query.ranges.data(), static_cast<size_t>(query.num_ranges));
  int64_t place = 0;
  for (const CachedRange& range : ranges) {
    const int64_t begin = first_block(range) * kKeyBlock;
    score_blocks(query.q + first_head * size, num_heads, range.keys + begin * size,
                 num_blocks(range), size, scores + place, stride);
    const int64_t places = num_blocks(range) * kKeyBlock;
    for (int64_t g = 0; g < num_heads; ++g) {
      float* own = scores + g * stride + place;
      std::fill(own, own + (range.begin - begin), kHidden);
      std::fill(own + (range.end - begin), own + places, kHidden);
    }
    place += places;
  }
  for (int64_t g = 0; g < num_heads; ++g) {
    float* own = scores + g * stride;
    const float sum = to_weights(own, stride, scale);
    float* output = query.output + (first_head + g) * size;
    std::fill(output, output + size, 0.0F);
    for (const CachedRange& range : ranges) {
      const int64_t skipped = range.begin - first_block(range) * kKeyBlock;
      add_values(own + skipped, range.values + range.begin * size, range.end - range.begin, size,
                 output);
      own += num_blocks(range) * kKeyBlock;
    }
    for (int64_t e = 0; e < size; ++e) output[e] /= sum;
  }
}

void attend(const CachedQuery& query, int64_t group_size, int64_t head_dim, float scale) {
  static thread_local std::vector<float> scores;  // kept: a step asks the system for nothing
  int64_t stride = 0;
  for (int i = 0; i < query.num_ranges; ++i) {
    stride += num_blocks(query.ranges[static_cast<size_t>(i)]) * kKeyBlock;
  }
  const auto needed = static_cast<size_t>(kMaxHeadsAtOnce * stride);
  if (scores.size() < needed) scores.resize(needed);
  for (int64_t head = 0; head < group_size; head += kMaxHeadsAtOnce) {
    attend_heads(query, head, std::min(kMaxHeadsAtOnce, group_size - head), head_dim, scale,
                 scores.data(), stride);
  }
}

}  // namespace

void cached_attention(std::span<const CachedQuery> queries, int64_t group_size, int64_t head_dim,
                      float scale) {
  at::parallel_for(0, static_cast<int64_t>(queries.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      attend(queries[static_cast<size_t>(i)], group_size, head_dim, scale);
    }
  });
}

void store_key(const float* key, int64_t head_dim, int64_t place, float* blocks) {
  float* block = blocks + place / kKeyBlock * head_dim * kKeyBlock;
  for (int64_t e = 0; e < head_dim; ++e) block[e * kKeyBlock + place % kKeyBlock] = key[e];
}

}  // namespace cpx::kernels
