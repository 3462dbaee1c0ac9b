// SPDX-License-Identifier: Apache-2.0
#include "decoder_classifier.h"

#include <vector>

#include <ATen/ATen.h>

namespace cpx::models {

DecoderClassifier::DecoderClassifier(const formats::ModelConfig& config, int64_t num_labels)
    : body_(std::make_shared<Llama>(config)) {
  model = register_module("model", body_->model);
  score = register_module("score", nn::Linear(nn::LinearOptions{.in_features = config.hidden_size,
                                                                .out_features = num_labels}));
}

torch::Tensor DecoderClassifier::logits(const nn::PackedTokens& tokens) {
  const torch::NoGradGuard no_grad;
  const auto ids = tokens.ids.cpu();
  const int64_t* id = ids.const_data_ptr<int64_t>();
  const auto padding_id = config().pad_token_id;
  std::vector<int64_t> last_rows;
  for (size_t text = 0; text + 1 < tokens.cu_seqlens.size(); ++text) {
    const int64_t begin = tokens.cu_seqlens[text];
    int64_t last = tokens.cu_seqlens[text + 1] - 1;
    while (last > begin && padding_id == id[last]) --last;
    last_rows.push_back(last);
  }
  const auto states = body_->hidden_states(tokens, {});  // [T, D]
  const auto rows = at::tensor(last_rows, at::kLong).to(states.device());
  return score->forward(states.index_select(0, rows), {});
}

}  // namespace cpx::models
