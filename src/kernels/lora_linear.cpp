// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/lora_linear.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/autograd.h>

#include "cpx/core/error.h"
#include "cpx/kernels/quantized_product.h"
#include "cpx/kernels/reference.h"
#include "cpx/kernels/row_product.h"
#include "cpx/tensor/device.h"
#include "dropout_bits.h"
#include "row_pieces.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void check_rate(double p) {
  CPX_CHECK(p >= 0.0 && p < 1.0, "[dropout] got probability {}, expected 0 <= p < 1.", p);
}

using Layers = std::vector<LinearWeights>;

bool has_update(const LinearWeights& layer) { return layer.a.defined(); }
bool is_dropped(const LinearWeights& layer) { return layer.options.dropout > 0.0; }
double keep_factor(const LinearWeights& layer) { return 1.0 / (1.0 - layer.options.dropout); }

// The `a` of all updates without dropout, one below the other, [sum of R, I]; undefined where there
// are none. Their products with the common input are one product.
Tensor joint_factor(const Layers& layers, torch::Dtype dtype) {
  std::vector<Tensor> factors;
  for (const LinearWeights& layer : layers) {
    if (has_update(layer) && !is_dropped(layer)) factors.push_back(layer.a.to(dtype));
  }
  if (factors.empty()) return {};
  return factors.size() == 1 ? factors.front() : at::cat(factors);
}

// task(begin, rows) for all rows of x, in pieces where it is no part of a lane already.
template <class Task>
void for_rows(const Tensor& x, const Task& task) {
  constexpr int64_t kMostRows = 512;
  if (!x.is_cpu() || tensor::is_in_lane()) return task(0, x.size(0));
  for_each_piece(x.device(), row_pieces(x, kMostRows),
                 [&](int64_t /*number*/, int64_t begin, int64_t rows) { task(begin, rows); });
}

// result = left right.
void set_product(Tensor& result, const Tensor& left, const Tensor& right) {
  for_rows(left, [&](int64_t begin, int64_t rows) {
    auto part = result.narrow(0, begin, rows);
    at::mm_out(part, left.narrow(0, begin, rows), right);
  });
}

// left right.
Tensor product(const Tensor& left, const Tensor& right) {
  auto result = at::empty({left.size(0), right.size(1)}, left.options());
  set_product(result, left, right);
  return result;
}

// sum += factor * left right. Not addmm_, whose FLOPs the profiler does not count.
void add_product(Tensor& sum, const Tensor& left, const Tensor& right, double factor = 1.0) {
  for_rows(left, [&](int64_t begin, int64_t rows) {
    auto part = sum.narrow(0, begin, rows);
    at::addmm_out(part, part, left.narrow(0, begin, rows), right, /*beta=*/1, factor);
  });
}

// x weight^T + bias.
Tensor plain_linear(const Tensor& x, const LinearWeights& layer) {
  const auto weight = layer.weight.t();
  if (!layer.bias.defined()) return product(x, weight);
  auto y = at::empty({x.size(0), weight.size(1)}, x.options());
  for_rows(x, [&](int64_t begin, int64_t rows) {
    auto part = y.narrow(0, begin, rows);
    at::addmm_out(part, layer.bias, x.narrow(0, begin, rows), weight);
  });
  return y;
}

// Carries the layers to the backward pass.
struct LayersHolder : torch::CustomClassHolder {
  explicit LayersHolder(Layers own) : layers(std::move(own)) {}
  Layers layers;
};

// An update in the backward pass.
struct UpdateGradient {
  const LinearWeights& layer;
  Tensor grad_y;         // [T, O]
  Tensor low_rank;       // z, [T, R]
  Tensor bits;           // of its dropout, or undefined
  Tensor grad_low_rank;  // dz, [T, R]; a part of the joint one without dropout

  Tensor grad_b() const {
    return at::mm(grad_y.t(), low_rank).mul_(layer.options.scale).to(layer.b.scalar_type());
  }
};

