// SPDX-License-Identifier: Apache-2.0
#include "long_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "fast_exp.h"
#include "multiversion.h"
#include "tile_product.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;

constexpr int64_t kKeys = 64;  // of a block
constexpr int64_t kRows = 48;  // of a block: a multiple of the register tile's
constexpr float kNone = -std::numeric_limits<float>::infinity();

// ---- Rows of scores -----------------------------------------------------------------------------

CPX_MULTIVERSION float highest_of(const float* scores, int64_t begin, int64_t end) {
  float highest = kNone;
#pragma omp simd reduction(max : highest)
  for (int64_t j = begin; j < end; ++j) highest = scores[j] > highest ? scores[j] : highest;
  return highest;
}

// Scores become exp(scale * score - shift) over [begin, end) and 0 elsewhere; their sum.
CPX_MULTIVERSION float to_weights(float* scores, int64_t begin, int64_t end, float scale,
                                  float shift) {
  float sum = 0.0F;
#pragma omp simd
  for (int64_t j = 0; j < begin; ++j) scores[j] = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = begin; j < end; ++j) {
    const float weight = fast_exp(scale * scores[j] - shift);
    scores[j] = weight;
    sum += weight;
  }
#pragma omp simd
  for (int64_t j = end; j < kKeys; ++j) scores[j] = 0.0F;
  return sum;
}

CPX_MULTIVERSION void scale_row(float* row, int64_t size, float factor) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) row[i] *= factor;
}

CPX_MULTIVERSION float dot(const float* x, const float* y, int64_t size) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += x[i] * y[i];
  return sum;
}

// dP to dS = scale * P * (dP - sum of P * dP).
CPX_MULTIVERSION void to_score_gradients(const float* weights, float mean, float scale,
                                         float* gradients) {
#pragma omp simd
  for (int64_t j = 0; j < kKeys; ++j) gradients[j] = scale * weights[j] * (gradients[j] - mean);
}

CPX_MULTIVERSION void add_row(const float* x, int64_t size, float* sum) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) sum[i] += x[i];
}

// ---- Blocks -------------------------------------------------------------------------------------

// A head's rows of a text, `stride` apart, of which `data` is number `first`.
template <class Number>
struct HeadRows {
  Number* data;
  int64_t stride;
  int64_t first = 0;

  Number* operator[](int64_t row) const { return data + (row - first) * stride; }
};

// Columns kKeys apart: transposed[e * kKeys + j] = rows[begin + j][e], zeros past `count` rows.
void transpose_block(const HeadRows<const float>& rows, int64_t begin, int64_t count, int64_t size,
                     float* transposed) {
  for (int64_t j = 0; j < count; ++j) {
    const float* row = rows[begin + j];
    for (int64_t e = 0; e < size; ++e) transposed[e * kKeys + j] = row[e];
  }
  for (int64_t e = 0; e < size; ++e) {
    std::fill(transposed + e * kKeys + count, transposed + (e + 1) * kKeys, 0.0F);
  }
}

// A block of keys of a text, and the rows that see any of them.
struct KeyBlock {
  int64_t begin;
  int64_t count;
  int64_t first_row;
  int64_t row_end;
};

// One query head of one text.
struct Head {
  HeadRows<const float> q, k, v;
  int64_t length;
  int64_t first_row;  // that asks
  int64_t size;       // E
  int64_t window;     // 0: none
  float scale;

  KeyBlock key_block(int64_t begin) const {
    const int64_t count = std::min(kKeys, length - begin);
    const int64_t row_end = window > 0 ? std::min(length, begin + count - 1 + window) : length;
    return {.begin = begin,
            .count = count,
            .first_row = std::max(begin, first_row),
            .row_end = row_end};
  }
  // The keys of the block that `row` sees are [first, last).
  int64_t first_key(const KeyBlock& block, int64_t row) const {
    const int64_t first = window > 0 ? row - window + 1 - block.begin : 0;
    return std::clamp<int64_t>(first, 0, block.count);
  }
  static int64_t last_key(const KeyBlock& block, int64_t row) {
    return std::min(block.count, row + 1 - block.begin);
  }

