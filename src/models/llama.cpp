// SPDX-License-Identifier: Apache-2.0
#include "cpx/models/llama.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/kernels/attention.h"
#include "cpx/kernels/lora_linear.h"
#include "cpx/kernels/reference.h"
#include "cpx/kernels/row_rounding.h"
#include "cpx/kernels/token_nll.h"
#include "cpx/nn/attention_source.h"
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

bool may_be_joined(const std::vector<nn::PromptSlot>& prompts) {
  return std::ranges::all_of(prompts, [](const nn::PromptSlot& prompt) {
    return prompt.num_tokens <= nn::kMaxJoinedPrompt;
  });
}

void check_ids(const torch::Tensor& ids) {
  CPX_CHECK(ids.dim() == 1 && ids.scalar_type() == torch::kInt64,
            "[llama] token ids are {} {}, expected int64 [T].",
            tensor::dtype_name(ids.scalar_type()), tensor::shape_text(ids.sizes()));
}

// Decoding takes one token id for each of `count` sequences or candidates.
void check_one_each(const torch::Tensor& ids, size_t count, std::string_view unit) {
  check_ids(ids);
  CPX_CHECK(ids.size(0) == static_cast<int64_t>(count),
            "[llama] got {} token ids for {}, expected one for each.", ids.size(0),
            counted(static_cast<int64_t>(count), unit));
}

void check_tokens(const nn::PackedTokens& tokens) {
  check_ids(tokens.ids);
  const int64_t num_places = std::ssize(tokens.token_of_place);
  kernels::check_cu_seqlens(tokens.cu_seqlens, num_places > 0 ? num_places : tokens.ids.size(0));
}

// Appends `num_added` rows of zeros to `x` [N, ...].
torch::Tensor with_added_rows(const torch::Tensor& x, int64_t num_added) {
  if (num_added == 0) return x;
  std::vector<int64_t> pads(static_cast<size_t>(2 * x.dim()));  // the last pair is of dimension 0
  pads.back() = num_added;
  return at::constant_pad_nd(x, pads);
}

// Appends `num_added` tokens as a text of their own, which no other text sees.
nn::PackedTokens with_added_text(nn::PackedTokens tokens, int64_t num_added) {
  if (num_added == 0) return tokens;
  const int64_t num_tokens = tokens.ids.size(0);
  tokens.ids = with_added_rows(tokens.ids, num_added);
  tokens.cu_seqlens.push_back(tokens.cu_seqlens.back() + static_cast<int32_t>(num_added));
  if (tokens.token_of_place.empty()) return tokens;
  for (int64_t i = 0; i < num_added; ++i) tokens.token_of_place.push_back(num_tokens + i);
  return tokens;
}

// Appends numbers for `num_added` rows, if rows are numbered at all.
kernels::RowNumbers with_added_numbers(const kernels::RowNumbers& numbers, int64_t num_added) {
  if (numbers == nullptr || num_added == 0) return numbers;
  auto all = *numbers;
  all.resize(all.size() + static_cast<size_t>(num_added));
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
  if (shares.size() <= 1) return pack_states(tokens, options, /*row_numbers=*/nullptr);
  const bool is_base = nn::AdapterOffGuard::is_active();
  const auto states_of = [this, options, is_base](const nn::TextShare& share) {
    const auto off = is_base ? std::make_optional<nn::AdapterOffGuard>() : std::nullopt;
    return pack_states(share.tokens, options, share.rows);
  };
  const auto parameters = is_base ? std::vector<torch::Tensor>() : nn::trainable_parameters(*model);
  return nn::states_of_shares(std::move(shares), states_of, parameters);
}

torch::Tensor Llama::pack_states(const nn::PackedTokens& tokens, const nn::ForwardOptions& options,
                                 const kernels::RowNumbers& row_numbers) {
  return padded(tokens.ids.size(0), [&](int64_t num_added) {
    const auto all = with_added_text(tokens, num_added);
    return states(all.ids, {.source = nn::attention_source(all),
                            .options = options,
                            .row_numbers = with_added_numbers(row_numbers, num_added)});
  });
}

std::shared_ptr<const nn::KeptBeginning> Llama::keep_beginning(const torch::Tensor& ids,
                                                               const nn::ForwardOptions& options) {
  const torch::NoGradGuard no_grad;
  check_ids(ids);
  const auto kept = std::make_shared<nn::KeptBeginning>(ids.size(0), shape_.num_layers);
  padded(ids.size(0), [&](int64_t num_added) {
    return states(
        with_added_rows(ids, num_added),
        {.source = std::make_shared<nn::BeginningToKeep>(kept, num_added), .options = options});
  });
  return kept;
}

torch::Tensor Llama::prefill(nn::KvCache& cache, const torch::Tensor& ids,
                             const std::vector<nn::PromptSlot>& prompts) {
  const torch::NoGradGuard no_grad;
  check_ids(ids);
  cache.begin_prompts(prompts, ids.size(0));
  const bool is_by_row = is_quantized() || may_be_joined(prompts);
  return padded(ids.size(0), [&](int64_t num_added) {
    return states(with_added_rows(ids, num_added),
                  {.source = std::make_shared<nn::CachedPrompts>(cache, prompts, num_added),
                   .options = {.is_by_row = is_by_row}});
  });
}

torch::Tensor Llama::next_tokens(nn::KvCache& cache, const torch::Tensor& ids,
                                 const std::vector<int64_t>& sequences) {
  const torch::NoGradGuard no_grad;
  check_one_each(ids, sequences.size(), "sequence");
  auto hidden = states(ids, {.source = std::make_shared<nn::NextTokens>(cache, sequences),
                             .options = {.is_by_row = true}});
  cache.advance(sequences);
  return hidden;
}

torch::Tensor Llama::try_tokens(nn::KvCache& cache, const torch::Tensor& ids,
                                const std::vector<nn::CandidateRow>& candidates) {
  const torch::NoGradGuard no_grad;
  check_one_each(ids, candidates.size(), "candidate");
  return states(ids, {.source = std::make_shared<nn::CandidateTokens>(cache, candidates),
                      .options = {.is_by_row = true}});
}

torch::Tensor Llama::states(const torch::Tensor& ids, nn::ForwardContext context) {
  std::tie(context.cosine, context.sine) =
      nn::rotary_tables(frequencies_.to(device()), context.source->positions());
  return model->forward(ids, context);
}

int64_t Llama::num_added_rows(int64_t num_rows) const {
  return kernels::rounded_rows(num_rows, dtype(), device()) - num_rows;
}

torch::Tensor Llama::padded(int64_t num_rows,
                            const std::function<torch::Tensor(int64_t)>& compute) const {
  const int64_t num_added = num_added_rows(num_rows);
  const auto all = compute(num_added);
  return num_added > 0 ? all.narrow(0, 0, num_rows) : all;
}

torch::Tensor Llama::token_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                               const nn::ForwardOptions& options) {
  kernels::check_not_quantized("token_nll", lm_head->blocks);
  return padded(hidden.size(0), [&](int64_t num_added) {
    return head_nll(with_added_rows(hidden, num_added), with_added_rows(targets, num_added),
                    options);
  });
}

torch::Tensor Llama::head_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                              const nn::ForwardOptions& options) {
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
  const bool is_plain =
      !lm_head->uses_lora() && !lm_head->blocks.is_defined() && num_added_rows(hidden.size(0)) == 0;
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
