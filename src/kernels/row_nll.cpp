// SPDX-License-Identifier: Apache-2.0
#include "row_nll.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "fast_exp.h"

namespace cpx::kernels {

namespace {

// Numbers that are added up in float32 before the sum goes on in float64.
constexpr int64_t kBlock = 512;

float highest_of(const float* row, int64_t size) {
  float highest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : highest)
  for (int64_t i = 0; i < size; ++i) highest = row[i] > highest ? row[i] : highest;
  return highest;
}

// Sum of exp(row - highest); with is_stored the row becomes these numbers.
template <bool is_stored>
double sum_of_exp(float* row, int64_t size, float highest) {
  double total = 0.0;
  for (int64_t begin = 0; begin < size; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, size);
    float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) {
      const float value = fast_exp(row[i] - highest);
      if constexpr (is_stored) row[i] = value;
      sum += value;
    }
    total += sum;
  }
  return total;
}

}  // namespace

void row_nll(torch::Tensor& logits, const torch::Tensor& targets, torch::Tensor& nll,
             bool needs_gradient) {
  const int64_t size = logits.size(1);
  const auto own_targets = targets.contiguous();
  const int64_t* const target_data = own_targets.const_data_ptr<int64_t>();
  float* const logit_data = logits.mutable_data_ptr<float>();
  float* const nll_data = nll.mutable_data_ptr<float>();
  at::parallel_for(0, logits.size(0), 1, [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* values = logit_data + row * size;
      const int64_t target = target_data[row];
      const float highest = highest_of(values, size);
      const float distance = highest - values[target];
      const double sum = needs_gradient ? sum_of_exp<true>(values, size, highest)
                                        : sum_of_exp<false>(values, size, highest);
      nll_data[row] = static_cast<float>(std::log(sum) + distance);
      if (!needs_gradient) continue;
      const auto inverse = static_cast<float>(1.0 / sum);
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) values[i] *= inverse;
      values[target] -= 1.0F;
    }
  });
}

}  // namespace cpx::kernels
