// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/decoder_block.h"

#include <cmath>

#include <ATen/ATen.h>

#include "cpx/kernels/attention.h"
#include "cpx/kernels/elementwise.h"
#include "cpx/kernels/lora_linear.h"
#include "cpx/nn/kv_cache.h"
#include "cpx/nn/recompute.h"

namespace cpx::nn {

RmsNormImpl::RmsNormImpl(int64_t size, double epsilon) : epsilon_(epsilon) {
  declare_frozen("weight", weight, {size});
}

torch::Tensor RmsNormImpl::forward(const torch::Tensor& x) {
  return kernels::rms_norm(x, weight, epsilon_);
}

AttentionImpl::AttentionImpl(const DecoderBlockOptions& block_options) : options(block_options) {
  const int64_t query_size = options.num_heads * options.head_dim;
  const int64_t key_size = options.num_kv_heads * options.head_dim;
  const auto linear = [this](int64_t in_features, int64_t out_features) {
    return Linear(LinearOptions{.in_features = in_features,
                                .out_features = out_features,
                                .has_bias = options.attention_bias});
  };
  q_proj = register_module("q_proj", linear(options.hidden_size, query_size));
  k_proj = register_module("k_proj", linear(options.hidden_size, key_size));
  v_proj = register_module("v_proj", linear(options.hidden_size, key_size));
  o_proj = register_module("o_proj", linear(query_size, options.hidden_size));
}

// What each token reads, [T, H, E]; keys and values go to the cache where there is one.
torch::Tensor AttentionImpl::mix(const torch::Tensor& q, const torch::Tensor& k,
                                 const torch::Tensor& v, const ForwardContext& context) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(options.head_dim));
  const CachePass* pass = context.pass;
  if (pass != nullptr && !pass->candidates.empty()) {
    return pass->cache->attend_candidates(options.layer, pass->candidates, q, k, v, scale);
  }
  if (pass != nullptr && !pass->is_of_prompts()) {
    return pass->cache->attend(options.layer, pass->sequences, q, k, v, scale);
  }
  for (size_t i = 0; pass != nullptr && i < pass->prompts.size(); ++i) {
    const int64_t begin = context.cu_seqlens[i];
    const int64_t length = context.cu_seqlens[i + 1] - begin;
    pass->cache->store_prompt(options.layer, pass->prompts[i], k.narrow(0, begin, length),
                              v.narrow(0, begin, length));
  }
  const auto attend = [&](const torch::Tensor& queries, const torch::Tensor& keys,
                          const torch::Tensor& values) {
    return kernels::packed_attention(queries, keys, values, context.cu_seqlens,
                                     {.scale = scale, .window = options.sliding_window});
  };
  const auto& tokens_of_places = context.shared.tokens_of_places;
  if (tokens_of_places == nullptr) return attend(q, k, v);
  const auto at_places = [&](const torch::Tensor& x) {
    return kernels::select_rows(x, tokens_of_places);  // [E, ...]
  };
  // A token of several texts reads the same in each.
  return kernels::select_rows(attend(at_places(q), at_places(k), at_places(v)),
                              context.shared.places_of_tokens);
}

torch::Tensor AttentionImpl::forward(const torch::Tensor& x, const ForwardContext& context) {
  const int64_t num_tokens = x.size(0);
  const auto heads = [&](const torch::Tensor& y, int64_t count) {
    return y.view({num_tokens, count, options.head_dim});
  };
  const auto projected = kernels::shared_linear(
      x, {q_proj->weights(context), k_proj->weights(context), v_proj->weights(context)});
  auto q = heads(projected[0], options.num_heads);           // [T, H, E]
  auto k = heads(projected[1], options.num_kv_heads);        // [T, K, E]
  const auto v = heads(projected[2], options.num_kv_heads);  // [T, K, E]
  q = kernels::rotate(q, context.cosine, context.sine);
  k = kernels::rotate(k, context.cosine, context.sine);
  const auto mixed = mix(q, k, v, context);
  return o_proj->forward(mixed.view({num_tokens, options.num_heads * options.head_dim}), context);
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
  // The guard is gone when the backward pass computes the block again.
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
