// SPDX-License-Identifier: Apache-2.0
#include "cpx/models/roberta.h"

#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/kernels/attention.h"
#include "cpx/tokenizer/limited.h"

namespace cpx::models {

namespace {

nn::EncoderBlockOptions block_options(const formats::RobertaConfig& config) {
  return {.hidden_size = config.hidden_size,
          .intermediate_size = config.intermediate_size,
          .num_heads = config.num_attention_heads,
          .layer_norm_eps = config.layer_norm_eps};
}

}  // namespace

RobertaEmbeddingsImpl::RobertaEmbeddingsImpl(const formats::RobertaConfig& config)
    : padding_id_(config.pad_token_id) {
  const int64_t size = config.hidden_size;
  word_embeddings = register_module("word_embeddings", Embedding(config.vocab_size, size));
  position_embeddings =
      register_module("position_embeddings", Embedding(config.max_position_embeddings, size));
  token_type_embeddings =
      register_module("token_type_embeddings", Embedding(config.type_vocab_size, size));
  layer_norm = register_module("LayerNorm", nn::LayerNorm(size, config.layer_norm_eps));
}

torch::Tensor RobertaEmbeddingsImpl::positions(const nn::PackedTokens& tokens) const {
  const auto ids = tokens.ids.cpu();
  const int64_t* id = ids.const_data_ptr<int64_t>();
  const int64_t num_positions = position_embeddings->weight.size(0);
  auto positions = at::empty_like(ids);
  int64_t* position = positions.mutable_data_ptr<int64_t>();
  for (size_t text = 0; text + 1 < tokens.cu_seqlens.size(); ++text) {
    const int32_t begin = tokens.cu_seqlens[text];
    const int32_t end = tokens.cu_seqlens[text + 1];
    int64_t last = padding_id_;
    for (int32_t i = begin; i < end; ++i) position[i] = id[i] == padding_id_ ? padding_id_ : ++last;
    CPX_CHECK(begin < end && last < num_positions,
              "[roberta] text {} of the pack has {} tokens, expected 1 to {}.", text, end - begin,
              num_positions - padding_id_ - 1);
  }
  return positions.to(tokens.ids.device());
}

torch::Tensor RobertaEmbeddingsImpl::forward(const nn::PackedTokens& tokens) {
  auto x = word_embeddings->forward(tokens.ids);  // [T, D]
  x.add_(token_type_embeddings->weight.select(0, 0));
  x.add_(position_embeddings->forward(positions(tokens)));
  return layer_norm->forward(x);
}

RobertaEncoderImpl::RobertaEncoderImpl(const formats::RobertaConfig& config) {
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layer->push_back(nn::EncoderBlock(block_options(config)));
  }
  register_module("layer", layer);
}

torch::Tensor RobertaEncoderImpl::forward(torch::Tensor x, const std::vector<int32_t>& cu_seqlens) {
  const size_t last = layer->size() - 1;
  for (size_t i = 0; i < last; ++i) x = layer->at<nn::EncoderBlockImpl>(i).forward(x, cu_seqlens);
  return layer->at<nn::EncoderBlockImpl>(last).forward(x, cu_seqlens, nn::BlockRows::kFirst);
}

RobertaBodyImpl::RobertaBodyImpl(const formats::RobertaConfig& config) {
  embeddings = register_module("embeddings", RobertaEmbeddings(config));
  encoder = register_module("encoder", RobertaEncoder(config));
}

torch::Tensor RobertaBodyImpl::forward(const nn::PackedTokens& tokens) {
  return encoder->forward(embeddings->forward(tokens), tokens.cu_seqlens);
}

RobertaHeadImpl::RobertaHeadImpl(const formats::RobertaConfig& config) {
  const int64_t size = config.hidden_size;
  dense = register_module(
      "dense",
      nn::Linear(nn::LinearOptions{.in_features = size, .out_features = size, .has_bias = true}));
  out_proj = register_module(
      "out_proj",
      nn::Linear(nn::LinearOptions{
          .in_features = size, .out_features = std::ssize(config.labels), .has_bias = true}));
}

torch::Tensor RobertaHeadImpl::forward(const torch::Tensor& x) {
  return out_proj->forward(at::tanh(dense->forward(x, {})), {});
}

Roberta::Roberta(const formats::RobertaConfig& config) : config_(config) {
  roberta = register_module("roberta", RobertaBody(config));
  classifier = register_module("classifier", RobertaHead(config));
}

torch::Tensor Roberta::logits(const nn::PackedTokens& tokens) {
  const torch::NoGradGuard no_grad;
  kernels::check_cu_seqlens(tokens.cu_seqlens, tokens.ids.size(0));
  return classifier->forward(roberta->forward(tokens));
}

// ---- texts -------------------------------------------------------------------------------------

namespace {

using TokenIds = std::vector<tokenizer::TokenId>;

// Indices of `texts`, the longest first. Texts of similar length are computed together, which suits
// attention, and the first pass takes the most memory.
std::vector<size_t> longest_first(const std::vector<TokenIds>& texts) {
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](size_t i) { return texts[i].size(); });
  return order;
}

nn::PackedTokens pack(const std::vector<TokenIds>& texts, std::span<const size_t> chosen,
                      const torch::Device& device) {
  std::vector<int64_t> ids;
  nn::PackedTokens packed{.ids = {}, .cu_seqlens = {0}};
  for (const size_t i : chosen) {
    ids.insert(ids.end(), texts[i].begin(), texts[i].end());
    packed.cu_seqlens.push_back(static_cast<int32_t>(ids.size()));
  }
  packed.ids = at::tensor(ids, at::kLong).to(device);
  return packed;
}

}  // namespace

RobertaScorer::RobertaScorer(std::shared_ptr<Roberta> model,
                             std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                             int64_t batch_tokens)
    : model_(std::move(model)), tokenizer_(std::move(tokenizer)), batch_tokens_(batch_tokens) {
  CPX_CHECK(batch_tokens > 0, "[roberta] got {} tokens a batch, expected at least 1.",
            batch_tokens);
}

TokenIds RobertaScorer::encode(const std::string& text) const {
  TokenIds ids = tokenizer_->encode(text).ids;
  const auto most = static_cast<size_t>(max_tokens());
  if (ids.size() > most) {
    ids[most - 1] = ids.back();  // </s>
    ids.resize(most);
  }
  return ids;
}

torch::Tensor RobertaScorer::logits(std::span<const std::string> texts) {
  std::vector<TokenIds> encoded;
  for (const std::string& text : texts) {
    encoded.push_back(tokenizer::at_place(fmt::format("text {} of a batch", encoded.size() + 1),
                                          [&] { return encode(text); }));
  }
  const std::vector<size_t> order = longest_first(encoded);
  auto result = at::empty({std::ssize(texts), std::ssize(labels())}, at::kFloat);
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    int64_t num_tokens = 0;
    while (end < order.size() &&
           (end == begin || num_tokens + std::ssize(encoded[order[end]]) <= batch_tokens_)) {
      num_tokens += std::ssize(encoded[order[end++]]);
    }
    const std::span<const size_t> batch(order.data() + begin, end - begin);
    const auto scores = model_->logits(pack(encoded, batch, model_->device())).to(at::kCPU);
    const std::vector<int64_t> rows(batch.begin(), batch.end());
    result.index_copy_(0, at::tensor(rows, at::kLong), scores.to(at::kFloat));
    begin = end;
  }
  return result;
}

}  // namespace cpx::models
