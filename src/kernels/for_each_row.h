// SPDX-License-Identifier: Apache-2.0
// Rows shared among the threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include <ATen/Parallel.h>

namespace cpx::kernels {

/// Numbers that are worth a thread of their own.
constexpr int64_t kGrain = 16384;

/// Calls task(row) for all rows of `size` numbers. Which thread has a row changes no result.
template <class Task>
void for_each_row(int64_t rows, int64_t size, const Task& task) {
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, size));
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) task(row);
  });
}

}  // namespace cpx::kernels
