// SPDX-License-Identifier: Apache-2.0
// Products of matrices that fit the cache, on one thread, with no more than a call's cost: for
// kernels that make many of them. The body for AVX-512 is chosen at run time.
#pragma once

#include <cstdint>

namespace cpx::kernels {

/// A matrix in memory: the entry (i, j) is data[i * row_stride + j * column_stride].
struct Matrix {
  const float* data;
  int64_t row_stride;
  int64_t column_stride;
};

/// sum += left right, of [rows, inner] and [inner, columns]; `columns` a multiple of 8. The columns
/// of `right` and `sum` are next to each other (their strides are those of rows). Each entry is
/// summed over `inner` in order, whatever the sizes.
void add_tile_product(const Matrix& left, const float* right, int64_t right_stride, int64_t rows,
                      int64_t inner, int64_t columns, float* sum, int64_t sum_stride);

}  // namespace cpx::kernels
