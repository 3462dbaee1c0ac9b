// SPDX-License-Identifier: Apache-2.0
#include "elementwise_cpu.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "for_each_row.h"
#include "row_math.h"

namespace cpx::kernels {

namespace {

using c10::BFloat16;
using torch::Tensor;

// Numbers of a row-less operator that are computed at once.
constexpr int64_t kBlock = 1024;

// ---- Numbers are computed in float32, whatever they are stored in ------------------------------

// The numbers themselves; `buffer` is left alone.
const float* widened(const float* numbers, int64_t /*size*/, float* /*buffer*/) { return numbers; }

// The numbers in `buffer`.
const float* widened(const BFloat16* numbers, int64_t size, float* buffer) {
  widen(numbers, size, buffer);
  return buffer;
}

// Where results go before store(): the place itself, or `buffer`.
float* result_place(float* place, float* /*buffer*/) { return place; }
float* result_place(BFloat16* /*place*/, float* buffer) { return buffer; }

void store(const float* /*results*/, int64_t /*size*/, float* /*place*/) {}
void store(const float* results, int64_t size, BFloat16* place) { narrow(results, size, place); }

// Float32 numbers for one thread's rows or blocks.
class Buffers {
 public:
  Buffers(int64_t count, int64_t size) : size_(size), numbers_(static_cast<size_t>(count * size)) {}
  float* operator[](int64_t index) {
    return numbers_.empty() ? nullptr : numbers_.data() + index * size_;
  }

 private:
  int64_t size_;
  std::vector<float> numbers_;
};

// As many buffers as an operator needs: float32 needs none.
template <class Number>
constexpr int64_t buffers_for(int64_t count) {
  return std::is_same_v<Number, float> ? 0 : count;
}

template <class Number>
constexpr Rounding rounding_of() {
  return std::is_same_v<Number, float> ? Rounding::kNone : Rounding::kBfloat16;
}

// Calls task(row, buffers) for all rows of `size` numbers, shared among the threads.
template <class Task>
void for_each_row_buffered(int64_t rows, int64_t size, int64_t num_buffers, const Task& task) {
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, size));
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    Buffers buffers(num_buffers, size);
    for (int64_t row = begin; row < end; ++row) task(row, buffers);
  });
}

// Calls task(begin, size, buffers) for blocks of all numbers, shared among the threads.
template <class Task>
void for_each_block(int64_t numbers, int64_t num_buffers, const Task& task) {
  at::parallel_for(0, numbers, kGrain, [&](int64_t begin, int64_t end) {
    Buffers buffers(num_buffers, kBlock);
    for (; begin < end; begin += kBlock) task(begin, std::min(kBlock, end - begin), buffers);
  });
}

// Calls kernel(number) with a number of the tensor's type.
template <class Kernel>
auto dispatch(const Tensor& x, const Kernel& kernel) {
  return x.scalar_type() == at::kFloat ? kernel(float{}) : kernel(BFloat16{});
}

// ---- Operators ---------------------------------------------------------------------------------

template <class Number>
std::pair<Tensor, Tensor> rms_norm_of(const Tensor& x, const Tensor& weight, double epsilon) {
  const int64_t size = x.size(-1);
  auto output = at::empty_like(x);
  auto inverse_shape = x.sizes().vec();
  inverse_shape.back() = 1;
  auto inverse = at::empty(inverse_shape, x.options().dtype(at::kFloat));
  const auto wide_weight = weight.to(at::kFloat).contiguous();
  const Number* const x_data = x.const_data_ptr<Number>();
  const float* const weight_data = wide_weight.const_data_ptr<float>();
  Number* const output_data = output.mutable_data_ptr<Number>();
  float* const inverse_data = inverse.mutable_data_ptr<float>();
  for_each_row_buffered(
      x.numel() / size, size, buffers_for<Number>(2), [=](int64_t row, Buffers& buffers) {
        const float* in = widened(x_data + row * size, size, buffers[0]);
        Number* const place = output_data + row * size;
        float* out = result_place(place, buffers[1]);
        inverse_data[row] = normalize_row(in, weight_data, size, static_cast<float>(epsilon),
                                          rounding_of<Number>(), out);
        store(out, size, place);
      });
  return {output, inverse};
}

template <class Number>
Tensor rms_norm_backward_of(const Tensor& grad_output, const Tensor& x, const Tensor& weight,
                            const Tensor& inverse) {
  const int64_t size = x.size(-1);
  auto grad_x = at::empty_like(x);
  const auto wide_weight = weight.to(at::kFloat).contiguous();
  const Number* const x_data = x.const_data_ptr<Number>();
  const Number* const grad_data = grad_output.const_data_ptr<Number>();
  const float* const weight_data = wide_weight.const_data_ptr<float>();
  const float* const inverse_data = inverse.const_data_ptr<float>();
  Number* const result_data = grad_x.mutable_data_ptr<Number>();
  for_each_row_buffered(x.numel() / size, size, buffers_for<Number>(3),
                        [=](int64_t row, Buffers& buffers) {
                          const float* in = widened(x_data + row * size, size, buffers[0]);
                          const float* grad = widened(grad_data + row * size, size, buffers[1]);
                          Number* const place = result_data + row * size;
                          float* result = result_place(place, buffers[2]);
                          normalize_row_backward(grad, in, weight_data, inverse_data[row], size,
                                                 rounding_of<Number>(), result);
                          store(result, size, place);
                        });
  return grad_x;
}

