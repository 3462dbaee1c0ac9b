// SPDX-License-Identifier: Apache-2.0
#include "tests/models/model_fixture.h"

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include "tests/support/folders.h"

namespace cpx::models {

std::filesystem::path model_folder(const std::string& name) {
  return testing_support::fixture("models/" + name);
}

std::filesystem::path gguf_file(const std::string& name) {
  return testing_support::fixture("gguf/" + name + ".gguf");
}

std::shared_ptr<Llama> load_fixture(const std::string& name) {
  return load_model(model_folder(name), torch::kFloat32, torch::kCPU);
}

std::shared_ptr<Llama> load_fixture_with_adapter(const std::string& name) {
  auto model = load_fixture(name);
  attach_adapter(*model, formats::read_peft(model_folder(name) / "adapter"));
  return model;
}

Reference read_reference(const std::filesystem::path& path) {
  const auto file = formats::SafetensorsFile::open(path);
  const auto limits = file->tensor("cu_seqlens");
  const auto* first = limits.const_data_ptr<int32_t>();
  return {{file->tensor("ids"), std::vector<int32_t>(first, first + limits.numel())},
          file->tensor("logits"),
          file->tensor("nll"),
          file};
}

torch::Tensor predicted_nll(Llama& model, const nn::PackedTokens& tokens,
                            const nn::ForwardOptions& options) {
  std::vector<int64_t> rows;
  for (size_t text = 0; text + 1 < tokens.cu_seqlens.size(); ++text) {
    for (int32_t row = tokens.cu_seqlens[text]; row + 1 < tokens.cu_seqlens[text + 1]; ++row) {
      rows.push_back(row);
    }
  }
  const auto index = at::tensor(rows, at::kLong);
  const auto hidden = model.hidden_states(tokens, options);
  return model.token_nll(hidden.index_select(0, index), tokens.ids.index_select(0, index + 1),
                         options);
}

torch::Tensor all_logits(Llama& model, const nn::PackedTokens& tokens) {
  const torch::NoGradGuard no_grad;
  return model.logits(model.hidden_states(tokens, {}), {});
}

std::vector<torch::Tensor> adapter_gradients(Llama& model, const nn::PackedTokens& tokens,
                                             const torch::Tensor& weights,
                                             const nn::ForwardOptions& options) {
  std::vector<torch::Tensor> parameters;
  for (const auto& parameter : model.trainable()) parameters.push_back(parameter.value);
  return torch::autograd::grad({predicted_nll(model, tokens, options)}, parameters, {weights});
}

nn::PackedTokens text_of(const nn::PackedTokens& tokens, size_t index) {
  const int32_t begin = tokens.cu_seqlens[index];
  const int32_t length = tokens.cu_seqlens[index + 1] - begin;
  return {tokens.ids.narrow(0, begin, length), {0, length}};
}

}  // namespace cpx::models
