// SPDX-License-Identifier: Apache-2.0
// How large a run's micro batches get.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <vector>

namespace cpx::recipes {

/// The micro batch with the most tokens.
struct BatchSize {
  int64_t tokens = 0;
  int64_t texts = 0;
  int64_t longest_text = 0;

  /// Counts a text of `length` tokens.
  void add_text(int64_t length);
};

/// Tokens of an average micro batch, the largest one, and with how many different numbers of rows
/// half types on the CPU compute (kernels::rounded_rows).
struct BatchSizes {
  BatchSize largest = {};
  double mean_tokens = 0.0;
  int64_t num_row_counts = 1;
};

/// Takes in micro batches one by one.
class BatchMeter {
 public:
  void add(const BatchSize& batch);
  BatchSizes sizes() const;

 private:
  BatchSize largest_ = {};
  int64_t num_tokens_ = 0;
  int64_t num_batches_ = 0;
  std::set<int64_t> row_counts_ = {};
};

/// Sizes of the micro batches of the first `num_epochs` epochs, each of `units_per_batch` units in
/// the order of `order_of(epoch)`; `add_unit(batch, unit, epoch)` adds the texts of a unit.
BatchSizes measure_epochs(
    int64_t num_epochs, int64_t units_per_batch,
    const std::function<std::vector<int64_t>(int64_t epoch)>& order_of,
    const std::function<void(BatchSize& batch, int64_t unit, int64_t epoch)>& add_unit);

/// Micro batches of two passes, the second after the first: their tokens add up, their memory does
/// not.
BatchSizes one_after_the_other(const BatchSizes& first, const BatchSizes& second);

/// What no micro batch of `texts` texts can exceed: each is `max_tokens` long.
BatchSizes batch_bound(int64_t texts, int64_t max_tokens);

}  // namespace cpx::recipes