template <class Number>
Tensor rotate_of(const Tensor& x, const Tensor& cosine, const Tensor& sine, bool is_inverse) {
  const int64_t heads = x.size(1);
  const int64_t half = x.size(2) / 2;
  const int64_t size = heads * 2 * half;
  const float direction = is_inverse ? -1.0F : 1.0F;
  auto turned = at::empty_like(x);
  const Number* const x_data = x.const_data_ptr<Number>();
  const float* const cosine_data = cosine.const_data_ptr<float>();
  const float* const sine_data = sine.const_data_ptr<float>();
  Number* const turned_data = turned.mutable_data_ptr<Number>();
  for_each_row_buffered(
      x.size(0), size, buffers_for<Number>(2), [=](int64_t token, Buffers& buffers) {
        const float* in = widened(x_data + token * size, size, buffers[0]);
        Number* const place = turned_data + token * size;
        float* out = result_place(place, buffers[1]);
        for (int64_t head = 0; head < heads; ++head) {
          rotate_head(in + head * 2 * half, cosine_data + token * half, sine_data + token * half,
                      direction, half, rounding_of<Number>(), out + head * 2 * half);
        }
        store(out, size, place);
      });
  return turned;
}

template <class Number>
Tensor swiglu_of(const Tensor& gate, const Tensor& up) {
  auto output = at::empty_like(gate);
  const Number* const gate_data = gate.const_data_ptr<Number>();
  const Number* const up_data = up.const_data_ptr<Number>();
  Number* const output_data = output.mutable_data_ptr<Number>();
  for_each_block(gate.numel(), buffers_for<Number>(3),
                 [=](int64_t begin, int64_t size, Buffers& buffers) {
                   const float* g = widened(gate_data + begin, size, buffers[0]);
                   const float* u = widened(up_data + begin, size, buffers[1]);
                   float* out = result_place(output_data + begin, buffers[2]);
                   swiglu_row(g, u, size, rounding_of<Number>(), out);
                   store(out, size, output_data + begin);
                 });
  return output;
}

template <class Number>
std::pair<Tensor, Tensor> swiglu_backward_of(const Tensor& grad_output, const Tensor& gate,
                                             const Tensor& up) {
  auto grad_gate = at::empty_like(gate);
  auto grad_up = at::empty_like(up);
  const Number* const grad_data = grad_output.const_data_ptr<Number>();
  const Number* const gate_data = gate.const_data_ptr<Number>();
  const Number* const up_data = up.const_data_ptr<Number>();
  Number* const grad_gate_data = grad_gate.mutable_data_ptr<Number>();
  Number* const grad_up_data = grad_up.mutable_data_ptr<Number>();
  for_each_block(gate.numel(), buffers_for<Number>(5),
                 [=](int64_t begin, int64_t size, Buffers& buffers) {
                   const float* dy = widened(grad_data + begin, size, buffers[0]);
                   const float* g = widened(gate_data + begin, size, buffers[1]);
                   const float* u = widened(up_data + begin, size, buffers[2]);
                   float* to_gate = result_place(grad_gate_data + begin, buffers[3]);
                   float* to_up = result_place(grad_up_data + begin, buffers[4]);
                   swiglu_row_backward(dy, g, u, size, rounding_of<Number>(), to_gate, to_up);
                   store(to_gate, size, grad_gate_data + begin);
                   store(to_up, size, grad_up_data + begin);
                 });
  return {grad_gate, grad_up};
}

}  // namespace

bool has_cpu_kernel(const Tensor& x) {
  return x.is_cpu() && x.is_contiguous() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

std::pair<Tensor, Tensor> rms_norm_cpu(const Tensor& x, const Tensor& weight, double epsilon) {
  return dispatch(x, [&]<class Number>(Number) { return rms_norm_of<Number>(x, weight, epsilon); });
}

Tensor rms_norm_backward_cpu(const Tensor& grad_output, const Tensor& x, const Tensor& weight,
                             const Tensor& inverse) {
  return dispatch(x, [&]<class Number>(Number) {
    return rms_norm_backward_of<Number>(grad_output, x, weight, inverse);
  });
}

Tensor rotate_cpu(const Tensor& x, const Tensor& cosine, const Tensor& sine, bool is_inverse) {
  return dispatch(
      x, [&]<class Number>(Number) { return rotate_of<Number>(x, cosine, sine, is_inverse); });
}

Tensor swiglu_cpu(const Tensor& gate, const Tensor& up) {
  return dispatch(gate, [&]<class Number>(Number) { return swiglu_of<Number>(gate, up); });
}

std::pair<Tensor, Tensor> swiglu_backward_cpu(const Tensor& grad_output, const Tensor& gate,
                                              const Tensor& up) {
  return dispatch(gate, [&]<class Number>(Number) {
    return swiglu_backward_of<Number>(grad_output, gate, up);
  });
}

}  // namespace cpx::kernels
