// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/lora_linear.h"

#include <array>
#include <optional>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include "cpx/core/error.h"
#include "cpx/core/random.h"
#include "cpx/tensor/device.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor dropped(const Tensor& x, double p, uint64_t key) {
  if (p == 0.0) return x;
  return x * dropout_mask(x.size(0), x.size(1), p, key, x.options());
}

class LoraLinear : public torch::autograd::Function<LoraLinear> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias, const Tensor& a, const Tensor& b,
                        const LoraOptions& options) {
    const auto a_compute = a.to(x.scalar_type());
    const auto b_compute = b.to(x.scalar_type());
    auto y = at::linear(x, weight, bias);
    const auto low_rank =
        at::mm(dropped(x, options.dropout, options.dropout_key), a_compute.t());  // [T, R]
    y.addmm_(low_rank, b_compute.t(), /*beta=*/1, /*alpha=*/options.scale);
    context->save_for_backward({x, weight, a, b, low_rank});
    context->saved_data["scale"] = options.scale;
    context->saved_data["dropout"] = options.dropout;
    context->saved_data["key"] = static_cast<int64_t>(options.dropout_key);
    return y;
  }

  // With z = dropout(x) a^T and dz = scale * dy b:
  // db = scale * dy^T z, da = dz^T dropout(x), dx = dy W + mask * (dz a).
  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &a = saved[2], &b = saved[3],
               &low_rank = saved[4];
    const double scale = context->saved_data["scale"].toDouble();
    const double p = context->saved_data["dropout"].toDouble();
    const auto key = static_cast<uint64_t>(context->saved_data["key"].toInt());
    const auto& grad_y = grad_outputs[0];

    const auto mask = p == 0.0 ? Tensor() : dropout_mask(x.size(0), x.size(1), p, key, x.options());
    const auto grad_low_rank = at::mm(grad_y, b.to(x.scalar_type())).mul_(scale);  // [T, R]
    const auto grad_b = at::mm(grad_y.t(), low_rank).mul_(scale).to(b.scalar_type());
    const auto grad_a =
        at::mm(grad_low_rank.t(), mask.defined() ? x * mask : x).to(a.scalar_type());
    Tensor grad_x;
    if (context->needs_input_grad(0)) {
      grad_x = at::mm(grad_y, weight);
      const auto a_compute = a.to(x.scalar_type());
      if (mask.defined()) {
        grad_x.addcmul_(at::mm(grad_low_rank, a_compute), mask);
      } else {
        grad_x.addmm_(grad_low_rank, a_compute);
      }
    }
    return {grad_x, Tensor(), Tensor(), grad_a, grad_b, Tensor()};
  }
};

class CounterDropout : public torch::autograd::Function<CounterDropout> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, double p, int64_t key) {
    context->saved_data["dropout"] = p;
    context->saved_data["key"] = key;
    return dropped(x, p, static_cast<uint64_t>(key));
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    const auto key = static_cast<uint64_t>(context->saved_data["key"].toInt());
    return {dropped(grad_outputs[0], context->saved_data["dropout"].toDouble(), key), Tensor(),
            Tensor()};
  }
};

}  // namespace

Tensor dropout_mask(int64_t rows, int64_t columns, double p, uint64_t key,
                    const torch::TensorOptions& options) {
  CPX_CHECK(p >= 0.0 && p < 1.0, "[dropout] got probability {}, expected 0 <= p < 1.", p);
  auto mask = at::empty({rows, columns}, at::kFloat);
  float* values = mask.mutable_data_ptr<float>();
  const auto threshold = static_cast<uint32_t>(p * 0x1.0p32);
  const auto kept = static_cast<float>(1.0 / (1.0 - p));
  const std::array<uint32_t, 2> philox_key = {static_cast<uint32_t>(key),
                                              static_cast<uint32_t>(key >> 32)};
  at::parallel_for(0, rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t column = 0; column < columns; column += 4) {
        const auto words = philox4x32(
            {static_cast<uint32_t>(column / 4), static_cast<uint32_t>(row), 0, 0}, philox_key);
        for (int64_t i = 0; i < 4 && column + i < columns; ++i) {
          values[row * columns + column + i] = words[static_cast<size_t>(i)] < threshold ? 0 : kept;
        }
      }
    }
  });
  return mask.to(options);
}

Tensor counter_dropout(const Tensor& x, double p, uint64_t key) {
  if (p == 0.0) return x;
  return CounterDropout::apply(x, p, static_cast<int64_t>(key));
}

Tensor lora_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& a,
                   const Tensor& b, const LoraOptions& options) {
  CPX_CHECK(x.dim() == 2 && a.size(0) == b.size(1) && a.size(1) == x.size(1) &&
                weight.size(1) == x.size(1) && weight.size(0) == b.size(0),
            "[lora_linear] shapes do not fit: got x {}, weight {}, a {}, b {}, expected [T, I], "
            "[O, I], [R, I], [O, R].",
            tensor::shape_text(x.sizes()), tensor::shape_text(weight.sizes()),
            tensor::shape_text(a.sizes()), tensor::shape_text(b.sizes()));
  // Autograd takes no undefined tensor.
  const auto given_bias = bias.defined() ? std::optional<Tensor>(bias) : std::nullopt;
  return LoraLinear::apply(x, weight, given_bias, a, b, options);
}

}  // namespace cpx::kernels
