// SPDX-License-Identifier: Apache-2.0
#include "elementwise_cpu.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "fast_exp.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;

// Numbers that are worth a thread of their own.
constexpr int64_t kGrain = 16384;

// Calls task(row) for all rows of `size` numbers, shared among the threads.
template <class Task>
void for_each_row(int64_t rows, int64_t size, const Task& task) {
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, size));
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) task(row);
  });
}

inline float sigmoid(float x) { return 1.0F / (1.0F + fast_exp(-x)); }

}  // namespace

bool is_plain_float(const Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
}

std::pair<Tensor, Tensor> rms_norm_cpu(const Tensor& x, const Tensor& weight, double epsilon) {
  const int64_t size = x.size(-1);
  const int64_t rows = x.numel() / size;
  auto output = at::empty_like(x);
  auto inverse_shape = x.sizes().vec();
  inverse_shape.back() = 1;
  auto inverse = at::empty(inverse_shape, x.options());
  const float* const x_data = x.const_data_ptr<float>();
  const float* const weight_data = weight.const_data_ptr<float>();
  float* const output_data = output.mutable_data_ptr<float>();
  float* const inverse_data = inverse.mutable_data_ptr<float>();
  for_each_row(rows, size, [=](int64_t row) {
    const float* in = x_data + row * size;
    float* out = output_data + row * size;
    float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < size; ++i) sum += in[i] * in[i];
    const float factor =
        1.0F / std::sqrt(sum / static_cast<float>(size) + static_cast<float>(epsilon));
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) out[i] = in[i] * factor * weight_data[i];
    inverse_data[row] = factor;
  });
  return {output, inverse};
}

// With n = x * inverse and g = dy * w: dx = inverse * (g - n * mean(g * n)).
Tensor rms_norm_backward_cpu(const Tensor& grad_output, const Tensor& x, const Tensor& weight,
                             const Tensor& inverse) {
  const int64_t size = x.size(-1);
  auto grad_x = at::empty_like(x);
  const float* const x_data = x.const_data_ptr<float>();
  const float* const grad_data = grad_output.const_data_ptr<float>();
  const float* const weight_data = weight.const_data_ptr<float>();
  const float* const inverse_data = inverse.const_data_ptr<float>();
  float* const result_data = grad_x.mutable_data_ptr<float>();
  for_each_row(x.numel() / size, size, [=](int64_t row) {
    const float* in = x_data + row * size;
    const float* grad = grad_data + row * size;
    float* result = result_data + row * size;
    const float factor = inverse_data[row];
    float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < size; ++i) sum += grad[i] * weight_data[i] * in[i];
    const float projection = sum * factor * factor / static_cast<float>(size);
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      result[i] = factor * (grad[i] * weight_data[i] - in[i] * projection);
    }
  });
  return grad_x;
}

Tensor rotate_cpu(const Tensor& x, const Tensor& cosine, const Tensor& sine, bool is_inverse) {
  const int64_t heads = x.size(1);
  const int64_t half = x.size(2) / 2;
  const float direction = is_inverse ? -1.0F : 1.0F;
  auto turned = at::empty_like(x);
  const float* const x_data = x.const_data_ptr<float>();
  const float* const cosine_data = cosine.const_data_ptr<float>();
  const float* const sine_data = sine.const_data_ptr<float>();
  float* const turned_data = turned.mutable_data_ptr<float>();
  for_each_row(x.size(0), heads * 2 * half, [=](int64_t token) {
    const float* c = cosine_data + token * half;
    const float* s = sine_data + token * half;
    for (int64_t head = token * heads; head < (token + 1) * heads; ++head) {
      const float* in = x_data + head * 2 * half;
      float* out = turned_data + head * 2 * half;
#pragma omp simd
      for (int64_t i = 0; i < half; ++i) {
        out[i] = in[i] * c[i] - in[half + i] * (direction * s[i]);
        out[half + i] = in[half + i] * c[i] + in[i] * (direction * s[i]);
      }
    }
  });
  return turned;
}

Tensor swiglu_cpu(const Tensor& gate, const Tensor& up) {
  auto output = at::empty_like(gate);
  const float* const gate_data = gate.const_data_ptr<float>();
  const float* const up_data = up.const_data_ptr<float>();
  float* const output_data = output.mutable_data_ptr<float>();
  at::parallel_for(0, gate.numel(), kGrain, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      output_data[i] = gate_data[i] * sigmoid(gate_data[i]) * up_data[i];
    }
  });
  return output;
}

// With s = sigmoid(gate): d silu / d gate = s * (1 + gate * (1 - s)).
std::pair<Tensor, Tensor> swiglu_backward_cpu(const Tensor& grad_output, const Tensor& gate,
                                              const Tensor& up) {
  auto grad_gate = at::empty_like(gate);
  auto grad_up = at::empty_like(up);
  const float* const grad_data = grad_output.const_data_ptr<float>();
  const float* const gate_data = gate.const_data_ptr<float>();
  const float* const up_data = up.const_data_ptr<float>();
  float* const grad_gate_data = grad_gate.mutable_data_ptr<float>();
  float* const grad_up_data = grad_up.mutable_data_ptr<float>();
  at::parallel_for(0, gate.numel(), kGrain, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const float g = gate_data[i];
      const float s = sigmoid(g);
      grad_gate_data[i] = grad_data[i] * up_data[i] * s * (1.0F + g * (1.0F - s));
      grad_up_data[i] = grad_data[i] * g * s;
    }
  });
  return {grad_gate, grad_up};
}

}  // namespace cpx::kernels
