// SPDX-License-Identifier: Apache-2.0
// Follows transformers 5.23, modeling_roberta.py (RobertaLayer and what it is made of).
#include "cpx/nn/encoder_block.h"

#include <numeric>

#include <ATen/ATen.h>

#include "cpx/kernels/bidirectional_attention.h"
#include "cpx/kernels/lora_linear.h"

namespace cpx::nn {

namespace {

Linear linear(int64_t in_features, int64_t out_features) {
  return Linear(
      LinearOptions{.in_features = in_features, .out_features = out_features, .has_bias = true});
}

}  // namespace

LayerNormImpl::LayerNormImpl(int64_t size, double epsilon) : epsilon_(epsilon) {
  declare_frozen("weight", weight, {size});
  declare_frozen("bias", bias, {size});
}

torch::Tensor LayerNormImpl::forward(const torch::Tensor& x) {
  return at::layer_norm(x, weight.sizes(), weight, bias, epsilon_);
}

EncoderSelfAttentionImpl::EncoderSelfAttentionImpl(const EncoderBlockOptions& options)
    : num_heads_(options.num_heads) {
  query = register_module("query", linear(options.hidden_size, options.hidden_size));
  key = register_module("key", linear(options.hidden_size, options.hidden_size));
  value = register_module("value", linear(options.hidden_size, options.hidden_size));
}

torch::Tensor EncoderSelfAttentionImpl::forward(const torch::Tensor& asked,
                                                const std::vector<int32_t>& query_limits,
                                                const torch::Tensor& x,
                                                const std::vector<int32_t>& cu_seqlens) {
  const auto heads = [this](const torch::Tensor& y) {
    return y.view({y.size(0), num_heads_, y.size(1) / num_heads_});
  };
  const auto q = heads(query->forward(asked, {}));  // [Q, H, E]
  const auto k = heads(key->forward(x, {}));        // [T, H, E]
  const auto v = heads(value->forward(x, {}));      // [T, H, E]
  return kernels::bidirectional_attention(q, k, v, query_limits, cu_seqlens).flatten(1);
}

EncoderOutputImpl::EncoderOutputImpl(int64_t in_features, const EncoderBlockOptions& options) {
  dense = register_module("dense", linear(in_features, options.hidden_size));
  layer_norm = register_module("LayerNorm", LayerNorm(options.hidden_size, options.layer_norm_eps));
}

torch::Tensor EncoderOutputImpl::forward(const torch::Tensor& x, const torch::Tensor& residual) {
  return layer_norm->forward(dense->forward(x, {}).add_(residual));
}

EncoderAttentionImpl::EncoderAttentionImpl(const EncoderBlockOptions& options) {
  self = register_module("self", EncoderSelfAttention(options));
  output = register_module("output", EncoderOutput(options.hidden_size, options));
}

torch::Tensor EncoderAttentionImpl::forward(const torch::Tensor& x,
                                            const std::vector<int32_t>& cu_seqlens,
                                            BlockRows rows) {
  if (rows == BlockRows::kAll) {
    return output->forward(self->forward(x, cu_seqlens, x, cu_seqlens), x);
  }
  std::vector<int32_t> one_each(cu_seqlens.size());
  std::iota(one_each.begin(), one_each.end(), 0);
  const std::vector<int64_t> first(cu_seqlens.begin(), cu_seqlens.end() - 1);
  const auto asked = x.index_select(0, at::tensor(first, at::kLong).to(x.device()));  // [N, D]
  return output->forward(self->forward(asked, one_each, x, cu_seqlens), asked);
}

EncoderIntermediateImpl::EncoderIntermediateImpl(const EncoderBlockOptions& options) {
  dense = register_module("dense", linear(options.hidden_size, options.intermediate_size));
}

torch::Tensor EncoderIntermediateImpl::forward(const torch::Tensor& x) {
  auto y = dense->forward(x, {});
  return at::gelu_(y);
}

EncoderBlockImpl::EncoderBlockImpl(const EncoderBlockOptions& options) {
  attention = register_module("attention", EncoderAttention(options));
  intermediate = register_module("intermediate", EncoderIntermediate(options));
  output = register_module("output", EncoderOutput(options.intermediate_size, options));
}

torch::Tensor EncoderBlockImpl::forward(const torch::Tensor& x,
                                        const std::vector<int32_t>& cu_seqlens, BlockRows rows) {
  const auto attended = attention->forward(x, cu_seqlens, rows);
  return output->forward(intermediate->forward(attended), attended);
}

}  // namespace cpx::nn
