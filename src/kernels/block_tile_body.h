// SPDX-License-Identifier: Apache-2.0
// The loops of both bodies of block_tile.h over a `Unit`, which says how wide registers are and
// how they multiply. Sources that include it may be compiled for more than the processor has: so
// nothing here is shared with other sources, neither functions of the standard library.
//
// A tile is kOutputs rows of the weight. Its blocks are turned as they are loaded: lane o of
// register k holds codes 4k to 4k + 3 of the tile's row o, and a sum of products needs no adding up
// across lanes. Turned once, a block serves all rows of x.
#pragma once

#include <cstring>
#include <immintrin.h>

#include "block_tile.h"

namespace cpx::kernels {

namespace {

using tensor::StorageType;

template <StorageType type>
constexpr int64_t kBlockBytes = tensor::storage_layout(type).bytes;

// Rows of x that go through the weights together: their sums stay in the first cache, they
// themselves in the second, where they leave room.
constexpr int64_t kMinRows = 16;
constexpr int64_t kMaxRows = 64;
constexpr int64_t kInputBytes = int64_t{256} << 10;

// Bytes of a tile that leave room for the next one in the first and the second cache.
constexpr int64_t kFirstCacheTile = int64_t{16} << 10;
constexpr int64_t kSecondCacheTile = int64_t{64} << 10;

template <class Number>
inline Number number_at(const uint8_t* bytes) {
  Number number;
  std::memcpy(&number, bytes, sizeof(number));
  return number;
}

template <class Unit>
struct Tile {
  const uint8_t* rows[Unit::kOutputs];  // past the end the last row again
  const uint8_t* next;                  // the tile behind it; null: none
};

// A block of each row of a tile.
template <class Unit>
struct TileBlock {
  typename Unit::Ints codes[8];
  typename Unit::Floats scales;
  typename Unit::Floats minima;  // of Q4_1
};

// Asks for bytes [begin, end) of the next tile: the processor does not foresee that many short
// rows, and foresees long ones by itself.
inline void prefetch(const uint8_t* next, int64_t begin, int64_t end, int64_t tile_bytes) {
  constexpr int64_t kCacheLine = 64;
  for (int64_t at = begin; at < end; at += kCacheLine) {
    if (tile_bytes <= kFirstCacheTile) {
      _mm_prefetch(reinterpret_cast<const char*>(next + at), _MM_HINT_T0);
    } else if (tile_bytes <= kSecondCacheTile) {
      _mm_prefetch(reinterpret_cast<const char*>(next + at), _MM_HINT_T1);
    }
  }
}

// The blocks that begin at `offset` of each row.
template <class Unit, StorageType type>
inline void load_block(const uint8_t* const* rows, int64_t offset, TileBlock<Unit>& block) {
  if constexpr (type == StorageType::kQ8_0) {
    block.scales = Unit::halves(rows, offset);
    Unit::columns(rows, offset + 2, block.codes);
    Unit::columns(rows, offset + 18, block.codes + 4);
    for (auto& codes : block.codes) codes = Unit::from_signed(codes);
  } else {
    typename Unit::Ints pairs[4];  // code j in the low half of byte j, j + 16 in the high half
    if constexpr (type == StorageType::kQ4_1) {
      Unit::pairs_of_halves(rows, offset, block.scales, block.minima);
      Unit::columns(rows, offset + 4, pairs);
    } else {
      block.scales = Unit::halves(rows, offset);
      Unit::columns(rows, offset + 2, pairs);
    }
    for (int k = 0; k < 4; ++k) {
      block.codes[k] = Unit::low_codes(pairs[k]);
      block.codes[k + 4] = Unit::high_codes(pairs[k]);
    }
  }
}

// The sums of the block's products with x's, weights less their offset.
template <class Unit, StorageType type>
inline typename Unit::Ints products(const TileBlock<Unit>& block, const InputBlock& x) {
  if constexpr (type == StorageType::kQ8_0) return Unit::signed_products(block.codes, x);
  if constexpr (type == StorageType::kQ4_0) {
    return Unit::products(block.codes, x, Unit::broadcast(x.minus_8_sums));
  }
  return Unit::products(block.codes, x, Unit::broadcast(0));
}

// What `num_rows` rows of x from `first_row` on give for the tile.
template <class Unit, StorageType type>
inline void multiply_rows(const BlockProduct& own, const Tile<Unit>& tile, int64_t first_row,
                          int64_t num_rows, float (*sums)[Unit::kOutputs]) {
  constexpr int64_t kStep = Unit::kOutputs * kBlockBytes<type>;
  for (int64_t row = 0; row < num_rows; ++row) Unit::store(sums[row], Unit::broadcast(0.0F));
  for (int64_t b = 0; b < own.blocks; ++b) {
    if (tile.next != nullptr) prefetch(tile.next, b * kStep, (b + 1) * kStep, own.blocks * kStep);
    TileBlock<Unit> block;
    load_block<Unit, type>(tile.rows, b * kBlockBytes<type>, block);
    const InputBlock* x = own.x + b * own.rows + first_row;
    for (int64_t row = 0; row < num_rows; ++row) {
      const auto scales = Unit::multiply(block.scales, Unit::broadcast(x[row].scale));
      auto sum = Unit::multiply_add(Unit::to_floats(products<Unit, type>(block, x[row])), scales,
                                    Unit::load(sums[row]));
      if constexpr (type == StorageType::kQ4_1) {
        sum = Unit::multiply_add(block.minima, Unit::broadcast(x[row].scaled_sum), sum);
      }
      Unit::store(sums[row], sum);
    }
  }
}

// Outputs [output, end), of which a tile has kOutputs at most.
template <class Unit>
inline Tile<Unit> tile_at(const BlockProduct& own, int64_t row_bytes, int64_t output, int64_t end) {
  Tile<Unit> tile;
  for (int64_t o = 0; o < Unit::kOutputs; ++o) {
    const int64_t row = output + o < end ? output + o : end - 1;
    tile.rows[o] = own.weight + row * row_bytes;
  }
  const bool is_last = output + Unit::kOutputs >= end;
  tile.next = is_last ? nullptr : tile.rows[0] + Unit::kOutputs * row_bytes;
  return tile;
}

template <class Unit, StorageType type>
void multiply(const BlockProduct& own, int64_t begin, int64_t end) {
  const int64_t row_bytes = own.blocks * kBlockBytes<type>;
  const int64_t fitting = kInputBytes / (own.blocks * static_cast<int64_t>(sizeof(InputBlock)));
  const int64_t step = fitting < kMinRows ? kMinRows : fitting > kMaxRows ? kMaxRows : fitting;
  alignas(64) float sums[kMaxRows][Unit::kOutputs];
  for (int64_t first = 0; first < own.rows; first += step) {
    const int64_t num_rows = own.rows - first < step ? own.rows - first : step;
    for (int64_t output = begin; output < end; output += Unit::kOutputs) {
      const auto tile = tile_at<Unit>(own, row_bytes, output, end);
      multiply_rows<Unit, type>(own, tile, first, num_rows, sums);
      const int64_t num_outputs = end - output < Unit::kOutputs ? end - output : Unit::kOutputs;
      for (int64_t row = 0; row < num_rows; ++row) {
        std::memcpy(own.y + (first + row) * own.outputs + output, sums[row],
                    static_cast<size_t>(num_outputs) * sizeof(float));
      }
    }
  }
}

template <class Unit>
void multiply_any(const BlockProduct& own, int64_t begin, int64_t end) {
  switch (own.type) {
    case StorageType::kQ8_0:
      return multiply<Unit, StorageType::kQ8_0>(own, begin, end);
    case StorageType::kQ4_0:
      return multiply<Unit, StorageType::kQ4_0>(own, begin, end);
    default:
      return multiply<Unit, StorageType::kQ4_1>(own, begin, end);
  }
}

}  // namespace

}  // namespace cpx::kernels
