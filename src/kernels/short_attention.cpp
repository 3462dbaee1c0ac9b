// SPDX-License-Identifier: Apache-2.0
#include "short_attention.h"

#include <algorithm>
#include <cmath>
#include <immintrin.h>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "fast_exp.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;

constexpr int64_t kLanes = 8;
constexpr int64_t kLanesAtOnce = 8;  // accumulators of eight numbers

// Rows of E numbers, `stride` apart, of which `data` is number `first`.
template <class Number>
struct Rows {
  Number* data;
  int64_t stride;
  int64_t first = 0;

  Number* operator[](int64_t row) const { return data + (row - first) * stride; }
};

// The sums of the eight numbers of each of four registers.
__m128 sums_of(const __m256 (&parts)[4]) {
  const __m256 pairs =
      _mm256_hadd_ps(_mm256_hadd_ps(parts[0], parts[1]), _mm256_hadd_ps(parts[2], parts[3]));
  return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

// products[j] = factor * x . rows[j] for j in [begin, end).
void dot_products(const float* x, const Rows<const float>& rows, int64_t begin, int64_t end,
                  int64_t size, float factor, float* products) {
  for (int64_t j = begin; j < end; j += 4) {
    const int64_t last = end - 1;  // a row past the end is not read, but the last one again
    const float* own[4] = {rows[j], rows[std::min(j + 1, last)], rows[std::min(j + 2, last)],
                           rows[std::min(j + 3, last)]};
    __m256 parts[4] = {};
    for (int64_t i = 0; i < size; i += kLanes) {
      const __m256 numbers = _mm256_loadu_ps(x + i);
      for (int n = 0; n < 4; ++n) {
        parts[n] = _mm256_fmadd_ps(numbers, _mm256_loadu_ps(own[n] + i), parts[n]);
      }
    }
    // `products` has room for three numbers past the end.
    _mm_storeu_ps(products + j, _mm_mul_ps(sums_of(parts), _mm_set1_ps(factor)));
  }
}

// result = sum of weights[j] * rows[j] over j in [begin, end), `num_registers` times 8 numbers.
template <int num_registers>
void weighted_sum_of(const float* weights, const Rows<const float>& rows, int64_t begin,
                     int64_t end, int64_t offset, float* result) {
  __m256 sums[num_registers] = {};
  for (int64_t j = begin; j < end; ++j) {
    const __m256 weight = _mm256_set1_ps(weights[j]);
    const float* row = rows[j] + offset;
    for (int n = 0; n < num_registers; ++n) {
      sums[n] = _mm256_fmadd_ps(weight, _mm256_loadu_ps(row + n * kLanes), sums[n]);
    }
  }
  for (int n = 0; n < num_registers; ++n) _mm256_storeu_ps(result + offset + n * kLanes, sums[n]);
}

void weighted_sum(const float* weights, const Rows<const float>& rows, int64_t begin, int64_t end,
                  int64_t size, float* result) {
  int64_t offset = 0;
  for (; offset + kLanesAtOnce * kLanes <= size; offset += kLanesAtOnce * kLanes) {
    weighted_sum_of<kLanesAtOnce>(weights, rows, begin, end, offset, result);
  }
  for (; offset < size; offset += kLanes) {
    weighted_sum_of<1>(weights, rows, begin, end, offset, result);
  }
}

// y += weight * x.
void add_scaled(float weight, const float* x, int64_t size, float* y) {
  const __m256 weights = _mm256_set1_ps(weight);
  for (int64_t i = 0; i < size; i += kLanes) {
    _mm256_storeu_ps(y + i,
                     _mm256_fmadd_ps(weights, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  }
}

// What one task reads: a query head's rows of a text and its key head's.
struct HeadRows {
  Rows<const float> q;
  Rows<const float> k;
  Rows<const float> v;
};

// Softmax of a row's scores in place, over [begin, end).
void softmax(float* scores, int64_t begin, int64_t end) {
  float highest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : highest)
  for (int64_t j = begin; j < end; ++j) highest = scores[j] > highest ? scores[j] : highest;
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = begin; j < end; ++j) {
    scores[j] = fast_exp(scores[j] - highest);
    sum += scores[j];
  }
  const float inverse = 1.0F / sum;
#pragma omp simd
  for (int64_t j = begin; j < end; ++j) scores[j] *= inverse;
}

// dP to dS = scale * P * (dP - sum(P * dP)), the gradient of a softmax, over [begin, end).
void softmax_backward(const float* weights, int64_t begin, int64_t end, float scale,
                      float* gradients) {
  float mean = 0.0F;
#pragma omp simd reduction(+ : mean)
  for (int64_t j = begin; j < end; ++j) mean += weights[j] * gradients[j];
#pragma omp simd
  for (int64_t j = begin; j < end; ++j) gradients[j] = scale * weights[j] * (gradients[j] - mean);
}

// Sizes, and where a row's first visible key is.
struct Shape {
  int64_t num_heads;
  int64_t num_kv_heads;
  int64_t head_dim;
  AttentionOptions options;

  Shape(const Tensor& q, const Tensor& k, const AttentionOptions& attention_options)
      : num_heads(q.size(1)),
        num_kv_heads(k.size(1)),
        head_dim(q.size(2)),
        options(attention_options) {}

  int64_t group() const { return num_heads / num_kv_heads; }
  int64_t first_key(int64_t row) const {
    return options.window > 0 ? std::max<int64_t>(0, row - options.window + 1) : 0;
  }

  // Key head `head` of the text's rows of a [T, K, E] tensor.
  template <class Number>
  Rows<Number> key_rows(Number* data, const TextSpan& text, int64_t head) const {
    return {data + (text.begin * num_kv_heads + head) * head_dim, num_kv_heads * head_dim};
  }
  // Head `head` of the text's rows of a [Q, H, E] tensor, by their numbers in the text.
  template <class Number>
  Rows<Number> query_rows(Number* data, const TextSpan& text, int64_t head) const {
    return {data + (text.query_begin * num_heads + head) * head_dim, num_heads * head_dim,
            text.first_row};
  }

  HeadRows head_rows(const Tensor& q, const Tensor& k, const Tensor& v, const TextSpan& text,
                     int64_t head) const {
    const int64_t key_head = head / group();
    return {query_rows(q.const_data_ptr<float>(), text, head),
            key_rows(k.const_data_ptr<float>(), text, key_head),
            key_rows(v.const_data_ptr<float>(), text, key_head)};
  }

  // The attention weights of `row` in weights[first_key(row)..row].
  void attend(const HeadRows& head, int64_t row, float* weights) const {
    const int64_t begin = first_key(row);
    dot_products(head.q[row], head.k, begin, row + 1, head_dim, static_cast<float>(options.scale),
                 weights);
    softmax(weights, begin, row + 1);
  }
};

// Calls task(text, key head) for all, shared among the threads.
template <class Task>
void for_each_key_head(const std::vector<TextSpan>& texts, int64_t num_kv_heads, const Task& task) {
  at::parallel_for(0, std::ssize(texts) * num_kv_heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      task(texts[static_cast<size_t>(i / num_kv_heads)], i % num_kv_heads);
    }
  });
}

