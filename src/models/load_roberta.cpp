// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string_view>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/models/roberta.h"
#include "cpx/tokenizer/limited.h"
#include "cpx/tokenizer/load.h"
#include "weight_slots.h"
#include "weight_source.h"

namespace cpx::models {

namespace fs = std::filesystem;

namespace {

// What a dimension of a weight is.
enum class EncoderSize { kHidden, kIntermediate, kVocabulary, kPositions, kTypes, kLabels };

struct EncoderRow {
  std::string_view module;  // the end of its key
  EncoderSize out;          // of its weight, and of its bias
  EncoderSize in;
};

// Weights whose shapes depend on more than hidden_size.
constexpr std::array kRows = {
    EncoderRow{"word_embeddings", EncoderSize::kVocabulary, EncoderSize::kHidden},
    EncoderRow{"position_embeddings", EncoderSize::kPositions, EncoderSize::kHidden},
    EncoderRow{"token_type_embeddings", EncoderSize::kTypes, EncoderSize::kHidden},
    EncoderRow{"intermediate.dense", EncoderSize::kIntermediate, EncoderSize::kHidden},
    EncoderRow{"classifier.out_proj", EncoderSize::kLabels, EncoderSize::kHidden},
};

std::string size_text(EncoderSize size, const formats::RobertaConfig& config) {
  switch (size) {
    case EncoderSize::kHidden:
      return fmt::format("hidden_size {}", config.hidden_size);
    case EncoderSize::kIntermediate:
      return fmt::format("intermediate_size {}", config.intermediate_size);
    case EncoderSize::kVocabulary:
      return fmt::format("vocab_size {}", config.vocab_size);
    case EncoderSize::kPositions:
      return fmt::format("max_position_embeddings {}", config.max_position_embeddings);
    case EncoderSize::kTypes:
      return fmt::format("type_vocab_size {}", config.type_vocab_size);
    case EncoderSize::kLabels:
      return fmt::format("id2label with {} labels", config.labels.size());
  }
  return {};
}

// "encoder.layer.3.output.dense" narrows, "attention.output.dense" does not.
bool narrows(std::string_view module) {
  return module.ends_with(".output.dense") && !module.ends_with("attention.output.dense");
}

std::vector<std::string> dimension_sources(std::string_view key,
                                           const formats::RobertaConfig& config) {
  const std::string_view module = key.substr(0, key.rfind('.'));
  EncoderSize out = EncoderSize::kHidden;
  EncoderSize in = narrows(module) ? EncoderSize::kIntermediate : EncoderSize::kHidden;
  for (const EncoderRow& row : kRows) {
    if (!module.ends_with(row.module)) continue;
    out = row.out;
    in = row.in;
  }
  const bool is_vector = key.ends_with(".bias") || module.ends_with("LayerNorm");
  if (is_vector) return {size_text(out, config)};
  return {size_text(out, config), size_text(in, config)};
}

std::string missing_hint(const std::string& name) {
  if (!name.starts_with("classifier.")) return {};
  return "The folder holds RoBERTa without a classification head: is it a classifier's?";
}

// Tensors that transformers stores but a classifier does not need.
bool is_passed_over(const std::string& name) {
  return name == "roberta.embeddings.position_ids" || name.starts_with("roberta.pooler.");
}

}  // namespace

std::shared_ptr<Roberta> load_roberta(const fs::path& name, const torch::Device& device) {
  const fs::path folder = resolve_hub_name("load_roberta", name, "a classifier's folder");
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw_<DataError>("[load_roberta] {}: no such folder, expected a classifier's folder.",
                      folder.string());
  }
  const auto model = std::make_shared<Roberta>(formats::read_roberta_config(folder));
  const auto source = open_folder_weights(folder);
  const auto slots = slots_of(*model);
  check_names(folder, slots, *source,
              {.missing_hint = missing_hint, .is_passed_over = is_passed_over});
  for (const WeightSlot& slot : slots) {
    check_shape(slot, *source, "config.json", dimension_sources(slot.key, model->config()));
  }
  for (const WeightSlot& slot : slots) {
    slot.module->set_frozen(slot.name, source->tensor(slot.key, at::kFloat).to(device));
  }
  return model;
}

std::shared_ptr<RobertaScorer> load_text_scorer(const fs::path& folder, const torch::Device& device,
                                                int64_t batch_tokens) {
  auto model = load_roberta(folder, device);
  auto tokenizer = tokenizer::limited_to(
      tokenizer::load_roberta_tokenizer(resolve_hub_name("load_text_scorer", folder, "")),
      model->config().vocab_size, "config.json: vocab_size");
  return std::make_shared<RobertaScorer>(std::move(model), std::move(tokenizer), batch_tokens);
}

}  // namespace cpx::models
