// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/recompute.h"

#include <memory>

#include <torch/autograd.h>

namespace cpx::nn {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using Function = std::function<Tensor(const Tensor&)>;

// Carries the function through the saved data of an autograd context.
struct FunctionHolder : torch::CustomClassHolder {
  explicit FunctionHolder(Function wrapped) : function(std::move(wrapped)) {}
  Function function;
};

class Recomputed : public torch::autograd::Function<Recomputed> {
 public:
  static Tensor forward(AutogradContext* context, c10::intrusive_ptr<FunctionHolder> holder,
                        const Tensor& x, at::TensorList parameters) {
    auto output = holder->function(x);
    variable_list saved = {x};
    saved.insert(saved.end(), parameters.begin(), parameters.end());
    context->save_for_backward(std::move(saved));
    context->saved_data["function"] = c10::IValue::make_capsule(std::move(holder));
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    auto saved = context->get_saved_variables();
    const auto holder = c10::static_intrusive_pointer_cast<FunctionHolder>(
        context->saved_data["function"].toCapsule());
    const bool needs_x = saved[0].requires_grad();
    const torch::AutoGradMode enable_grad(true);
    const auto x = saved[0].detach().requires_grad_(needs_x);
    const auto output = holder->function(x);

    variable_list inputs(saved.begin() + 1, saved.end());
    if (needs_x) inputs.insert(inputs.begin(), x);
    auto gradients = torch::autograd::grad({output}, inputs, grad_outputs);
    if (!needs_x) gradients.insert(gradients.begin(), Tensor());
    gradients.insert(gradients.begin(), Tensor());  // the function itself
    return gradients;
  }
};

}  // namespace

Tensor recomputed(Function function, const Tensor& x, const std::vector<Tensor>& parameters) {
  if (!x.requires_grad() && parameters.empty()) return function(x);
  return Recomputed::apply(c10::make_intrusive<FunctionHolder>(std::move(function)), x,
                           at::TensorList(parameters));
}

std::vector<Tensor> trainable_parameters(const torch::nn::Module& module) {
  std::vector<Tensor> trainable;
  for (const auto& parameter : module.parameters()) {
    if (parameter.requires_grad()) trainable.push_back(parameter);
  }
  return trainable;
}

}  // namespace cpx::nn