// Layers that read the same input. `factors` holds a and b of those with an update in their order,
// so that autograd sees them.
class SharedLinear : public torch::autograd::Function<SharedLinear> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x, at::TensorList factors,
                               const Layers& layers) {
    RECORD_USER_SCOPE("cpx::linear");
    const auto dtype = x.scalar_type();
    const auto joint_a = joint_factor(layers, dtype);
    const auto joint_low_rank = joint_a.defined() ? product(x, joint_a.t()) : Tensor();
    variable_list outputs;
    variable_list saved = {factors.empty() ? Tensor() : x};
    int64_t column = 0;
    for (const LinearWeights& layer : layers) {
      auto y = plain_linear(x, layer);
      if (has_update(layer)) {
        // One bit a place is kept for the backward pass, not the dropped input.
        const auto bits = is_dropped(layer) ? dropout_bits_for(x, layer.options.dropout,
                                                               layer.options.dropout_key,
                                                               layer.options.row_numbers)
                                            : Tensor();
        const auto low_rank =
            is_dropped(layer) ? product(keep(x, bits, keep_factor(layer)), layer.a.to(dtype).t())
                              : joint_low_rank.narrow(1, column, layer.a.size(0));  // [T, R]
        if (!is_dropped(layer)) column += layer.a.size(0);
        add_product(y, low_rank, layer.b.to(dtype).t(), layer.options.scale);
        saved.insert(saved.end(), {low_rank, bits});
      }
      outputs.push_back(std::move(y));
    }
    if (!x.requires_grad()) context->mark_non_differentiable(without_update(layers, outputs));
    context->save_for_backward(std::move(saved));
    context->saved_data["layers"] =
        c10::IValue::make_capsule(c10::make_intrusive<LayersHolder>(layers));
    return outputs;
  }

  // With z = dropout(x) a^T and dz = scale * dy b:
  // db = scale * dy^T z, da = dz^T dropout(x), dx = sum over layers of dy W + mask * (dz a).
  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::linear backward");
    const auto saved = context->get_saved_variables();
    const auto holder =
        c10::static_intrusive_pointer_cast<LayersHolder>(context->saved_data["layers"].toCapsule());
    const Tensor& x = saved[0];
    const auto joint_a = joint_factor(holder->layers, grad_outputs[0].scalar_type());
    const auto joint_gradient = joint_a.defined()
                                    ? at::empty({x.size(0), joint_a.size(0)}, x.options())
                                    : Tensor();  // [T, sum of R]
    const auto updates = update_gradients(holder->layers, grad_outputs, saved, joint_gradient);
    variable_list gradients = {Tensor()};
    if (context->needs_input_grad(0)) {
      gradients[0] = input_gradient(holder->layers, grad_outputs, updates);
      if (joint_a.defined()) add_product(gradients[0], joint_gradient, joint_a);
    }
    const auto joint_grad_a = joint_a.defined() ? at::mm(joint_gradient.t(), x) : Tensor();
    int64_t row = 0;
    for (const UpdateGradient& update : updates) {
      const LinearWeights& layer = update.layer;
      const auto grad_a = is_dropped(layer) ? at::mm(update.grad_low_rank.t(),
                                                     keep(x, update.bits, keep_factor(layer)))
                                            : joint_grad_a.narrow(0, row, layer.a.size(0));
      if (!is_dropped(layer)) row += layer.a.size(0);
      gradients.insert(gradients.end(), {grad_a.to(layer.a.scalar_type()), update.grad_b()});
    }
    gradients.emplace_back();  // the layers
    return gradients;
  }

 private:
  static variable_list without_update(const Layers& layers, const variable_list& outputs) {
    variable_list frozen;
    for (size_t i = 0; i < layers.size(); ++i) {
      if (!has_update(layers[i])) frozen.push_back(outputs[i]);
    }
    return frozen;
  }

  // The updates with their dz; those without dropout write theirs side by side.
  static std::vector<UpdateGradient> update_gradients(const Layers& layers,
                                                      const variable_list& grad_outputs,
                                                      const variable_list& saved,
                                                      const Tensor& joint_gradient) {
    std::vector<UpdateGradient> updates;
    int64_t column = 0;
    for (size_t i = 0; i < layers.size(); ++i) {
      const LinearWeights& layer = layers[i];
      if (!has_update(layer)) continue;
      const int64_t rank = layer.a.size(0);
      const Tensor& grad_y = grad_outputs[i];
      auto grad_low_rank = is_dropped(layer) ? at::empty({grad_y.size(0), rank}, grad_y.options())
                                             : joint_gradient.narrow(1, column, rank);
      if (!is_dropped(layer)) column += rank;
      set_product(grad_low_rank, grad_y, layer.b.to(grad_y.scalar_type()));
      grad_low_rank.mul_(layer.options.scale);
      const size_t first = 1 + 2 * updates.size();
      updates.push_back({.layer = layer,
                         .grad_y = grad_y,
                         .low_rank = saved[first],
                         .bits = saved[first + 1],
                         .grad_low_rank = grad_low_rank});
    }
    return updates;
  }

  // dx without what the updates without dropout add.
  static Tensor input_gradient(const Layers& layers, const variable_list& grad_outputs,
                               const std::vector<UpdateGradient>& updates) {
    auto grad_x = product(grad_outputs[0], layers[0].weight);
    for (size_t i = 1; i < layers.size(); ++i) {
      add_product(grad_x, grad_outputs[i], layers[i].weight);
    }
    for (const UpdateGradient& update : updates) {
      const LinearWeights& layer = update.layer;
      if (!is_dropped(layer)) continue;
      add_kept(grad_x, product(update.grad_low_rank, layer.a.to(grad_x.scalar_type())), update.bits,
               keep_factor(layer));
    }
    return grad_x;
  }
};

