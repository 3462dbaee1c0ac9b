// SPDX-License-Identifier: Apache-2.0
// What reinforcement learning expects of a state: one number from a hidden state.
// Legend: N states, D model.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include <torch/types.h>

#include "cpx/nn/causal_lm.h"

namespace cpx::training {

struct ValueHeadOptions {
  /// kLinear: weight and bias uniform in +-1/sqrt(D), as torch.nn.Linear draws them. kNormal:
  /// weight normal with deviation `init_std`, bias 0.
  enum class Init { kLinear, kNormal };

  double dropout = 0.1;  // on the hidden states, in training
  Init init = Init::kLinear;
  double init_std = 0.2;
  uint64_t seed = 0;
};

constexpr std::array<std::string_view, 2> enum_names(ValueHeadOptions::Init) {
  return {"linear", "normal"};
}

/// A linear layer D to 1 in float32. Its keys are those of TRL's AutoModelForCausalLMWithValueHead:
/// v_head.summary.weight [1, D] and v_head.summary.bias [1].
class ValueHead {
 public:
  ValueHead(int64_t hidden_size, const torch::Device& device, const ValueHeadOptions& options);

  /// Values of `hidden` [N, D], float32 [N]; differentiable in `hidden`, weight and bias.
  torch::Tensor forward(const torch::Tensor& hidden, const nn::ForwardOptions& options) const;

  std::vector<nn::NamedParameter> parameters() const;

  /// Writes value_head.safetensors into `folder`; throws DataError.
  void write(const std::filesystem::path& folder) const;
  /// Takes the values from value_head.safetensors in `folder`; throws DataError that names the file
  /// and what does not fit.
  void read(const std::filesystem::path& folder);

 private:
  ValueHeadOptions options_;
  torch::Tensor weight_;  // [1, D]
  torch::Tensor bias_;    // [1]
};

}  // namespace cpx::training
