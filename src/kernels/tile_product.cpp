// SPDX-License-Identifier: Apache-2.0
// Compiled with -ffp-contract=fast: a product and a sum are one fused operation here.
#include "tile_product.h"

#include "cpu_units.h"

namespace cpx::kernels {

namespace {

// The compiler's vectors, and the same at any address. Not parameters of templates by themselves,
// which would lose the alignment.
struct EightFloats {
  using Vec [[gnu::vector_size(32)]] = float;
  using VecAt [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
};
struct SixteenFloats {
  using Vec [[gnu::vector_size(64)]] = float;
  using VecAt [[gnu::vector_size(64), gnu::aligned(4), gnu::may_alias]] = float;
};

constexpr int64_t kRows = 6;  // of a register tile: 12 of 16 registers with two vectors a row

struct Operands {
  Matrix left;
  const float* right;
  int64_t right_stride;
  int64_t inner;
  float* sum;
  int64_t sum_stride;

  [[gnu::always_inline]] Operands at(int64_t row, int64_t column) const {
    Operands part = *this;
    part.left.data += row * left.row_stride;
    part.right += column;
    part.sum += row * sum_stride + column;
    return part;
  }
};

// `num_rows` rows by `num_vectors` vectors of columns, all in registers.
template <class Floats, int num_rows, int num_vectors>
[[gnu::always_inline]] inline void add_registers(const Operands& own) {
  using Vec = typename Floats::Vec;
  typedef typename Floats::VecAt VecAt;
  constexpr int kLanes = static_cast<int>(sizeof(Vec) / sizeof(float));
  Vec sums[num_rows][num_vectors];
#pragma GCC unroll 8
  for (int r = 0; r < num_rows; ++r) {
#pragma GCC unroll 2
    for (int n = 0; n < num_vectors; ++n) {
      sums[r][n] = *reinterpret_cast<const VecAt*>(own.sum + r * own.sum_stride + n * kLanes);
    }
  }
  const float* left = own.left.data;
  const float* right = own.right;
  for (int64_t i = 0; i < own.inner; ++i) {
    Vec columns[num_vectors];
#pragma GCC unroll 2
    for (int n = 0; n < num_vectors; ++n) {
      columns[n] = *reinterpret_cast<const VecAt*>(right + n * kLanes);
    }
#pragma GCC unroll 8
    for (int r = 0; r < num_rows; ++r) {
#pragma GCC unroll 2
      for (int n = 0; n < num_vectors; ++n) {
        sums[r][n] += left[r * own.left.row_stride] * columns[n];
      }
    }
    left += own.left.column_stride;
    right += own.right_stride;
  }
#pragma GCC unroll 8
  for (int r = 0; r < num_rows; ++r) {
#pragma GCC unroll 2
    for (int n = 0; n < num_vectors; ++n) {
      *reinterpret_cast<VecAt*>(own.sum + r * own.sum_stride + n * kLanes) = sums[r][n];
    }
  }
}

// All rows of `num_vectors` vectors of columns.
template <class Floats, int num_vectors>
[[gnu::always_inline]] inline void add_panel(const Operands& own, int64_t rows, int64_t column) {
  int64_t row = 0;
  for (; row + kRows <= rows; row += kRows) {
    add_registers<Floats, kRows, num_vectors>(own.at(row, column));
  }
  const Operands rest = own.at(row, column);
  switch (rows - row) {
    case 5:
      return add_registers<Floats, 5, num_vectors>(rest);
    case 4:
      return add_registers<Floats, 4, num_vectors>(rest);
    case 3:
      return add_registers<Floats, 3, num_vectors>(rest);
    case 2:
      return add_registers<Floats, 2, num_vectors>(rest);
    case 1:
      return add_registers<Floats, 1, num_vectors>(rest);
    default:
      return;
  }
}

// Two vectors of columns at a time, then one, then one of 8.
template <class Floats>
[[gnu::always_inline]] inline void add_columns(const Operands& own, int64_t rows, int64_t columns) {
  constexpr int64_t kLanes = static_cast<int64_t>(sizeof(typename Floats::Vec) / sizeof(float));
  int64_t column = 0;
  for (; column + 2 * kLanes <= columns; column += 2 * kLanes) {
    add_panel<Floats, 2>(own, rows, column);
  }
  if (column + kLanes <= columns) {
    add_panel<Floats, 1>(own, rows, column);
    column += kLanes;
  }
  if (column < columns) add_panel<EightFloats, 1>(own, rows, column);
}

void add_columns_avx2(const Operands& own, int64_t rows, int64_t columns) {
  add_columns<EightFloats>(own, rows, columns);
}

__attribute__((target("arch=x86-64-v4"))) void add_columns_avx512(const Operands& own, int64_t rows,
                                                                  int64_t columns) {
  add_columns<SixteenFloats>(own, rows, columns);
}

}  // namespace

void add_tile_product(const Matrix& left, const float* right, int64_t right_stride, int64_t rows,
                      int64_t inner, int64_t columns, float* sum, int64_t sum_stride) {
  static const auto add_chosen = has_avx512() ? add_columns_avx512 : add_columns_avx2;
  add_chosen({.left = left,
              .right = right,
              .right_stride = right_stride,
              .inner = inner,
              .sum = sum,
              .sum_stride = sum_stride},
             rows, columns);
}

}  // namespace cpx::kernels