constexpr int64_t kBufferSize = kMaxShortText + 4;

}  // namespace

void short_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                     const std::vector<TextSpan>& texts, const AttentionOptions& options,
                     Tensor& output) {
  const Shape shape(q, k, options);
  float* const output_data = output.mutable_data_ptr<float>();
  for_each_key_head(texts, shape.num_kv_heads, [&](const TextSpan& text, int64_t key_head) {
    float weights[kBufferSize];
    for (int64_t g = 0; g < shape.group(); ++g) {
      const int64_t head = key_head * shape.group() + g;
      const HeadRows rows = shape.head_rows(q, k, v, text, head);
      const auto out = shape.query_rows(output_data, text, head);
      for (int64_t row = text.first_row; row < text.length; ++row) {
        shape.attend(rows, row, weights);
        weighted_sum(weights, rows.v, shape.first_key(row), row + 1, shape.head_dim, out[row]);
      }
    }
  });
}

void short_attention_backward(const Tensor& q, const Tensor& k, const Tensor& v,
                              const Tensor& grad_output, const std::vector<TextSpan>& texts,
                              const AttentionOptions& options, AttentionGradients& gradients) {
  const Shape shape(q, k, options);
  const int64_t size = shape.head_dim;
  const float* const grad_output_data = grad_output.const_data_ptr<float>();
  float* const grad_q_data = gradients.q.mutable_data_ptr<float>();
  float* const grad_k_data = gradients.k.mutable_data_ptr<float>();
  float* const grad_v_data = gradients.v.mutable_data_ptr<float>();
  for_each_key_head(texts, shape.num_kv_heads, [&](const TextSpan& text, int64_t key_head) {
    float weights[kBufferSize];      // P
    float grad_scores[kBufferSize];  // dP, then dS
    const auto grad_k = shape.key_rows(grad_k_data, text, key_head);
    const auto grad_v = shape.key_rows(grad_v_data, text, key_head);
    for (int64_t g = 0; g < shape.group(); ++g) {
      const int64_t head = key_head * shape.group() + g;
      const HeadRows rows = shape.head_rows(q, k, v, text, head);
      const auto grad_q = shape.query_rows(grad_q_data, text, head);
      const auto grad_out = shape.query_rows(grad_output_data, text, head);
      for (int64_t row = text.first_row; row < text.length; ++row) {
        const int64_t begin = shape.first_key(row);
        const int64_t end = row + 1;
        shape.attend(rows, row, weights);
        dot_products(grad_out[row], rows.v, begin, end, size, 1.0F, grad_scores);
        softmax_backward(weights, begin, end, static_cast<float>(options.scale), grad_scores);
        weighted_sum(grad_scores, rows.k, begin, end, size, grad_q[row]);
        for (int64_t j = begin; j < end; ++j) {
          add_scaled(grad_scores[j], rows.q[row], size, grad_k[j]);
          add_scaled(weights[j], grad_out[row], size, grad_v[j]);
        }
      }
    }
  });
}

}  // namespace cpx::kernels
