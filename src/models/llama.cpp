// SPDX-License-Identifier: Apache-2.0
#include "cpx/models/llama.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/kernels/attention.h"
#include "cpx/kernels/lora_linear.h"
#include "cpx/kernels/reference.h"
#include "cpx/kernels/row_rounding.h"
#include "cpx/kernels/token_nll.h"
#include "cpx/nn/kv_cache.h"
#include "cpx/nn/recompute.h"
#include "cpx/nn/rotary_embedding.h"
#include "cpx/nn/text_shares.h"
#include "cpx/tensor/device.h"

namespace cpx::models {

namespace {

nn::DecoderBlockOptions block_options(const formats::ModelConfig& config, int64_t layer) {
  return {.layer = layer,
          .hidden_size = config.hidden_size,
          .intermediate_size = config.intermediate_size,
          .num_heads = config.num_attention_heads,
          .num_kv_heads = config.num_key_value_heads,
          .head_dim = config.head_dim,
          .rms_norm_eps = config.rms_norm_eps,
          .sliding_window = config.sliding_window,
          .attention_bias = config.attention_bias,
          .mlp_bias = config.mlp_bias};
}

nn::RotaryScaling rotary_scaling(const formats::RopeConfig& rope) {
  if (rope.type == "default") return nn::RotaryScaling::kNone;
  if (rope.type == "linear") return nn::RotaryScaling::kLinear;
  CPX_CHECK(rope.type == "llama3",
            "[llama] unknown rotary type: got '{}', expected default, linear or llama3.",
            rope.type);
  return nn::RotaryScaling::kLlama3;
}

nn::RotaryOptions rotary_options(const formats::ModelConfig& config) {
  const formats::RopeConfig& rope = config.rope;
  return {.head_dim = config.head_dim,
          .theta = rope.theta,
          .scaling = rotary_scaling(rope),
          .factor = rope.factor,
          .low_freq_factor = rope.low_freq_factor,
          .high_freq_factor = rope.high_freq_factor,
          .original_max_position = rope.original_max_position,
          .frequency_divisors = rope.frequency_divisors};
}

bool may_be_joined(const std::vector<int32_t>& cu_seqlens) {
  return std::ranges::adjacent_find(cu_seqlens, [](int32_t begin, int32_t end) {
           return end - begin > nn::kMaxJoinedPrompt;
         }) == cu_seqlens.end();
}

void check_tokens(const nn::PackedTokens& tokens) {
  CPX_CHECK(tokens.ids.dim() == 1 && tokens.ids.scalar_type() == torch::kInt64,
            "[llama] token ids are {} {}, expected int64 [T].",
            tensor::dtype_name(tokens.ids.scalar_type()), tensor::shape_text(tokens.ids.sizes()));
  const int64_t num_places = std::ssize(tokens.token_of_place);
  kernels::check_cu_seqlens(tokens.cu_seqlens, num_places > 0 ? num_places : tokens.ids.size(0));
}

// Numbers for `num_rows` rows, where there are numbers: those behind the tokens' belong to no text.
kernels::RowNumbers with_added(const kernels::RowNumbers& numbers, int64_t num_rows) {
  if (numbers == nullptr || std::ssize(*numbers) == num_rows) return numbers;
  auto all = *numbers;
  all.resize(static_cast<size_t>(num_rows));
  return std::make_shared<const std::vector<int64_t>>(std::move(all));
}

}  // namespace

nn::ModelShape model_shape(const formats::ModelConfig& config) {
  return {.vocabulary_size = config.vocab_size,
          .hidden_size = config.hidden_size,
          .intermediate_size = config.intermediate_size,
          .num_layers = config.num_hidden_layers,
          .num_heads = config.num_attention_heads,
          .num_kv_heads = config.num_key_value_heads,
          .head_dim = config.head_dim,
          .max_position = config.max_position_embeddings,
          .sliding_window = config.sliding_window};
}

EmbeddingImpl::EmbeddingImpl(int64_t vocabulary_size, int64_t hidden_size) {
  declare_frozen("weight", weight, {vocabulary_size, hidden_size}, &blocks);
}

torch::Tensor EmbeddingImpl::forward(const torch::Tensor& ids) {
  return blocks.is_defined() ? kernels::dequantized_rows(blocks, ids) : weight.index_select(0, ids);
}

DecoderImpl::DecoderImpl(const formats::ModelConfig& config) {
  embed_tokens = register_module("embed_tokens", Embedding(config.vocab_size, config.hidden_size));
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers->push_back(nn::DecoderBlock(block_options(config, i)));
  }
  register_module("layers", layers);
  norm = register_module("norm", nn::RmsNorm(config.hidden_size, config.rms_norm_eps));
}

torch::Tensor DecoderImpl::forward(const torch::Tensor& ids, const nn::ForwardContext& context) {
  auto x = embed_tokens->forward(ids);  // [T, D]
  for (const auto& layer : *layers) x = layer->as<nn::DecoderBlockImpl>()->forward(x, context);
  return norm->forward(x);
}

Llama::Llama(const formats::ModelConfig& config)
    : config_(config),
      shape_(model_shape(config)),
      frequencies_(nn::inverse_frequencies(rotary_options(config))) {
  model = register_module("model", Decoder(config));
  lm_head =
      register_module("lm_head", nn::Linear(nn::LinearOptions{.in_features = config.hidden_size,
                                                              .out_features = config.vocab_size}));
}

