// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/lora_linear.h"

#include <optional>

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/autograd.h>

#include "cpx/core/error.h"
#include "cpx/tensor/device.h"
#include "dropout_bits.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void check_rate(double p) {
  CPX_CHECK(p >= 0.0 && p < 1.0, "[dropout] got probability {}, expected 0 <= p < 1.", p);
}

class LoraLinear : public torch::autograd::Function<LoraLinear> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias, const Tensor& a, const Tensor& b,
                        const LoraOptions& options) {
    RECORD_USER_SCOPE("cpx::lora_linear");
    const auto a_compute = a.to(x.scalar_type());
    const auto b_compute = b.to(x.scalar_type());
    auto y = at::linear(x, weight, bias);
    // One bit a place is kept for the backward pass, not the dropped input.
    const auto bits = options.dropout > 0.0
                          ? dropout_bits(x.size(0), x.size(1), options.dropout, options.dropout_key)
                          : Tensor();
    const double factor = 1.0 / (1.0 - options.dropout);
    const auto low_rank =
        at::mm(bits.defined() ? keep(x, bits, factor) : x, a_compute.t());  // [T, R]
    y.addmm_(low_rank, b_compute.t(), /*beta=*/1, /*alpha=*/options.scale);
    context->save_for_backward({x, weight, a, b, low_rank, bits});
    context->saved_data["scale"] = options.scale;
    context->saved_data["factor"] = factor;
    return y;
  }

  // With z = dropout(x) a^T and dz = scale * dy b:
  // db = scale * dy^T z, da = dz^T dropout(x), dx = dy W + mask * (dz a).
  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::lora_linear backward");
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &a = saved[2], &b = saved[3],
               &low_rank = saved[4], &bits = saved[5];
    const double scale = context->saved_data["scale"].toDouble();
    const double factor = context->saved_data["factor"].toDouble();
    const auto& grad_y = grad_outputs[0];

    const auto grad_low_rank = at::mm(grad_y, b.to(x.scalar_type())).mul_(scale);  // [T, R]
    const auto grad_b = at::mm(grad_y.t(), low_rank).mul_(scale).to(b.scalar_type());
    const auto grad_a =
        at::mm(grad_low_rank.t(), bits.defined() ? keep(x, bits, factor) : x).to(a.scalar_type());
    Tensor grad_x;
    if (context->needs_input_grad(0)) {
      grad_x = at::mm(grad_y, weight);
      const auto a_compute = a.to(x.scalar_type());
      if (bits.defined()) {
        add_kept(grad_x, at::mm(grad_low_rank, a_compute), bits, factor);
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
    RECORD_USER_SCOPE("cpx::dropout");
    const auto bits = dropout_bits(x.size(0), x.size(1), p, static_cast<uint64_t>(key));
    const double factor = 1.0 / (1.0 - p);
    context->save_for_backward({bits});
    context->saved_data["factor"] = factor;
    return keep(x, bits, factor);
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::dropout backward");
    const auto bits = context->get_saved_variables()[0];
    return {keep(grad_outputs[0], bits, context->saved_data["factor"].toDouble()), Tensor(),
            Tensor()};
  }
};

}  // namespace

Tensor dropout_mask(int64_t rows, int64_t columns, double p, uint64_t key,
                    const torch::TensorOptions& options) {
  check_rate(p);
  const auto ones = at::ones({rows, columns}, at::kFloat);
  return keep(ones, dropout_bits(rows, columns, p, key), 1.0 / (1.0 - p)).to(options);
}

Tensor counter_dropout(const Tensor& x, double p, uint64_t key) {
  check_rate(p);
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
  check_rate(options.dropout);
  // Autograd takes no undefined tensor.
  const auto given_bias = bias.defined() ? std::optional<Tensor>(bias) : std::nullopt;
  return LoraLinear::apply(x, weight, given_bias, a, b, options);
}

}  // namespace cpx::kernels
