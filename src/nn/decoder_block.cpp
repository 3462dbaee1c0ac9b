// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/decoder_block.h"

#include <cmath>

#include <ATen/ATen.h>

#include "cpx/kernels/elementwise.h"
#include "cpx/kernels/lora_linear.h"
#include "cpx/nn/attention_source.h"
#include "cpx/nn/recompute.h"

namespace cpx::nn {

RmsNormImpl::RmsNormImpl(int64_t size, double epsilon) : epsilon_(epsilon) {
  declare_frozen("weight", weight, {size});
}

torch::Tensor RmsNormImpl::forward(const torch::Tensor& x) {
  return kernels::rms_norm(x, weight, epsilon_);
}

AttentionImpl::AttentionImpl(const DecoderBlockOptions& options)
    : layer_(options.layer),
      head_dim_(options.head_dim),
      attention_{.scale = 1.0 / std::sqrt(static_cast<double>(options.head_dim)),
                 .window = options.sliding_window} {
  const int64_t query_size = options.num_heads * options.head_dim;
  const int64_t key_size = options.num_kv_heads * options.head_dim;
  const auto linear = [&options](int64_t in_features, int64_t out_features) {
    return Linear(LinearOptions{.in_features = in_features,
                                .out_features = out_features,
                                .has_bias = options.attention_bias});
  };
  q_proj = register_module("q_proj", linear(options.hidden_size, query_size));
  k_proj = register_module("k_proj", linear(options.hidden_size, key_size));
  v_proj = register_module("v_proj", linear(options.hidden_size, key_size));
  o_proj = register_module("o_proj", linear(query_size, options.hidden_size));
}

torch::Tensor AttentionImpl::forward(const torch::Tensor& x, const ForwardContext& context) {
  const auto heads = [this](const torch::Tensor& y) {
    return y.view({y.size(0), y.size(1) / head_dim_, head_dim_});
  };
  const auto projected = kernels::shared_linear(
      x, {q_proj->weights(context), k_proj->weights(context), v_proj->weights(context)});
  const auto q = kernels::rotate(heads(projected[0]), context.cosine, context.sine);  // [T, H, E]
  const auto k = kernels::rotate(heads(projected[1]), context.cosine, context.sine);  // [T, K, E]
  const auto v = heads(projected[2]);                                                 // [T, K, E]
  const auto read = context.source->attend(layer_, q, k, v, attention_);              // [T, H, E]
  return o_proj->forward(read.flatten(1), context);
}

MlpImpl::MlpImpl(const DecoderBlockOptions& options) {
  const auto linear = [&options](int64_t in_features, int64_t out_features) {
    return Linear(LinearOptions{
        .in_features = in_features, .out_features = out_features, .has_bias = options.mlp_bias});
  };
  gate_proj = register_module("gate_proj", linear(options.hidden_size, options.intermediate_size));
  up_proj = register_module("up_proj", linear(options.hidden_size, options.intermediate_size));
  down_proj = register_module("down_proj", linear(options.intermediate_size, options.hidden_size));
}

torch::Tensor MlpImpl::forward(const torch::Tensor& x, const ForwardContext& context) {
  const auto projected =
      kernels::shared_linear(x, {gate_proj->weights(context), up_proj->weights(context)});
  const auto activated = kernels::swiglu(projected[0], projected[1]);
  return down_proj->forward(activated, context);
}

DecoderBlockImpl::DecoderBlockImpl(const DecoderBlockOptions& options) {
  input_layernorm =
      register_module("input_layernorm", RmsNorm(options.hidden_size, options.rms_norm_eps));
  self_attn = register_module("self_attn", Attention(options));
  post_attention_layernorm = register_module("post_attention_layernorm",
                                             RmsNorm(options.hidden_size, options.rms_norm_eps));
  mlp = register_module("mlp", Mlp(options));
}

torch::Tensor DecoderBlockImpl::forward(const torch::Tensor& x, const ForwardContext& context) {
  if (!context.options.recompute_blocks || !torch::GradMode::is_enabled()) {
    return compute(x, context);
  }
  if (!AdapterOffGuard::is_active()) {
    return recomputed(
        [this, context](const torch::Tensor& input) { return compute(input, context); }, x,
        trainable_parameters(*this));
  }
  // The caller's guard is gone when the backward pass computes the block again.
  const auto compute_base = [this, context](const torch::Tensor& input) {
    const AdapterOffGuard off;
    return compute(input, context);
  };
  return recomputed(compute_base, x, {});
}

torch::Tensor DecoderBlockImpl::compute(const torch::Tensor& x, const ForwardContext& context) {
  const auto middle = x + self_attn->forward(input_layernorm->forward(x), context);
  return middle + mlp->forward(post_attention_layernorm->forward(middle), context);
}

}  // namespace cpx::nn
