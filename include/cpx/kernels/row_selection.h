// SPDX-License-Identifier: Apache-2.0
// Selects rows, possibly several times or in another order; the gradient of a row is the sum over
// its copies. For texts that share their beginning.
// Legend: S source rows, R selected rows.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <torch/types.h>

namespace cpx::kernels {

/// The selected rows: row i of the result is row `rows[i]` of S.
class RowSelection {
 public:
  /// Throws std::invalid_argument for a row outside 0 .. num_sources - 1.
  RowSelection(std::span<const int64_t> rows, int64_t num_sources, const torch::Device& device);

  int64_t num_sources() const { return std::ssize(starts_) - 1; }
  /// int64 [R], on the device.
  const torch::Tensor& rows() const { return rows_; }
  /// The rows of the result that are copies of row `source`.
  std::span<const int64_t> taken_for(int64_t source) const;

 private:
  torch::Tensor rows_;
  std::vector<int64_t> taken_;   // [R] rows of the result, by source row
  std::vector<int64_t> starts_;  // [S + 1] where each source row's begin in `taken_`
};

/// The selected rows of `x` [S, ...]: [R, ...]. `selection` is kept for the backward pass, which
/// sums in float32 for half types, in the order of the rows of the result. Throws
/// std::invalid_argument unless `x` has S rows.
torch::Tensor select_rows(const torch::Tensor& x,
                          const std::shared_ptr<const RowSelection>& selection);

}  // namespace cpx::kernels
