// SPDX-License-Identifier: Apache-2.0
#include "batch_sizes.h"

#include <algorithm>

#include "cpx/kernels/row_rounding.h"

namespace cpx::recipes {

namespace {

// Rows that `tokens` are computed with in half types on the CPU.
int64_t rows_in_half_types(int64_t tokens) {
  return kernels::rounded_rows(tokens, torch::kBFloat16, torch::kCPU);
}

}  // namespace

void BatchSize::add_text(int64_t length) {
  tokens += length;
  texts += 1;
  longest_text = std::max(longest_text, length);
}

void BatchMeter::add(const BatchSize& batch) {
  num_tokens_ += batch.tokens;
  ++num_batches_;
  row_counts_.insert(rows_in_half_types(batch.tokens - batch.texts));
  if (batch.tokens > largest_.tokens) largest_ = batch;
}

BatchSizes BatchMeter::sizes() const {
  return {.largest = largest_,
          .mean_tokens = static_cast<double>(num_tokens_) /
                         static_cast<double>(std::max<int64_t>(1, num_batches_)),
          .num_row_counts = std::ssize(row_counts_)};
}

BatchSizes measure_epochs(
    int64_t num_epochs, int64_t units_per_batch,
    const std::function<std::vector<int64_t>(int64_t epoch)>& order_of,
    const std::function<void(BatchSize& batch, int64_t unit, int64_t epoch)>& add_unit) {
  BatchMeter meter;
  const auto in_batch = static_cast<size_t>(units_per_batch);
  for (int64_t epoch = 0; epoch < num_epochs; ++epoch) {
    const std::vector<int64_t> order = order_of(epoch);
    for (size_t begin = 0; begin < order.size();) {
      BatchSize batch;
      const size_t end = std::min(order.size(), begin + in_batch);
      for (; begin < end; ++begin) add_unit(batch, order[begin], epoch);
      meter.add(batch);
    }
  }
  return meter.sizes();
}

BatchSizes one_after_the_other(const BatchSizes& first, const BatchSizes& second) {
  return {.largest = first.largest.tokens >= second.largest.tokens ? first.largest : second.largest,
          .mean_tokens = first.mean_tokens + second.mean_tokens,
          .num_row_counts = first.num_row_counts + second.num_row_counts};
}

BatchSizes batch_bound(int64_t texts, int64_t max_tokens) {
  const int64_t tokens = texts * max_tokens;
  return {.largest = {.tokens = tokens, .texts = texts, .longest_text = max_tokens},
          .mean_tokens = static_cast<double>(tokens),
          .num_row_counts = rows_in_half_types(tokens) / rows_in_half_types(1)};
}

}  // namespace cpx::recipes
