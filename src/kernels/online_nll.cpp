// SPDX-License-Identifier: Apache-2.0
#include "online_nll.h"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "fast_exp.h"
#include "for_each_row.h"
#include "multiversion.h"

namespace cpx::kernels {

namespace {

// Numbers that are added up in float32 before the sum goes on in float64.
constexpr int64_t kBlock = 512;
CPX_MULTIVERSION float highest_of(const float* row, int64_t size) {
  float highest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : highest)
  for (int64_t i = 0; i < size; ++i) highest = row[i] > highest ? row[i] : highest;
  return highest;
}

CPX_MULTIVERSION double sum_of_exp(const float* row, int64_t size, float highest) {
  double total = 0.0;
  for (int64_t begin = 0; begin < size; begin += kBlock) {
    const int64_t end = begin + kBlock < size ? begin + kBlock : size;
    float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) sum += fast_exp(row[i] - highest);
    total += sum;
  }
  return total;
}

struct ExpSums {
  double sum = 0.0;
  double weighted = 0.0;  // each times its exponent
};

CPX_MULTIVERSION ExpSums sums_of_exp(const float* row, int64_t size, float highest) {
  constexpr float kLowest = -100.0F;  // exp() is 0 in float32: no logit of -inf times 0
  ExpSums total;
  for (int64_t begin = 0; begin < size; begin += kBlock) {
    const int64_t end = begin + kBlock < size ? begin + kBlock : size;
    float sum = 0.0F;
    float weighted = 0.0F;
#pragma omp simd reduction(+ : sum, weighted)
    for (int64_t i = begin; i < end; ++i) {
      const float exponent = row[i] - highest < kLowest ? kLowest : row[i] - highest;
      const float value = fast_exp(exponent);
      sum += value;
      weighted += value * exponent;
    }
    total.sum += sum;
    total.weighted += weighted;
  }
  return total;
}

// sum_of_exp(), and the row becomes what is summed.
CPX_MULTIVERSION double to_exp(float* row, int64_t size, float highest) {
  double total = 0.0;
  for (int64_t begin = 0; begin < size; begin += kBlock) {
    const int64_t end = begin + kBlock < size ? begin + kBlock : size;
    float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) {
      const float value = fast_exp(row[i] - highest);
      row[i] = value;
      sum += value;
    }
    total += sum;
  }
  return total;
}

CPX_MULTIVERSION void scale(float* row, int64_t size, float factor) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) row[i] *= factor;
}

}  // namespace

OnlineNll::OnlineNll(const torch::Tensor& targets)
    : targets_(targets),
      rows_(static_cast<size_t>(targets.numel()),
            Row{.highest = -std::numeric_limits<float>::infinity(),
                .target_logit = std::numeric_limits<float>::quiet_NaN(),
                .sum = 0.0}) {}

void OnlineNll::take_target(const float* logits, int64_t row, int64_t first_column,
                            int64_t num_columns) {
  const int64_t column = targets_.const_data_ptr<int64_t>()[row] - first_column;
  if (column >= 0 && column < num_columns) {
    rows_[static_cast<size_t>(row)].target_logit = logits[column];
  }
}

double OnlineNll::raise(Row& row, float highest) {
  if (!(highest > row.highest)) return 1.0;
  const double distance = static_cast<double>(row.highest) - highest;
  const double factor = std::exp(distance);
  if (row.sum > 0.0) row.weighted = factor * (row.weighted + row.sum * distance);
  row.sum *= factor;
  row.highest = highest;
  return factor;
}

template <class AddSums>
void OnlineNll::add_rows(const torch::Tensor& logits, int64_t first_column,
                         const AddSums& add_sums) {
  const int64_t size = logits.size(1);
  const float* const data = logits.const_data_ptr<float>();
  for_each_row(logits.size(0), size, [&](int64_t index) {
    const float* values = data + index * size;
    Row& row = rows_[static_cast<size_t>(index)];
    take_target(values, index, first_column, size);
    raise(row, highest_of(values, size));
    add_sums(row, values);
  });
}

void OnlineNll::add(const torch::Tensor& logits, int64_t first_column) {
  add_rows(logits, first_column, [size = logits.size(1)](Row& row, const float* values) {
    row.sum += sum_of_exp(values, size, row.highest);
  });
}

void OnlineNll::add_with_entropy(const torch::Tensor& logits, int64_t first_column) {
  add_rows(logits, first_column, [size = logits.size(1)](Row& row, const float* values) {
    const ExpSums sums = sums_of_exp(values, size, row.highest);
    row.sum += sums.sum;
    row.weighted += sums.weighted;
  });
}

void OnlineNll::add(torch::Tensor& logits, int64_t first_column, torch::Tensor& weighted_rows) {
  const int64_t size = logits.size(1);
  const int64_t weighted_size = weighted_rows.size(1);
  float* const data = logits.mutable_data_ptr<float>();
  float* const weighted_data = weighted_rows.mutable_data_ptr<float>();
  for_each_row(logits.size(0), size, [&](int64_t index) {
    float* values = data + index * size;
    Row& row = rows_[static_cast<size_t>(index)];
    take_target(values, index, first_column, size);
    const double factor = raise(row, highest_of(values, size));
    if (factor != 1.0) {
      scale(weighted_data + index * weighted_size, weighted_size, static_cast<float>(factor));
    }
    row.sum += to_exp(values, size, row.highest);
  });
}

torch::Tensor OnlineNll::nll() const {
  auto result = at::empty({targets_.size(0)}, at::kFloat);
  float* const values = result.mutable_data_ptr<float>();
  for (size_t i = 0; i < rows_.size(); ++i) {
    const double distance = static_cast<double>(rows_[i].highest) - rows_[i].target_logit;
    values[i] = static_cast<float>(std::log(rows_[i].sum) + distance);
  }
  return result;
}

// With p = exp(e) / S for the exponents e: -sum p log p = log S - sum exp(e) e / S.
torch::Tensor OnlineNll::entropy() const {
  auto result = at::empty({targets_.size(0)}, at::kFloat);
  float* const values = result.mutable_data_ptr<float>();
  for (size_t i = 0; i < rows_.size(); ++i) {
    values[i] = static_cast<float>(std::log(rows_[i].sum) - rows_[i].weighted / rows_[i].sum);
  }
  return result;
}

torch::Tensor OnlineNll::inverse_sums() const {
  auto result = at::empty({targets_.size(0), 1}, at::kFloat);
  float* const values = result.mutable_data_ptr<float>();
  for (size_t i = 0; i < rows_.size(); ++i) values[i] = static_cast<float>(1.0 / rows_[i].sum);
  return result;
}

}  // namespace cpx::kernels
