// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/causal_lm.h"

#include <ATen/ATen.h>

namespace cpx::nn {

namespace {

torch::Tensor to_tensor(std::span<const int64_t> values, const torch::Device& device) {
  return at::tensor(at::ArrayRef<int64_t>(values.data(), values.size()), at::kLong).to(device);
}

// Hidden states where something is predicted, [N, D]; those of all tokens are freed on return.
torch::Tensor predicting_states(CausalLm& model, const Predictions& predictions,
                                const ForwardOptions& options) {
  const auto device = model.device();
  const auto hidden = model.hidden_states(
      {.ids = to_tensor(predictions.ids, device), .cu_seqlens = predictions.cu_seqlens},
      options);  // [T, D]
  return hidden.index_select(0, to_tensor(predictions.rows, device));
}

}  // namespace

int64_t ModelShape::num_matmul_weights() const {
  const int64_t queries = num_heads * head_dim;
  const int64_t keys = num_kv_heads * head_dim;
  const int64_t attention = hidden_size * (2 * queries + 2 * keys);
  const int64_t mlp = 3 * hidden_size * intermediate_size;
  return num_layers * (attention + mlp) + vocabulary_size * hidden_size;
}

torch::Tensor token_nll(CausalLm& model, const Predictions& predictions,
                        const ForwardOptions& options) {
  return model.token_nll(predicting_states(model, predictions, options),
                         to_tensor(predictions.targets, model.device()), options);
}

std::vector<double> to_doubles(const torch::Tensor& values) {
  const auto wide = values.detach().to(at::kCPU, at::kDouble).contiguous();
  const double* first = wide.const_data_ptr<double>();
  return {first, first + wide.numel()};
}

}  // namespace cpx::nn
