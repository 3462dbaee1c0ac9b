// SPDX-License-Identifier: Apache-2.0
// Models from disk: a Hugging Face folder or one .gguf, with its tokenizer and, where asked for,
// an adapter.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <torch/types.h>

#include "cpx/formats/model_config.h"
#include "cpx/formats/peft.h"
#include "cpx/models/llama.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::models {

/// The config of a model without its weights. `path` is a folder with config.json, a .gguf, or a
/// config.json itself. Throws DataError.
formats::ModelConfig read_config(const std::filesystem::path& path);

/// The tokenizer of a model folder or .gguf. Where it has tokens that the model lacks, only texts
/// with such a token are an error: see tokenizer::limited_to(). Throws DataError.
std::shared_ptr<const tokenizer::Tokenizer> read_tokenizer(const std::filesystem::path& path);

/// A model with its frozen weights in `dtype` on `device`. Weights that are stored in `dtype` and
/// computed on the CPU stay in the mapped file. Throws DataError that names tensor, file and both
/// shapes where a weight does not fit the config.
std::shared_ptr<Llama> load_model(const std::filesystem::path& path, torch::Dtype dtype,
                                  const torch::Device& device);

/// Another model on the same frozen weights, which take no memory twice; without an adapter.
std::shared_ptr<Llama> with_same_weights(const Llama& model);

/// How a model that only decodes holds its matrices.
enum class WeightFormat {
  kAuto,      // on the CPU a GGUF's quantised ones as they are, in float32; else dense
  kFloat32,   // dense
  kBFloat16,  // dense
  kQ8_0,      // quantised when they are loaded, 8.5 bits a weight
  kQ4_0,      // the same, 4.5 bits; embedding and head Q8_0, as llama-quantize keeps them apart
};

/// The format of a name: auto, float32, bfloat16, q8_0 or q4_0. Throws ConfigError for another.
WeightFormat parse_weight_format(std::string_view name);

/// The compute type that goes with the format, for whoever leaves it open: float32 with quantised
/// weights, else as stated or, for dense `auto`, by measuring the device. Throws DataError.
torch::Dtype decoding_dtype(const std::filesystem::path& path, WeightFormat format,
                            const torch::Device& device);

/// A model for decoding alone: nn::CausalLm::cached_states(), and logits() by row. Quantised
/// weights stay in the mapped file where they are stored so, but for the rows of q and k, which a
/// GGUF holds in another order. Types without a product become Q4_1 (Q4_K) or Q8_0. What is no
/// whole number of blocks stays dense, as norms and biases do. With a half type `auto` is dense.
/// Throws ConfigError where format, dtype and device do not fit, else as load_model().
std::shared_ptr<Llama> load_for_decoding(const std::filesystem::path& path, WeightFormat format,
                                         torch::Dtype dtype, const torch::Device& device);

/// What the matrices are held in, for the log: "Q4_1 + Q8_0", "bfloat16".
std::string weight_types(const Llama& model);

/// Checks names and shapes of the weights on disk against the config, without reading the weights.
/// Throws DataError as load_model().
void check_weights(const std::filesystem::path& path);

/// Throws ConfigError, all faults at once, where a target means no linear layer of such a model.
void check_targets(const formats::ModelConfig& config,
                   const std::vector<std::string>& target_modules);

/// Attaches a fresh LoRA update (A random by `seed`, B zero) to every linear layer whose name ends
/// in one of `target_modules`, or to all but lm_head for {"all-linear"}. Throws ConfigError that
/// lists the model's linear layers where a target matches none.
void attach_adapter(Llama& model, const nn::LoraConfig& config,
                    const std::vector<std::string>& target_modules, uint64_t seed);

/// Attaches the adapter and fills in its factors. Stored base tensors must equal the model's own.
/// `dropout` replaces the folder's where given. Throws DataError that names tensor, file and
/// shapes.
void attach_adapter(Llama& model, const formats::PeftAdapter& adapter,
                    std::optional<double> dropout = std::nullopt);

}  // namespace cpx::models
