// SPDX-License-Identifier: Apache-2.0
// Attention of single new tokens over cached keys and values, float32 on the CPU. A result depends
// on its own query and keys alone, bit for bit.
// Legend: G query heads that share a key head, E head size.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace cpx::kernels {

/// Keys are stored in blocks of this many tokens, [E, 16] each, so that one vector contains one
/// component of all of them.
constexpr int64_t kKeyBlock = 16;

/// True for head sizes that cached_attention() takes.
constexpr bool has_cached_attention(int64_t head_dim) { return head_dim > 0 && head_dim % 8 == 0; }

/// Slots [begin, end) of one key head in a cache.
struct CachedRange {
  const float* keys = nullptr;    // [places / 16, E, 16]; a block's unused places hold numbers
  const float* values = nullptr;  // [places, E]
  int64_t begin = 0;
  int64_t end = 0;
};

/// The query heads of one token that share a key head, and the slots they see.
struct CachedQuery {
  const float* q = nullptr;  // [G, E]
  float* output = nullptr;   // [G, E]
  std::array<CachedRange, 3> ranges = {};
  int num_ranges = 0;
};

/// Fills the outputs: softmax(scale * q k^T) v over the ranges of each query, which contain at
/// least one slot.
void cached_attention(std::span<const CachedQuery> queries, int64_t group_size, int64_t head_dim,
                      float scale);

/// Stores the key [E] of one token in slot `place` of the blocks of a key head.
void store_key(const float* key, int64_t head_dim, int64_t place, float* blocks);

}  // namespace cpx::kernels
