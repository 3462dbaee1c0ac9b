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

/// The keys of adapter_config.json that affect the computation.
struct PeftConfig {
  int64_t rank = 8;
  double alpha = 8.0;
  double dropout = 0.0;
  bool rslora = false;
  /// Ends of module names, sorted. "all-linear" stays that one word. If the file has a regular
  /// expression, or other keys chose among the layers, these are the full names of the modules that
  /// have tensors.
  std::vector<std::string> target_modules;
  /// Modules with a rank or an alpha of their own (`rank_pattern`, `alpha_pattern`), by name.
  std::map<std::string, PeftLayer> own_layers = {};
  std::string base_model = {};  // `base_model_name_or_path`
  std::string revision = {};    // of a base model named "owner/name"; empty: none

  PeftLayer layer(const std::string& module) const;
};

/// An adapter on disk. Its keys are those of the model:
/// "model.layers.0.self_attn.q_proj.lora_A.weight" (without PEFT's prefix "base_model.model.").
struct PeftAdapter {
  PeftConfig config;
  /// lora_A and lora_B in the order of the file; mapped, so do not write to them.
  std::vector<NamedTensor> factors;
  /// Other tensors that PEFT stores, such as "lm_head.base_layer.weight".
  std::vector<NamedTensor> base_tensors;
  std::filesystem::path folder;
  std::filesystem::path file;  // contains the tensors
};

/// Reads adapter_config.json, and the names of the tensors if only they determine the targets;
/// `folder` may be a name of the Hugging Face cache (core/hub.h). Throws DataError with the file,
/// the key and its value for kinds of adapters that cpx does not compute (DoRA, biases, ...). Keys
/// that only describe how the adapter was trained are ignored.
PeftConfig read_peft_config(const std::filesystem::path& folder);

/// The file with the tensors of an adapter: adapter_model.safetensors, or adapter_model.bin if only
/// that exists.
std::filesystem::path peft_weights_file(const std::filesystem::path& folder);

/// Reads the whole folder; `folder` as for read_peft_config().
PeftAdapter read_peft(const std::filesystem::path& folder);

/// Writes both files into the existing `folder` (not atomic: write into an AtomicFolder); the keys
/// of `factors` are those of the model. peft.PeftModel.from_pretrained loads the result.
/// "all-linear" is written as the names that the factors have, as PEFT itself does.
void write_peft(const std::filesystem::path& folder, const PeftConfig& config,
                std::span<const NamedTensor> factors);

}  // namespace cpx::formats
