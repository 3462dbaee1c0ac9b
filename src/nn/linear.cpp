// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/linear.h"

#include <cmath>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/core/random.h"

namespace cpx::nn {

namespace {

torch::Tensor uniform_matrix(int64_t rows, int64_t columns, double bound, uint64_t seed) {
  auto matrix = at::empty({rows, columns}, at::kFloat);
  float* values = matrix.mutable_data_ptr<float>();
  CounterRng rng(seed, {});
  for (int64_t i = 0; i < matrix.numel(); ++i) {
    values[i] = static_cast<float>((2.0 * rng.uniform() - 1.0) * bound);
  }
  return matrix;
}

}  // namespace

bool matches_target(std::string_view name, std::string_view target) {
  if (target == "all-linear") return name != "lm_head";
  if (!name.ends_with(target)) return false;
  return name.size() == target.size() || name[name.size() - target.size() - 1] == '.';
}

double LoraConfig::scale() const {
  const auto r = static_cast<double>(rank);
  return rslora ? alpha / std::sqrt(r) : alpha / r;
}

LoraFactorImpl::LoraFactorImpl(torch::Tensor initial)
    : weight(register_parameter("weight", std::move(initial), /*requires_grad=*/true)) {}

LinearImpl::LinearImpl(const LinearOptions& linear_options) : options(linear_options) {
  declare_frozen("weight", weight, {options.out_features, options.in_features}, &blocks);
  if (options.has_bias) declare_frozen("bias", bias, {options.out_features});
}

void LinearImpl::attach_lora(const LoraConfig& config, uint64_t seed, uint64_t dropout_stream) {
  CPX_CHECK(config.rank > 0, "[attach_lora] got rank {}, expected at least 1.", config.rank);
  CPX_CHECK(!has_lora(), "[attach_lora] this layer has an update already.");
  lora_ = config;
  dropout_stream_ = dropout_stream;
  const double bound = 1.0 / std::sqrt(static_cast<double>(options.in_features));
  const bool has_device = weight.defined() && !weight.is_meta();  // quantised ones are on the CPU
  const auto device = has_device ? weight.device() : torch::Device(torch::kCPU);
  lora_A = register_module(
      "lora_A",
      LoraFactor(uniform_matrix(config.rank, options.in_features, bound, seed).to(device)));
  lora_B = register_module("lora_B", LoraFactor(at::zeros({options.out_features, config.rank},
                                                          at::device(device).dtype(at::kFloat))));
}

uint64_t LinearImpl::dropout_key(const ForwardOptions& forward_options) const {
  return mix_seed(forward_options.dropout_key, {dropout_stream_});
}

torch::Tensor LinearImpl::forward(const torch::Tensor& x, const ForwardContext& context) {
  return kernels::linear(x, weights(context));
}

kernels::LinearWeights LinearImpl::weights(const ForwardContext& context) const {
  kernels::LinearWeights weights{
      .weight = weight, .bias = bias, .is_by_row = context.options.is_by_row, .blocks = blocks};
  if (!uses_lora()) return weights;
  weights.a = lora_A->weight;
  weights.b = lora_B->weight;
  weights.options = {.scale = lora_.scale(),
                     .dropout = context.options.is_training ? lora_.dropout : 0.0,
                     .dropout_key = dropout_key(context.options),
                     .row_numbers = context.row_numbers};
  return weights;
}

}  // namespace cpx::nn
