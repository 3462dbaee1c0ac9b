// SPDX-License-Identifier: Apache-2.0
#include "encoder_keys.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace cpx::models {

namespace {

using formats::EncoderFamily;

constexpr std::array kEncoderKeys = {
    EncoderKeys{EncoderFamily::kBert, "bert.", "bert.pooler.dense", "classifier", false},
    EncoderKeys{EncoderFamily::kDistilBert, "distilbert.", "pre_classifier", "classifier", true},
    EncoderKeys{EncoderFamily::kRoberta, "roberta.", "classifier.dense", "classifier.out_proj",
                false},
    EncoderKeys{EncoderFamily::kXlmRoberta, "roberta.", "classifier.dense", "classifier.out_proj",
                false},
};

// BERT's names and DistilBERT's, within "encoder.layer.N." and "transformer.layer.N.".
constexpr std::pair<std::string_view, std::string_view> kDistilBertModules[] = {
    {"attention.self.query", "attention.q_lin"},
    {"attention.self.key", "attention.k_lin"},
    {"attention.self.value", "attention.v_lin"},
    {"attention.output.dense", "attention.out_lin"},
    {"attention.output.LayerNorm", "sa_layer_norm"},
    {"intermediate.dense", "ffn.lin1"},
    {"output.dense", "ffn.lin2"},
    {"output.LayerNorm", "output_layer_norm"},
};

constexpr std::string_view kBlocks = "encoder.layer.";
constexpr std::string_view kHeadDense = "head.dense";
constexpr std::string_view kHeadOutput = "head.output";

// "encoder.layer.3.output.dense" in DistilBERT's words.
std::string distilbert_module(std::string_view module) {
  if (!module.starts_with(kBlocks)) return std::string(module);
  module.remove_prefix(kBlocks.size());
  const size_t dot = module.find('.');
  const std::string_view part = module.substr(dot + 1);
  const auto* found = std::ranges::find(kDistilBertModules, part,
                                        &std::pair<std::string_view, std::string_view>::first);
  return fmt::format("transformer.layer.{}.{}", module.substr(0, dot), found->second);
}

// What a dimension of a weight is.
enum class EncoderSize { kHidden, kIntermediate, kVocabulary, kPositions, kTypes, kLabels };

struct EncoderRow {
  std::string_view module;  // the end of its key
  EncoderSize out;          // of its weight, and of its bias
  EncoderSize in;
};

// Weights whose shapes depend on more than the hidden size.
constexpr std::array kRows = {
    EncoderRow{"word_embeddings", EncoderSize::kVocabulary, EncoderSize::kHidden},
    EncoderRow{"position_embeddings", EncoderSize::kPositions, EncoderSize::kHidden},
    EncoderRow{"token_type_embeddings", EncoderSize::kTypes, EncoderSize::kHidden},
    EncoderRow{"intermediate.dense", EncoderSize::kIntermediate, EncoderSize::kHidden},
    EncoderRow{kHeadOutput, EncoderSize::kLabels, EncoderSize::kHidden},
};

std::string size_text(EncoderSize size, const formats::EncoderConfig& config, int64_t num_labels) {
  const formats::EncoderConfigKeys& keys = formats::encoder_config_keys(config.family);
  switch (size) {
    case EncoderSize::kHidden:
      return fmt::format("{} {}", keys.hidden_size, config.hidden_size);
    case EncoderSize::kIntermediate:
      return fmt::format("{} {}", keys.intermediate_size, config.intermediate_size);
    case EncoderSize::kVocabulary:
      return fmt::format("vocab_size {}", config.vocab_size);
    case EncoderSize::kPositions:
      return fmt::format("max_position_embeddings {}", config.max_position_embeddings);
    case EncoderSize::kTypes:
      return fmt::format("type_vocab_size {}", config.type_vocab_size);
    case EncoderSize::kLabels:
      return fmt::format("id2label with {} labels", num_labels);
  }
  return {};
}

// "encoder.layer.3.output.dense" narrows, "attention.output.dense" does not.
bool narrows(std::string_view module) {
  return module.ends_with(".output.dense") && !module.ends_with("attention.output.dense");
}

}  // namespace

const EncoderKeys& encoder_keys(formats::EncoderFamily family) {
  return *std::ranges::find(kEncoderKeys, family, &EncoderKeys::family);
}

std::string encoder_name_of(const EncoderKeys& keys, std::string_view body, std::string_view key) {
  const size_t last_dot = key.rfind('.');
  const std::string_view module = key.substr(0, last_dot);
  const std::string_view ending = key.substr(last_dot);
  if (module == kHeadDense) return fmt::format("{}{}", keys.head_dense, ending);
  if (module == kHeadOutput) return fmt::format("{}{}", keys.head_output, ending);
  return fmt::format("{}{}{}", body,
                     keys.has_own_blocks ? distilbert_module(module) : std::string(module), ending);
}

std::vector<std::string> encoder_dimension_sources(std::string_view key,
                                                   const formats::EncoderConfig& config,
                                                   int64_t num_labels) {
  const std::string_view module = key.substr(0, key.rfind('.'));
  EncoderSize out = EncoderSize::kHidden;
  EncoderSize in = narrows(module) ? EncoderSize::kIntermediate : EncoderSize::kHidden;
  for (const EncoderRow& row : kRows) {
    if (!module.ends_with(row.module)) continue;
    out = row.out;
    in = row.in;
  }
  const std::string rows = size_text(out, config, num_labels);
  const bool is_vector = key.ends_with(".bias") || module.ends_with("LayerNorm");
  if (is_vector) return {rows};
  return {rows, size_text(in, config, num_labels)};
}

}  // namespace cpx::models