  // scores [rows, kKeys] = x[row_begin..] transposed, without the scale.
  void multiply(const HeadRows<const float>& x, int64_t row_begin, int64_t rows,
                const float* transposed, float* scores) const {
    std::fill(scores, scores + rows * kKeys, 0.0F);
    add_tile_product({.data = x[row_begin], .row_stride = x.stride, .column_stride = 1}, transposed,
                     kKeys, rows, size, kKeys, scores, kKeys);
  }
};

// ---- Forward ------------------------------------------------------------------------------------

class HeadForward {
 public:
  HeadForward(const Head& head, HeadRows<float> output, HeadRows<float> log_sums)
      : head_(head),
        output_(output),
        log_sums_(log_sums),
        highest_(static_cast<size_t>(head.length), kNone),
        sums_(static_cast<size_t>(head.length), 0.0F),
        keys_(static_cast<size_t>(head.size * kKeys)) {}

  void run() {
    for (int64_t row = head_.first_row; row < head_.length; ++row) {
      std::fill(output_[row], output_[row] + head_.size, 0.0F);
    }
    for (int64_t begin = 0; begin < head_.length; begin += kKeys) {
      const KeyBlock block = head_.key_block(begin);
      if (block.first_row >= block.row_end) continue;
      transpose_block(head_.k, block.begin, block.count, head_.size, keys_.data());
      for (int64_t row = block.first_row; row < block.row_end; row += kRows) {
        add_block(block, row, std::min(kRows, block.row_end - row));
      }
    }
    for (int64_t row = head_.first_row; row < head_.length; ++row) {
      const auto index = static_cast<size_t>(row);
      scale_row(output_[row], head_.size, 1.0F / sums_[index]);
      *log_sums_[row] = highest_[index] + std::log(sums_[index]);
    }
  }

 private:
  void add_block(const KeyBlock& block, int64_t row_begin, int64_t rows) {
    float scores[kRows * kKeys];
    head_.multiply(head_.q, row_begin, rows, keys_.data(), scores);
    for (int64_t r = 0; r < rows; ++r) to_weights_of_row(block, row_begin + r, scores + r * kKeys);
    add_tile_product({.data = scores, .row_stride = kKeys, .column_stride = 1},
                     head_.v[block.begin], head_.v.stride, rows, block.count, head_.size,
                     output_[row_begin], output_.stride);
  }

  // Scores to weights relative to the highest score so far; what was summed up is scaled to it.
  void to_weights_of_row(const KeyBlock& block, int64_t row, float* scores) {
    const int64_t first = head_.first_key(block, row);
    const int64_t last = std::max(first, Head::last_key(block, row));
    const auto index = static_cast<size_t>(row);
    const float highest = head_.scale * highest_of(scores, first, last);
    if (highest > highest_[index]) {
      const float factor = std::exp(highest_[index] - highest);
      highest_[index] = highest;
      sums_[index] *= factor;
      scale_row(output_[row], head_.size, factor);
    }
    sums_[index] += to_weights(scores, first, last, head_.scale, highest_[index]);
  }

  const Head& head_;
  HeadRows<float> output_;
  HeadRows<float> log_sums_;
  std::vector<float> highest_;
  std::vector<float> sums_;
  std::vector<float> keys_;  // of a block, transposed
};

// ---- Backward -----------------------------------------------------------------------------------

class HeadBackward {
 public:
  HeadBackward(const Head& head, HeadRows<const float> output, HeadRows<const float> log_sums,
               HeadRows<const float> grad_output)
      : head_(head),
        log_sums_(log_sums),
        grad_output_(grad_output),
        means_(static_cast<size_t>(head.length)),
        keys_(static_cast<size_t>(head.size * kKeys)),
        values_(static_cast<size_t>(head.size * kKeys)) {
    for (int64_t row = head.first_row; row < head.length; ++row) {
      means_[static_cast<size_t>(row)] = dot(grad_output[row], output[row], head.size);
    }
  }

