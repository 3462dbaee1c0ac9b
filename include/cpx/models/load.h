// SPDX-License-Identifier: Apache-2.0
// Loads models from disk: a Hugging Face folder or one .gguf, its tokenizer, and adapters.
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

/// The tokenizer of a model folder or .gguf. It may have tokens that the model lacks; a text with
/// such a token is an error (tokenizer::limited_to()). Throws DataError.
std::shared_ptr<const tokenizer::Tokenizer> read_tokenizer(const std::filesystem::path& path);

/// A model with its frozen weights in `dtype` on `device`. Weights that are stored in `dtype` and
/// computed on the CPU stay in the mapped file. Throws DataError that names tensor, file and both
/// shapes where a weight does not fit the config.
std::shared_ptr<Llama> load_model(const std::filesystem::path& path, torch::Dtype dtype,
                                  const torch::Device& device);

/// Another model that shares the frozen weights of `model` and has no adapter.
std::shared_ptr<Llama> with_same_weights(const Llama& model);

/// How a model that only decodes stores its matrices.
enum class WeightFormat {
  kAuto,      // on the CPU those of a quantised GGUF as in the file, in float32; else dense
  kFloat32,   // dense
  kBFloat16,  // dense
  kQ8_0,      // quantised at load, 8.5 bits per weight
  kQ4_0,      // quantised at load, 4.5 bits per weight; embedding and head in Q8_0
};

/// The format called `name`: auto, float32, bfloat16, q8_0 or q4_0. Throws ConfigError otherwise.
WeightFormat parse_weight_format(std::string_view name);

/// The compute type for `format` if the user chose none: float32 for quantised weights, the type
/// that the format names, or for a dense `auto` the one that is fastest on `device`, by measuring.
/// Throws DataError.
torch::Dtype decoding_dtype(const std::filesystem::path& path, WeightFormat format,
                            const torch::Device& device);

/// A model for decoding alone (CausalLm::prefill(), next_tokens(), try_tokens(), and logits() by
/// row). Quantised weights stay in the mapped file where it has them in the wanted type; those of q
/// and k are copied, because a GGUF stores their rows in another order. Types without a product
/// become Q4_1 (Q4_K) or Q8_0. Weights that are not a whole number of blocks stay dense, and so do
/// norms and biases. With a half type `auto` is dense. Throws ConfigError where format, dtype and
/// device do not go together, and what load_model() throws.
std::shared_ptr<Llama> load_for_decoding(const std::filesystem::path& path, WeightFormat format,
                                         torch::Dtype dtype, const torch::Device& device);

/// The types of the matrices, for the log: "Q4_1 + Q8_0", "bfloat16".
std::string weight_types(const Llama& model);

/// Checks the names and shapes of the weights on disk against the config, without reading the
/// weights. Throws DataError as load_model() does.
void check_weights(const std::filesystem::path& path);

/// Throws ConfigError, which lists all faults, if a target matches no linear layer of such a model.
void check_targets(const formats::ModelConfig& config,
                   const std::vector<std::string>& target_modules);

/// Attaches a fresh LoRA update (A random by `seed`, B zero) to every linear layer whose name ends
/// in one of `target_modules`, or to all but lm_head for {"all-linear"}. Throws ConfigError, which
/// lists the model's linear layers, if a target matches none.
void attach_adapter(Llama& model, const nn::LoraConfig& config,
                    const std::vector<std::string>& target_modules, uint64_t seed);

/// Attaches `adapter` with its stored factors. Base tensors stored with it must equal the model's.
/// `dropout`, if given, replaces the stored one. Throws DataError, which names tensor, file and
/// shapes.
void attach_adapter(Llama& model, const formats::PeftAdapter& adapter,
                    std::optional<double> dropout = std::nullopt);

}  // namespace cpx::models
