// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/formats/classifier_config.h"
#include "cpx/formats/sentence_config.h"
#include "cpx/models/text_scorer.h"
#include "cpx/tokenizer/limited.h"
#include "cpx/tokenizer/load.h"
#include "decoder_classifier.h"
#include "encoder.h"
#include "key_table.h"
#include "load_encoder.h"
#include "text_packer.h"
#include "weight_slots.h"
#include "weight_source.h"

namespace cpx::models {

namespace fs = std::filesystem;

namespace {

using formats::EncoderFamily;
using Tokenizer = std::shared_ptr<const tokenizer::Tokenizer>;

fs::path existing_folder(std::string_view where, const fs::path& name, std::string_view expected) {
  const fs::path folder = resolve_hub_name(where, name, expected);
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw_<DataError>("[{}] {}: no such folder, expected {}.", where, folder.string(), expected);
  }
  return folder;
}

// ---- encoders -----------------------------------------------------------------------------------

tokenizer::EncoderTokenizer tokenizer_of(EncoderFamily family) {
  switch (family) {
    case EncoderFamily::kBert:
    case EncoderFamily::kDistilBert:
      return tokenizer::EncoderTokenizer::kWordPiece;
    case EncoderFamily::kRoberta:
      return tokenizer::EncoderTokenizer::kByteLevel;
    case EncoderFamily::kXlmRoberta:
      return tokenizer::EncoderTokenizer::kUnigram;
  }
  return {};
}

Tokenizer read_encoder_tokenizer(const fs::path& folder, const formats::EncoderConfig& config) {
  return tokenizer::limited_to(
      tokenizer::load_encoder_tokenizer(folder, tokenizer_of(config.family)), config.vocab_size,
      "config.json: vocab_size");
}

// Mean pooling or the first token, as sentence-transformers does; then length 1.
class ModelSentenceEncoder : public nn::SentenceEncoder {
 public:
  ModelSentenceEncoder(std::shared_ptr<Encoder> model, formats::SentencePooling pooling,
                       TextPacker packer)
      : model_(std::move(model)), pooling_(pooling), packer_(std::move(packer)) {}

  torch::Tensor embed(std::span<const std::string> texts) override {
    return packer_.rows(texts, size(), [&](const nn::PackedTokens& tokens) {
      const torch::NoGradGuard no_grad;
      auto x = pooled(tokens);  // [N, D]
      return x.div_(x.norm(2, 1, /*keepdim=*/true).clamp_min_(kLeastNorm));
    });
  }

  int64_t size() const override { return model_->config().hidden_size; }
  int64_t max_tokens() const override { return packer_.options().max_tokens; }

 private:
  static constexpr double kLeastNorm = 1e-12;

  torch::Tensor pooled(const nn::PackedTokens& tokens) const {
    if (pooling_ == formats::SentencePooling::kFirstToken) {
      return model_->states(tokens, nn::BlockRows::kFirst);
    }
    const auto states = model_->states(tokens, nn::BlockRows::kAll);  // [T, D]
    std::vector<torch::Tensor> means;
    for (size_t i = 0; i + 1 < tokens.cu_seqlens.size(); ++i) {
      means.push_back(states.slice(0, tokens.cu_seqlens[i], tokens.cu_seqlens[i + 1]).mean(0));
    }
    return at::stack(means);
  }