  // The gradient of q is written, those of k and v are added.
  void run(HeadRows<float> grad_q, HeadRows<float> grad_k, HeadRows<float> grad_v) {
    for (int64_t row = head_.first_row; row < head_.length; ++row) {
      std::fill(grad_q[row], grad_q[row] + head_.size, 0.0F);
    }
    for (int64_t begin = 0; begin < head_.length; begin += kKeys) {
      const KeyBlock block = head_.key_block(begin);
      if (block.first_row >= block.row_end) continue;
      transpose_block(head_.k, block.begin, block.count, head_.size, keys_.data());
      transpose_block(head_.v, block.begin, block.count, head_.size, values_.data());
      for (int64_t row = block.first_row; row < block.row_end; row += kRows) {
        add_block(block, row, std::min(kRows, block.row_end - row), grad_q, grad_k, grad_v);
      }
    }
  }

 private:
  void add_block(const KeyBlock& block, int64_t row_begin, int64_t rows, HeadRows<float> grad_q,
                 HeadRows<float> grad_k, HeadRows<float> grad_v) {
    float weights[kRows * kKeys];    // P
    float gradients[kRows * kKeys];  // dP, then dS
    head_.multiply(head_.q, row_begin, rows, keys_.data(), weights);
    head_.multiply(grad_output_, row_begin, rows, values_.data(), gradients);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = row_begin + r;
      const int64_t first = head_.first_key(block, row);
      const int64_t last = std::max(first, Head::last_key(block, row));
      to_weights(weights + r * kKeys, first, last, head_.scale, *log_sums_[row]);
      to_score_gradients(weights + r * kKeys, means_[static_cast<size_t>(row)], head_.scale,
                         gradients + r * kKeys);
    }
    const Matrix by_row{.data = gradients, .row_stride = kKeys, .column_stride = 1};
    const Matrix by_key{.data = gradients, .row_stride = 1, .column_stride = kKeys};
    const Matrix weights_by_key{.data = weights, .row_stride = 1, .column_stride = kKeys};
    add_tile_product(by_row, head_.k[block.begin], head_.k.stride, rows, block.count, head_.size,
                     grad_q[row_begin], grad_q.stride);
    add_tile_product(by_key, head_.q[row_begin], head_.q.stride, block.count, rows, head_.size,
                     grad_k[block.begin], grad_k.stride);
    add_tile_product(weights_by_key, grad_output_[row_begin], grad_output_.stride, block.count,
                     rows, head_.size, grad_v[block.begin], grad_v.stride);
  }

  const Head& head_;
  HeadRows<const float> log_sums_;
  HeadRows<const float> grad_output_;
  std::vector<float> means_;  // of P * dP, by row
  std::vector<float> keys_;   // of a block, transposed
  std::vector<float> values_;
};

// ---- All heads ----------------------------------------------------------------------------------

// Sizes of the tensors, and heads of a text's rows in them.
struct Shape {
  int64_t num_heads;
  int64_t num_kv_heads;
  int64_t size;
  AttentionOptions options;

  Shape(const Tensor& q, const Tensor& k, const AttentionOptions& attention_options)
      : num_heads(q.size(1)),
        num_kv_heads(k.size(1)),
        size(q.size(2)),
        options(attention_options) {}

  int64_t group() const { return num_heads / num_kv_heads; }

