// SPDX-License-Identifier: Apache-2.0
// Negative log-likelihoods of rows whose logits come a block of columns at a time, so that a block
// stays in the cache and no row of all V logits is ever there. Float32 on the CPU.
// After Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018, algorithm 3: the
// sum of exp(logit - highest) is scaled down whenever a higher logit comes.
// Legend: N rows, V vocabulary, C columns of a block, D model.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/types.h>

namespace cpx::kernels {

class OnlineNll {
 public:
  /// `targets` int64 [N], contiguous, on the CPU.
  explicit OnlineNll(const torch::Tensor& targets);

  /// Takes in the logits [N, C] (float32, contiguous) of the columns from `first_column` on.
  void add(const torch::Tensor& logits, int64_t first_column);
  /// The same, and what entropy() needs of them.
  void add_with_entropy(const torch::Tensor& logits, int64_t first_column);

  /// The same, and turns the logits into exp(logit - highest), where the highest is of all columns
  /// so far; `weighted_rows` (float32 [N, D], contiguous; a sum with these weights over the columns
  /// before) is scaled to it.
  void add(torch::Tensor& logits, int64_t first_column, torch::Tensor& weighted_rows);

  /// Negative log-likelihood (natural log) of the targets, once all columns were added; [N].
  torch::Tensor nll() const;

  /// Entropy (natural log) of each row's softmax, once all columns were added with it; [N].
  torch::Tensor entropy() const;

  /// 1 / sum of exp(logit - highest), [N, 1].
  torch::Tensor inverse_sums() const;

 private:
  // What is known of a row so far.
  struct Row {
    float highest;
    float target_logit;
    double sum;           // of exp(logit - highest)
    double weighted = 0;  // sum of exp(logit - highest) * (logit - highest), for the entropy
  };

  // add_sums(row, values) for each row, after its target and its highest logit were taken.
  template <class AddSums>
  void add_rows(const torch::Tensor& logits, int64_t first_column, const AddSums& add_sums);
  void take_target(const float* logits, int64_t row, int64_t first_column, int64_t num_columns);
  // Factor on what was summed up before, now that `highest` is known.
  static double raise(Row& row, float highest);

  torch::Tensor targets_;
  std::vector<Row> rows_;
};

}  // namespace cpx::kernels
