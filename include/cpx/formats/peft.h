// SPDX-License-Identifier: Apache-2.0
// PEFT LoRA folders: adapter_config.json and adapter_model.safetensors.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cpx/formats/safetensors.h"

namespace cpx::formats {

/// The keys of adapter_config.json that decide about the computation.
struct PeftConfig {
  int64_t rank = 8;
  double alpha = 8.0;
  double dropout = 0.0;
  bool rslora = false;
  /// Ends of module names; sorted. "all-linear" stays that one word.
  std::vector<std::string> target_modules;
  std::string base_model;  // `base_model_name_or_path`
};

/// An adapter on disk. Keys are the model's own: "model.layers.0.self_attn.q_proj.lora_A.weight"
/// (PEFT's prefix "base_model.model." is taken off).
struct PeftAdapter {
  PeftConfig config;
  /// lora_A and lora_B, in the file's order; mapped, not to be written to.
  std::vector<NamedTensor> factors;
  /// What PEFT stores beside them: "lm_head.base_layer.weight" and the like.
  std::vector<NamedTensor> base_tensors;
  std::filesystem::path folder;
};

/// Reads adapter_config.json alone. Throws DataError that names the file, the key and its value
/// where the adapter is of a kind that cpx does not compute (DoRA, biases, patterns, ...).
PeftConfig read_peft_config(const std::filesystem::path& folder);

/// Reads the whole folder.
PeftAdapter read_peft(const std::filesystem::path& folder);

/// Writes both files into the existing `folder` (not atomic: write into an AtomicFolder); `factors`
/// have the model's own keys. What is written loads with peft.PeftModel.from_pretrained;
/// "all-linear" is written as the names that the factors have, as PEFT does it itself.
void write_peft(const std::filesystem::path& folder, const PeftConfig& config,
                std::span<const NamedTensor> factors);

}  // namespace cpx::formats
