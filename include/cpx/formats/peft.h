// SPDX-License-Identifier: Apache-2.0
// PEFT LoRA folders: adapter_config.json and adapter_model.safetensors, or adapter_model.bin.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cpx/formats/safetensors.h"

namespace cpx::formats {

/// The update of one layer.
struct PeftLayer {
  int64_t rank = 8;
  double alpha = 8.0;
};

/// The keys of adapter_config.json that decide about the computation.
struct PeftConfig {
  int64_t rank = 8;
  double alpha = 8.0;
  double dropout = 0.0;
  bool rslora = false;
  /// Ends of module names; sorted. "all-linear" stays that one word. Where the file has a regular
  /// expression or says by other keys which layers were chosen, the whole names of the modules that
  /// have tensors.
  std::vector<std::string> target_modules;
  /// By their names the modules with a rank or an alpha of their own (`rank_pattern`,
  /// `alpha_pattern`).
  std::map<std::string, PeftLayer> own_layers = {};
  std::string base_model = {};  // `base_model_name_or_path`
  std::string revision = {};    // of a base model that is named "owner/name"; empty: none given

  PeftLayer layer(const std::string& module) const;
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
  std::filesystem::path file;  // that holds the tensors
};

/// Reads adapter_config.json, and the names of the tensors where only they tell the targets;
/// `folder` may be a name of the Hugging Face cache (core/hub.h). Throws DataError that names the
/// file, the key and its value where the adapter is of a kind that cpx does not compute (DoRA,
/// biases, ...). What only says how it was trained is passed over.
PeftConfig read_peft_config(const std::filesystem::path& folder);

/// The file of an adapter's tensors: adapter_model.safetensors, or adapter_model.bin where only
/// that is there.
std::filesystem::path peft_weights_file(const std::filesystem::path& folder);

/// Reads the whole folder, found in the same way.
PeftAdapter read_peft(const std::filesystem::path& folder);

/// Writes both files into the existing `folder` (not atomic: write into an AtomicFolder); `factors`
/// have the model's own keys. What is written loads with peft.PeftModel.from_pretrained;
/// "all-linear" is written as the names that the factors have, as PEFT does it itself.
void write_peft(const std::filesystem::path& folder, const PeftConfig& config,
                std::span<const NamedTensor> factors);

}  // namespace cpx::formats
