// SPDX-License-Identifier: Apache-2.0
#include "encoder.h"

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/kernels/attention.h"

namespace cpx::models {

namespace {

nn::EncoderBlockOptions block_options(const formats::EncoderConfig& config) {
  return {.hidden_size = config.hidden_size,
          .intermediate_size = config.intermediate_size,
          .num_heads = config.num_attention_heads,
          .layer_norm_eps = config.layer_norm_eps};
}

nn::Linear biased_linear(int64_t in_features, int64_t out_features) {
  return nn::Linear(nn::LinearOptions{
      .in_features = in_features, .out_features = out_features, .has_bias = true});
}

}  // namespace

EncoderEmbeddingsImpl::EncoderEmbeddingsImpl(const formats::EncoderConfig& config)
    : first_position_(config.first_position), padding_id_(config.pad_token_id) {
  const int64_t size = config.hidden_size;
  word_embeddings = register_module("word_embeddings", Embedding(config.vocab_size, size));
  position_embeddings =
      register_module("position_embeddings", Embedding(config.max_position_embeddings, size));
  if (config.type_vocab_size > 0) {
    token_type_embeddings =
        register_module("token_type_embeddings", Embedding(config.type_vocab_size, size));
  }
  layer_norm = register_module("LayerNorm", nn::LayerNorm(size, config.layer_norm_eps));
}

torch::Tensor EncoderEmbeddingsImpl::positions(const nn::PackedTokens& tokens) const {
  const auto ids = tokens.ids.cpu();
  const int64_t* id = ids.const_data_ptr<int64_t>();
  const int64_t num_positions = position_embeddings->weight.size(0);
  const bool skips_padding = first_position_ > 0;
  auto positions = at::empty_like(ids);
  int64_t* position = positions.mutable_data_ptr<int64_t>();
  for (size_t text = 0; text + 1 < tokens.cu_seqlens.size(); ++text) {
    const int32_t begin = tokens.cu_seqlens[text];
    const int32_t end = tokens.cu_seqlens[text + 1];
    int64_t next = first_position_;
    for (int32_t i = begin; i < end; ++i) {
      position[i] = skips_padding && id[i] == padding_id_ ? padding_id_ : next++;
    }
    CPX_CHECK(begin < end && next <= num_positions,
              "[encoder] text {} of the pack has {} tokens, expected 1 to {}.", text, end - begin,
              num_positions - first_position_);
  }
  return positions.to(tokens.ids.device());
}

torch::Tensor EncoderEmbeddingsImpl::forward(const nn::PackedTokens& tokens) {
  auto x = word_embeddings->forward(tokens.ids);  // [T, D]
  if (token_type_embeddings) x.add_(token_type_embeddings->weight.select(0, 0));
  x.add_(position_embeddings->forward(positions(tokens)));
  return layer_norm->forward(x);
}

EncoderLayersImpl::EncoderLayersImpl(const formats::EncoderConfig& config) {
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layer->push_back(nn::EncoderBlock(block_options(config)));
  }
  register_module("layer", layer);
}

torch::Tensor EncoderLayersImpl::forward(torch::Tensor x, const std::vector<int32_t>& cu_seqlens,
                                         nn::BlockRows rows) {
  const size_t last = layer->size() - 1;
  for (size_t i = 0; i < last; ++i) x = layer->at<nn::EncoderBlockImpl>(i).forward(x, cu_seqlens);
  return layer->at<nn::EncoderBlockImpl>(last).forward(x, cu_seqlens, rows);
}

EncoderHeadImpl::EncoderHeadImpl(const formats::EncoderConfig& config, int64_t num_labels)
    : has_relu_(config.family == formats::EncoderFamily::kDistilBert) {
  dense = register_module("dense", biased_linear(config.hidden_size, config.hidden_size));
  output = register_module("output", biased_linear(config.hidden_size, num_labels));
}

torch::Tensor EncoderHeadImpl::forward(const torch::Tensor& x) {
  const auto y = dense->forward(x, {});
  return output->forward(has_relu_ ? at::relu(y) : at::tanh(y), {});
}

Encoder::Encoder(const formats::EncoderConfig& config, std::optional<int64_t> num_labels)
    : config_(config) {
  embeddings = register_module("embeddings", EncoderEmbeddings(config));
  encoder = register_module("encoder", EncoderLayers(config));
  if (num_labels) head = register_module("head", EncoderHead(config, *num_labels));
}

torch::Tensor Encoder::states(const nn::PackedTokens& tokens, nn::BlockRows rows) {
  const torch::NoGradGuard no_grad;
  kernels::check_cu_seqlens(tokens.cu_seqlens, tokens.ids.size(0));
  return encoder->forward(embeddings->forward(tokens), tokens.cu_seqlens, rows);
}

torch::Tensor Encoder::logits(const nn::PackedTokens& tokens) {
  const torch::NoGradGuard no_grad;
  return head->forward(states(tokens, nn::BlockRows::kFirst));
}

}  // namespace cpx::models
