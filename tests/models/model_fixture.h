// SPDX-License-Identifier: Apache-2.0
// What the tests of models share: models by the name of their fixture, and what a peer computed.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <torch/types.h>

#include "cpx/formats/safetensors.h"
#include "cpx/models/load.h"

namespace cpx::models {

/// tests/fixtures/models/NAME.
std::filesystem::path model_folder(const std::string& name);

/// tests/fixtures/gguf/NAME.gguf.
std::filesystem::path gguf_file(const std::string& name);

/// The model in float32 on the CPU.
std::shared_ptr<Llama> load_fixture(const std::string& name);

/// The model with its adapter.
std::shared_ptr<Llama> load_fixture_with_adapter(const std::string& name);

/// Packed texts with what a peer computed for them.
struct Reference {
  nn::PackedTokens tokens;
  torch::Tensor logits;  // [T, V]
  torch::Tensor nll;     // [T - texts]
  std::shared_ptr<const formats::SafetensorsFile> file;
};

Reference read_reference(const std::filesystem::path& path);

/// Negative log-likelihood of every token but the first of each text.
torch::Tensor predicted_nll(Llama& model, const nn::PackedTokens& tokens,
                            const nn::ForwardOptions& options = {});

/// The logits of every token.
torch::Tensor all_logits(Llama& model, const nn::PackedTokens& tokens);

/// The gradients of sum(weights * nll) by the names of trainable().
std::vector<torch::Tensor> adapter_gradients(Llama& model, const nn::PackedTokens& tokens,
                                             const torch::Tensor& weights,
                                             const nn::ForwardOptions& options = {});

/// Text `index` of the pack alone.
nn::PackedTokens text_of(const nn::PackedTokens& tokens, size_t index);

}  // namespace cpx::models
