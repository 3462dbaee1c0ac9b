// SPDX-License-Identifier: Apache-2.0
#include "counting_model.h"

#include <stdexcept>

namespace cpx {

torch::Tensor CountingModel::hidden_states(const nn::PackedTokens& tokens,
                                           const nn::ForwardOptions&) {
  saw_gradient_mode = saw_gradient_mode || torch::GradMode::is_enabled();
  packs.push_back(tokens.cu_seqlens);
  std::vector<float> seen;
  for (size_t s = 0; s + 1 < tokens.cu_seqlens.size(); ++s) {
    for (int32_t t = tokens.cu_seqlens[s]; t < tokens.cu_seqlens[s + 1]; ++t) {
      seen.push_back(static_cast<float>(t - tokens.cu_seqlens[s] + 1));
    }
  }
  if (std::ssize(seen) != tokens.ids.size(0)) throw std::logic_error("ids and cu_seqlens differ");
  return torch::tensor(seen).unsqueeze(1);  // [T, 1]
}

torch::Tensor CountingModel::token_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                                       const nn::ForwardOptions&) {
  num_predictions += targets.size(0);
  return targets.to(torch::kFloat32) + 1000.0 * hidden.squeeze(1);  // [N]
}

torch::Tensor CountingModel::logits(const torch::Tensor&, const nn::ForwardOptions&) {
  throw std::logic_error("perplexity needs no logits");
}

}  // namespace cpx