  std::shared_ptr<Encoder> model_;
  formats::SentencePooling pooling_;
  TextPacker packer_;
};

// ---- decoders -----------------------------------------------------------------------------------

std::shared_ptr<DecoderClassifier> load_decoder_classifier(const fs::path& folder,
                                                           const formats::ModelConfig& config,
                                                           int64_t num_labels,
                                                           const torch::Device& device) {
  auto model = std::make_shared<DecoderClassifier>(config, num_labels);
  const auto source = config.quantization ? open_quantized_weights(folder, *config.quantization)
                                          : open_folder_weights(folder);
  const auto slots = slots_of(*model);
  const auto is_score = [](const std::string& name) { return name.starts_with("score."); };
  check_names(
      folder, slots, *source,
      {.missing_hint = [&](const std::string& missing) -> std::string {
         if (!is_score(missing)) return {};
         return "The folder holds a language model without a classification head: is it a "
                "classifier's?";
       },
       .is_passed_over = [](const std::string& name) { return name.starts_with("lm_head."); }});
  for (const WeightSlot& slot : slots) {
    check_shape(slot, *source, config.source,
                is_score(slot.key) ? std::vector{fmt::format("id2label with {} labels", num_labels),
                                                 fmt::format("hidden_size {}", config.hidden_size)}
                                   : dimension_sources(slot.key, config));
  }
  fill_slots(slots, *source, at::kFloat, device);
  return model;
}

// ---- classifiers --------------------------------------------------------------------------------

// What a classifier computes, and its tokenizer.
struct LoadedClassifier {
  std::function<torch::Tensor(const nn::PackedTokens&)> logits;
  Tokenizer tokenizer;
};

LoadedClassifier load_classifier(const fs::path& folder, const formats::ClassifierConfig& config,
                                 const torch::Device& device) {
  const auto num_labels = std::ssize(config.labels);
  if (const auto* encoder = std::get_if<formats::EncoderConfig>(&config.body)) {
    const auto model = load_encoder(folder, *encoder, num_labels, device);
    return {[model](const nn::PackedTokens& tokens) { return model->logits(tokens); },
            read_encoder_tokenizer(folder, *encoder)};
  }
  const auto& body = std::get<formats::ModelConfig>(config.body);
  const auto model = load_decoder_classifier(folder, body, num_labels, device);
  auto tokenizer =
      tokenizer::load_tokenizer(folder, {.bos_id = body.bos_token_id, .eos_id = body.eos_token_id});
  return {[model](const nn::PackedTokens& tokens) { return model->logits(tokens); },
          tokenizer::limited_to(std::move(tokenizer), body.vocab_size, "config.json: vocab_size")};
}

}  // namespace

ModelScorer::ModelScorer(PackClassifier classifier, std::unique_ptr<const TextPacker> packer)
    : classifier_(std::move(classifier)), packer_(std::move(packer)) {}

ModelScorer::~ModelScorer() = default;

torch::Tensor ModelScorer::logits(std::span<const std::string> texts) {
  return packer_->rows(texts, std::ssize(classifier_.labels), classifier_.logits);
}

int64_t ModelScorer::max_tokens() const { return packer_->options().max_tokens; }

std::vector<tokenizer::TokenId> ModelScorer::encode(const std::string& text) const {
  return packer_->encode(text);
}

const tokenizer::Tokenizer& ModelScorer::tokenizer() const { return packer_->tokenizer(); }

std::shared_ptr<ModelScorer> load_text_scorer(const fs::path& name, const torch::Device& device,
                                              int64_t batch_tokens) {
  const fs::path folder = existing_folder("load_text_scorer", name, "a classifier's folder");
  const auto config = formats::read_classifier_config(folder);
  auto loaded = load_classifier(folder, config, device);
  return std::make_shared<ModelScorer>(
      PackClassifier{.logits = std::move(loaded.logits),
                     .labels = config.labels,
                     .label_kind = config.label_kind},
      std::make_unique<const TextPacker>(
          std::move(loaded.tokenizer),
          TextPackerOptions{
              .max_tokens = config.max_tokens, .batch_tokens = batch_tokens, .device = device}));
}

std::shared_ptr<nn::SentenceEncoder> load_sentence_encoder(const fs::path& name,
                                                           const torch::Device& device,
                                                           int64_t batch_tokens) {
  const fs::path folder =
      existing_folder("load_sentence_encoder", name, "a sentence encoder's folder");
  const auto config = formats::read_sentence_config(folder);
  auto model = load_encoder(config.encoder_folder, config.encoder, std::nullopt, device);
  TextPacker packer(
      read_encoder_tokenizer(config.encoder_folder, config.encoder),
      {.max_tokens = config.max_tokens, .batch_tokens = batch_tokens, .device = device});
  return std::make_shared<ModelSentenceEncoder>(std::move(model), config.pooling,
                                                std::move(packer));
}

}  // namespace cpx::models
