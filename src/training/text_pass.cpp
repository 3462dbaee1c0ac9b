// SPDX-License-Identifier: Apache-2.0
#include "text_pass.h"

#include <ATen/ATen.h>

namespace cpx::training {

namespace {

torch::Tensor index_tensor(const std::vector<int64_t>& values, const torch::Device& device) {
  return at::tensor(values, at::kLong).to(device);
}

// Hidden states where something is predicted, [N, D]; those of all tokens are freed on return.
torch::Tensor predicting_states(nn::CausalLm& model, const data::PackedBatch& batch,
                                const nn::ForwardOptions& options) {
  const auto device = model.device();
  const auto hidden = model.hidden_states(
      {.ids = index_tensor(batch.ids, device), .cu_seqlens = batch.cu_seqlens}, options);  // [T, D]
  return hidden.index_select(0, index_tensor(batch.rows, device));
}

}  // namespace

torch::Tensor token_nll(nn::CausalLm& model, const data::PackedBatch& batch,
                        const nn::ForwardOptions& options) {
  return model.token_nll(predicting_states(model, batch, options),
                         index_tensor(batch.targets, model.device()), options);
}

std::vector<double> to_doubles(const torch::Tensor& values) {
  const auto wide = values.detach().to(at::kCPU, at::kDouble).contiguous();
  const double* first = wide.const_data_ptr<double>();
  return {first, first + wide.numel()};
}

void backward(const torch::Tensor& nll, const std::vector<double>& gradient) {
  nll.backward(at::tensor(gradient, at::kDouble).to(nll.options()));
}

}  // namespace cpx::training