  static int64_t offset(const Tensor& x, int64_t row, int64_t head) {
    return (row * x.size(1) + head) * x.size(2);
  }
  // Of keys and values, [T, heads, width].
  static HeadRows<const float> rows(const Tensor& x, const TextSpan& text, int64_t head) {
    return {x.const_data_ptr<float>() + offset(x, text.begin, head), x.size(1) * x.size(2)};
  }
  static HeadRows<float> mutable_rows(const Tensor& x, const TextSpan& text, int64_t head) {
    return {x.mutable_data_ptr<float>() + offset(x, text.begin, head), x.size(1) * x.size(2)};
  }
  // Of queries and what belongs to them, [Q, heads, width]; rows have their numbers in the text.
  static HeadRows<const float> query_rows(const Tensor& x, const TextSpan& text, int64_t head) {
    return {x.const_data_ptr<float>() + offset(x, text.query_begin, head), x.size(1) * x.size(2),
            text.first_row};
  }
  static HeadRows<float> mutable_query_rows(const Tensor& x, const TextSpan& text, int64_t head) {
    return {x.mutable_data_ptr<float>() + offset(x, text.query_begin, head), x.size(1) * x.size(2),
            text.first_row};
  }
  Head head(const Tensor& q, const Tensor& k, const Tensor& v, const TextSpan& text,
            int64_t index) const {
    return {.q = query_rows(q, text, index),
            .k = rows(k, text, index / group()),
            .v = rows(v, text, index / group()),
            .length = text.length,
            .first_row = text.first_row,
            .size = size,
            .window = options.window,
            .scale = static_cast<float>(options.scale)};
  }
};

// Calls task(text, head) for all, shared among the threads.
template <class Task>
void for_each_head(const std::vector<TextSpan>& texts, int64_t num_heads, const Task& task) {
  at::parallel_for(0, std::ssize(texts) * num_heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      task(texts[static_cast<size_t>(i / num_heads)], i % num_heads);
    }
  });
}

// Adds the gradients of the query heads of a group to their key head's, in the heads' order.
void sum_groups(const Tensor& by_head, const std::vector<TextSpan>& texts, Tensor& sum) {
  const int64_t group = by_head.size(1) / sum.size(1);
  const int64_t size = sum.size(2);
  for_each_head(texts, sum.size(1), [&](const TextSpan& text, int64_t key_head) {
    const auto to = Shape::mutable_rows(sum, text, key_head);
    for (int64_t g = 0; g < group; ++g) {
      const auto from = Shape::rows(by_head, text, key_head * group + g);
      for (int64_t row = 0; row < text.length; ++row) add_row(from[row], size, to[row]);
    }
  });
}

}  // namespace

Tensor long_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                      const std::vector<TextSpan>& texts, const AttentionOptions& options,
                      Tensor& output) {
  if (texts.empty()) return {};
  const Shape shape(q, k, options);
  auto log_sums = at::empty({q.size(0), shape.num_heads, 1}, q.options());
  for_each_head(texts, shape.num_heads, [&](const TextSpan& text, int64_t index) {
    const Head head = shape.head(q, k, v, text, index);
    HeadForward(head, Shape::mutable_query_rows(output, text, index),
                Shape::mutable_query_rows(log_sums, text, index))
        .run();
  });
  return log_sums;
}

void long_attention_backward(const Tensor& q, const Tensor& k, const Tensor& v,
                             const Tensor& output, const Tensor& log_sums,
                             const Tensor& grad_output, const std::vector<TextSpan>& texts,
                             const AttentionOptions& options, AttentionGradients& gradients) {
  if (texts.empty()) return;
  const Shape shape(q, k, options);
  // Tasks of one key head would add to the same places: each query head has gradients of its own.
  const bool is_grouped = shape.group() > 1;
  const auto by_head = [&](const Tensor& sum) {
    return is_grouped ? at::zeros({k.size(0), q.size(1), q.size(2)}, q.options()) : sum;
  };
  const auto grad_k = by_head(gradients.k);  // [T, H, E]
  const auto grad_v = by_head(gradients.v);
  for_each_head(texts, shape.num_heads, [&](const TextSpan& text, int64_t index) {
    const Head head = shape.head(q, k, v, text, index);
    HeadBackward(head, Shape::query_rows(output, text, index),
                 Shape::query_rows(log_sums, text, index),
                 Shape::query_rows(grad_output, text, index))
        .run(Shape::mutable_query_rows(gradients.q, text, index),
             Shape::mutable_rows(grad_k, text, index), Shape::mutable_rows(grad_v, text, index));
  });
  if (!is_grouped) return;
  sum_groups(grad_k, texts, gradients.k);
  sum_groups(grad_v, texts, gradients.v);
}

}  // namespace cpx::kernels
