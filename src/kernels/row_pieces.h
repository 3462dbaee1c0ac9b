// SPDX-License-Identifier: Apache-2.0
// The rows of a matrix in pieces, for lanes. A piece's products are one thread's: MKL sums in
// another order with several threads, on some processors, so that results would depend on their
// number.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/row_rounding.h"
#include "cpx/tensor/lanes.h"

namespace cpx::kernels {

/// Rows of a matrix.
struct RowPiece {
  int64_t begin = 0;
  int64_t rows = 0;
};

/// The rows of `x` [T, ...] in pieces of about `most_rows` at most, of numbers of rows that suit
/// the products of its type; few rows are one piece.
inline std::vector<RowPiece> row_pieces(const torch::Tensor& x, int64_t most_rows) {
  constexpr int64_t kFewestRows = 64;  // fewer make the products slower
  const int64_t num_rows = x.size(0);
  const int64_t count = tensor::num_pieces(num_rows, kFewestRows, most_rows);
  const int64_t step = rounded_rows((num_rows + count - 1) / count, x.scalar_type(), x.device());
  std::vector<RowPiece> pieces;
  for (int64_t begin = 0; begin < num_rows; begin += step) {
    pieces.push_back({.begin = begin, .rows = std::min(step, num_rows - begin)});
  }
  return pieces;
}

/// task(number, begin, rows) of each piece: on the CPU in lanes.
template <class Task>
void for_each_piece(const torch::Device& device, const std::vector<RowPiece>& pieces,
                    const Task& task) {
  const auto run = [&](int64_t i) {
    const RowPiece& piece = pieces[static_cast<size_t>(i)];
    task(i, piece.begin, piece.rows);
  };
  if (device.is_cpu()) return tensor::run_in_lanes(std::ssize(pieces), run);
  for (int64_t i = 0; i < std::ssize(pieces); ++i) run(i);
}

}  // namespace cpx::kernels