class CounterDropout : public torch::autograd::Function<CounterDropout> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, double p, int64_t key) {
    RECORD_USER_SCOPE("cpx::dropout");
    const auto bits = dropout_bits_for(x, p, static_cast<uint64_t>(key));
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

bool is_quantized(const LinearWeights& layer) { return layer.blocks.is_defined(); }

std::vector<int64_t> weight_shape(const LinearWeights& layer) {
  if (!is_quantized(layer)) return layer.weight.sizes().vec();
  return {layer.blocks.num_outputs(), layer.blocks.num_inputs()};
}

void check_layer(const Tensor& x, const LinearWeights& layer) {
  const auto shape = weight_shape(layer);
  CPX_CHECK(x.dim() == 2 && shape[1] == x.size(1),
            "[linear] shapes do not fit: got x {} and weight {}, expected [T, I] and [O, I].",
            tensor::shape_text(x.sizes()), tensor::shape_text(shape));
  const bool has_gradient = at::GradMode::is_enabled() &&
                            (x.requires_grad() || (has_update(layer) && layer.a.requires_grad()));
  if (!layer.is_by_row || has_gradient) check_not_quantized("linear", layer.blocks);
  if (!has_update(layer)) return;
  CPX_CHECK(layer.a.size(0) == layer.b.size(1) && layer.a.size(1) == x.size(1) &&
                shape[0] == layer.b.size(0),
            "[linear] shapes do not fit: got x {}, weight {}, a {}, b {}, expected [T, I], "
            "[O, I], [R, I], [O, R].",
            tensor::shape_text(x.sizes()), tensor::shape_text(shape),
            tensor::shape_text(layer.a.sizes()), tensor::shape_text(layer.b.sizes()));
  check_rate(layer.options.dropout);
}

// x times the weight of each layer; in one go where all are quantised, or none is.
std::vector<Tensor> products_by_row(const Tensor& x, const Layers& layers) {
  std::vector<BlockWeight> blocks;
  std::vector<Tensor> weights;
  for (const LinearWeights& layer : layers) {
    if (is_quantized(layer)) {
      blocks.push_back(layer.blocks);
    } else {
      weights.push_back(layer.weight);
    }
  }
  if (blocks.empty()) return row_products(x, weights);
  if (weights.empty()) return quantized_products(x, blocks);
  std::vector<Tensor> outputs;
  for (const LinearWeights& layer : layers) {
    outputs.push_back(is_quantized(layer) ? quantized_product(x, layer.blocks)
                                          : row_product(x, layer.weight));
  }
  return outputs;
}

// Layers without gradients whose rows do not depend on each other's number.
std::vector<Tensor> by_row(const Tensor& x, const Layers& layers) {
  const auto rows = x.to(at::kFloat);
  auto outputs = products_by_row(rows, layers);
  for (size_t i = 0; i < layers.size(); ++i) {
    const LinearWeights& layer = layers[i];
    if (layer.bias.defined()) outputs[i].add_(layer.bias);
    if (has_update(layer)) {
      const auto low_rank = row_product(rows, layer.a.to(at::kFloat));
      outputs[i].add_(row_product(low_rank, layer.b.to(at::kFloat)), layer.options.scale);
    }
    outputs[i] = outputs[i].to(x.scalar_type());
  }
  return outputs;
}

}  // namespace

Tensor dropout_mask(int64_t rows, int64_t columns, double p, uint64_t key,
                    const torch::TensorOptions& options, const RowNumbers& numbers) {
  check_rate(p);
  const auto ones = at::ones({rows, columns}, at::kFloat);
  return keep(ones, dropout_bits(rows, columns, p, key, numbers), 1.0 / (1.0 - p)).to(options);
}

Tensor counter_dropout(const Tensor& x, double p, uint64_t key) {
  check_rate(p);
  if (p == 0.0) return x;
  return CounterDropout::apply(x, p, static_cast<int64_t>(key));
}

std::vector<Tensor> shared_linear(const Tensor& x, const std::vector<LinearWeights>& layers) {
  std::vector<Tensor> factors;
  for (const LinearWeights& layer : layers) {
    check_layer(x, layer);
    if (has_update(layer)) factors.insert(factors.end(), {layer.a, layer.b});
  }
  const bool is_by_row = std::ranges::any_of(layers, is_quantized) ||
                         std::ranges::all_of(layers, [](const LinearWeights& layer) {
                           return layer.is_by_row && has_row_product(layer.weight);
                         });
  if (uses_reference()) {
    std::vector<Tensor> outputs;
    for (const LinearWeights& layer : layers) outputs.push_back(reference::linear(x, layer));
    return outputs;
  }
  if (is_by_row) return by_row(x, layers);
  return SharedLinear::apply(x, at::TensorList(factors), layers);
}

Tensor linear(const Tensor& x, const LinearWeights& layer) {
  return shared_linear(x, {layer}).front();
}

}  // namespace cpx::kernels
