// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/elementwise.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/autograd.h>

#include "cpx/core/error.h"
#include "cpx/kernels/reference.h"
#include "cpx/tensor/device.h"
#include "elementwise_cpu.h"
#include "row_plugin.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor to_at_least_float(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                        double epsilon) {
    RECORD_USER_SCOPE("cpx::rms_norm");
    if (has_row_kernels(x) || has_cpu_kernel(x)) {
      const auto compute = has_row_kernels(x) ? rms_norm_rows : rms_norm_cpu;
      const auto [output, inverse] = compute(x, weight, epsilon);
      context->save_for_backward({x, weight, inverse});
      return output;
    }
    const auto wide = to_at_least_float(x);
    const auto inverse = wide.square().mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();  // [T, 1]
    context->save_for_backward({x, weight, inverse});
    return (wide * inverse).to(x.scalar_type()).mul_(weight);
  }

  // With n = x * inverse and g = dy * w: dx = inverse * (g - n * mean(g * n)).
  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::rms_norm backward");
    const auto saved = context->get_saved_variables();
    const auto& inverse = saved[2];
    if (has_row_kernels(saved[0])) {
      return {rms_norm_backward_rows(grad_outputs[0], saved[0], saved[1], inverse), Tensor(),
              Tensor()};
    }
    if (has_cpu_kernel(saved[0])) {
      return {rms_norm_backward_cpu(grad_outputs[0].contiguous(), saved[0], saved[1], inverse),
              Tensor(), Tensor()};
    }
    const auto normalized = to_at_least_float(saved[0]) * inverse;
    const auto gradient = to_at_least_float(grad_outputs[0] * saved[1]);
    const auto projection = (gradient * normalized).mean(-1, /*keepdim=*/true);
    const auto grad_x = (gradient - normalized * projection).mul_(inverse);
    return {grad_x.to(saved[0].scalar_type()), Tensor(), Tensor()};
  }
};

Tensor turn(const Tensor& x, const Tensor& cosine, const Tensor& sine, bool is_inverse) {
  if (has_row_kernels(x)) return rotate_rows(x, cosine, sine, is_inverse);
  if (has_cpu_kernel(x)) {
    return rotate_cpu(x, cosine.to(at::kFloat).contiguous(), sine.to(at::kFloat).contiguous(),
                      is_inverse);
  }
  const int64_t half = x.size(-1) / 2;
  const auto c = cosine.unsqueeze(1).to(x.scalar_type());  // [T, 1, E/2]
  const auto s = (is_inverse ? -sine : sine).unsqueeze(1).to(x.scalar_type());
  const auto first = x.narrow(-1, 0, half);
  const auto second = x.narrow(-1, half, half);
  auto turned = at::empty_like(x, at::MemoryFormat::Contiguous);
  turned.narrow(-1, 0, half).copy_(first * c).sub_(second * s);
  turned.narrow(-1, half, half).copy_(second * c).add_(first * s);
  return turned;
}

class Rotate : public torch::autograd::Function<Rotate> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& cosine,
                        const Tensor& sine) {
    RECORD_USER_SCOPE("cpx::rotate");
    context->save_for_backward({cosine, sine});
    return turn(x, cosine, sine, /*is_inverse=*/false);
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::rotate backward");
    const auto saved = context->get_saved_variables();
    return {turn(grad_outputs[0].contiguous(), saved[0], saved[1], /*is_inverse=*/true), Tensor(),
            Tensor()};
  }
};

class Swiglu : public torch::autograd::Function<Swiglu> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& gate, const Tensor& up) {
    RECORD_USER_SCOPE("cpx::swiglu");
    context->save_for_backward({gate, up});
    if (has_row_kernels(gate)) return swiglu_rows(gate, up);
    if (has_cpu_kernel(gate) && has_cpu_kernel(up)) return swiglu_cpu(gate, up);
    return at::silu(gate).mul_(up);
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::swiglu backward");
    const auto saved = context->get_saved_variables();
    const auto& gradient = grad_outputs[0];
    if (has_row_kernels(saved[0])) {
      const auto [gate, up] = swiglu_backward_rows(gradient, saved[0], saved[1]);
      return {gate, up};
    }
    if (has_cpu_kernel(saved[0]) && has_cpu_kernel(saved[1])) {
      const auto [gate, up] = swiglu_backward_cpu(gradient.contiguous(), saved[0], saved[1]);
      return {gate, up};
    }
    auto grad_gate = at::silu_backward(gradient * saved[1], saved[0]);
    auto grad_up = at::silu(saved[0]).mul_(gradient);
    return {grad_gate, grad_up};
  }
};

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, double epsilon) {
  CPX_CHECK(weight.dim() == 1 && x.size(-1) == weight.size(0),
            "[rms_norm] shapes do not fit: got x {} and weight {}, expected [..., D] and [D].",
            tensor::shape_text(x.sizes()), tensor::shape_text(weight.sizes()));
  if (uses_reference()) return reference::rms_norm(x, weight, epsilon);
  return RmsNormFunction::apply(x, weight, epsilon);
}

Tensor rotate(const Tensor& x, const Tensor& cosine, const Tensor& sine) {
  CPX_CHECK(x.dim() == 3 && x.size(2) == 2 * cosine.size(1) && x.size(0) == cosine.size(0) &&
                cosine.sizes() == sine.sizes(),
            "[rotate] shapes do not fit: got x {}, cosine {}, sine {}, expected [T, H, E] and "
            "twice [T, E/2].",
            tensor::shape_text(x.sizes()), tensor::shape_text(cosine.sizes()),
            tensor::shape_text(sine.sizes()));
  if (uses_reference()) return reference::rotate(x, cosine, sine);
  return Rotate::apply(x, cosine, sine);
}

Tensor swiglu(const Tensor& gate, const Tensor& up) {
  CPX_CHECK(gate.sizes() == up.sizes(), "[swiglu] shapes differ: got gate {} and up {}.",
            tensor::shape_text(gate.sizes()), tensor::shape_text(up.sizes()));
  if (uses_reference()) return reference::swiglu(gate, up);
  return Swiglu::apply(gate, up);
}

}  // namespace cpx::kernels