torch::Tensor Llama::hidden_states(const nn::PackedTokens& tokens,
                                   const nn::ForwardOptions& options) {
  check_tokens(tokens);
  const bool may_share = device().is_cpu() && !kernels::uses_reference();
  auto shares = may_share ? nn::deal_texts(tokens) : std::vector<nn::TextShare>();
  if (shares.size() <= 1) return states(tokens, options, /*pass=*/nullptr);
  const bool is_base = nn::AdapterOffGuard::is_active();
  const auto states_of = [this, options, is_base](const nn::TextShare& share) {
    const auto off = is_base ? std::make_optional<nn::AdapterOffGuard>() : std::nullopt;
    return states(share.tokens, options, /*pass=*/nullptr, share.rows);
  };
  const auto parameters = is_base ? std::vector<torch::Tensor>() : nn::trainable_parameters(*model);
  return nn::states_of_shares(std::move(shares), states_of, parameters);
}

torch::Tensor Llama::cached_states(const torch::Tensor& ids, const nn::CachePass& pass) {
  const torch::NoGradGuard no_grad;
  nn::KvCache& cache = *pass.cache;
  if (pass.is_of_prompts()) {
    const auto cu_seqlens = cache.begin_prompts(pass, ids.size(0));
    const bool is_by_row = is_quantized() || may_be_joined(cu_seqlens);
    return states({.ids = ids, .cu_seqlens = cu_seqlens}, {.is_by_row = is_by_row}, &pass);
  }
  std::vector<int64_t> positions;
  for (const int64_t sequence : pass.sequences) positions.push_back(cache.position(sequence));
  for (const auto& row : pass.candidates) positions.push_back(cache.position(row.sequence));
  nn::ForwardContext context{.options = {.is_by_row = true}, .pass = &pass};
  std::tie(context.cosine, context.sine) =
      nn::rotary_tables_at(frequencies_.to(device()), positions);
  auto hidden = model->forward(ids, context);
  cache.advance(pass.sequences);
  return hidden;
}

torch::Tensor Llama::states(const nn::PackedTokens& tokens, const nn::ForwardOptions& options,
                            const nn::CachePass* pass, const kernels::RowNumbers& row_numbers) {
  check_tokens(tokens);
  const int64_t num_tokens = tokens.ids.size(0);
  nn::ForwardContext context{.cu_seqlens = tokens.cu_seqlens, .options = options, .pass = pass};
  auto token_of_place = tokens.token_of_place;
  const bool shares_tokens = !token_of_place.empty();
  const int64_t num_rows = kernels::rounded_rows(num_tokens, dtype(), device());
  auto ids = tokens.ids;
  context.row_numbers = with_added(row_numbers, num_rows);
  if (num_rows > num_tokens) {  // a last text that nobody asks for
    const int64_t added = num_rows - num_tokens;
    context.cu_seqlens.push_back(static_cast<int32_t>(context.cu_seqlens.back() + added));
    ids = at::constant_pad_nd(ids, {0, added});
    for (int64_t i = 0; shares_tokens && i < added; ++i) token_of_place.push_back(num_tokens + i);
  }
  if (shares_tokens) {
    context.shared = nn::share_tokens(token_of_place, num_rows, device());
    std::tie(context.cosine, context.sine) =
        nn::rotary_tables_at(frequencies_.to(device()),
                             nn::token_positions(context.cu_seqlens, token_of_place, num_rows));
  } else {
    std::tie(context.cosine, context.sine) =
        nn::rotary_tables(frequencies_.to(device()), context.cu_seqlens);
  }
  return model->forward(ids, context).narrow(0, 0, num_tokens);
}

torch::Tensor Llama::token_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                               const nn::ForwardOptions& options) {
  kernels::check_not_quantized("token_nll", lm_head->blocks);
  const int64_t num_rows = hidden.size(0);
  const int64_t added = kernels::rounded_rows(num_rows, dtype(), device()) - num_rows;
  if (added > 0) {
    return token_nll(at::constant_pad_nd(hidden, {0, 0, 0, added}),
                     at::constant_pad_nd(targets, {0, added}), options)
        .narrow(0, 0, num_rows);
  }
  if (!lm_head->uses_lora()) return kernels::token_nll(hidden, lm_head->weight, targets);
  const nn::LoraConfig& lora = lm_head->lora();
  const double dropout = options.is_training ? lora.dropout : 0.0;
  const auto dropped = kernels::counter_dropout(hidden, dropout, lm_head->dropout_key(options));
  const auto dtype = hidden.scalar_type();
  const auto low_rank = at::mm(dropped, lm_head->lora_A->weight.to(dtype).t());  // [N, R]
  return kernels::token_nll_low_rank(hidden, lm_head->weight, low_rank,
                                     lm_head->lora_B->weight.to(dtype), lora.scale(), targets);
}

kernels::NllAndEntropy Llama::token_nll_and_entropy(const torch::Tensor& hidden,
                                                    const torch::Tensor& targets) {
  const bool is_plain = !lm_head->uses_lora() && !lm_head->blocks.is_defined() &&
                        kernels::rounded_rows(hidden.size(0), dtype(), device()) == hidden.size(0);
  if (!is_plain) return CausalLm::token_nll_and_entropy(hidden, targets);
  return kernels::token_nll_and_entropy(hidden, lm_head->weight, targets);
}

torch::Tensor Llama::logits(const torch::Tensor& hidden, const nn::ForwardOptions& options) {
  return lm_head->forward(hidden, nn::ForwardContext{.options = options});
}

bool Llama::is_quantized() const {
  return std::ranges::any_of(modules(), [](const auto& module) {
    const auto* frozen = dynamic_cast<const nn::FrozenModule*>(module.get());
    return frozen != nullptr && frozen->is_quantized();
  });
}

std::vector<nn::NamedParameter> Llama::trainable() const {
  std::vector<nn::NamedParameter> trainable;
  for (const auto& item : named_parameters()) {
    if (item.value().requires_grad()) trainable.push_back({item.key(), item.value()});
  }
  return trainable;
}

}  // namespace cpx::models
