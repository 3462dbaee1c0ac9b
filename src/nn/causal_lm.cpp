// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/causal_lm.h"

#include <algorithm>
#include <stdexcept>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/kernels/row_distribution.h"

namespace cpx::nn {

namespace {

torch::Tensor to_tensor(std::span<const int64_t> values, const torch::Device& device) {
  return at::tensor(at::ArrayRef<int64_t>(values.data(), values.size()), at::kLong).to(device);
}

// The tokens that the model computes: each text up to its last token that predicts something. In a
// causal model no prediction sees the tokens after it.
struct ReadTokens {
  std::vector<int64_t> ids = {};
  std::vector<int32_t> cu_seqlens = {0};
  std::vector<int64_t> rows = {};  // the predictions' rows among these tokens
  std::vector<int64_t> token_of_place = {};
};

template <class T>
std::vector<int64_t> to_vector(const T& values) {
  return {values.begin(), values.end()};
}

ReadTokens read_tokens(const Predictions& predictions) {
  if (!predictions.token_of_place.empty()) {
    return {.ids = to_vector(predictions.ids),
            .cu_seqlens = predictions.cu_seqlens,
            .rows = to_vector(predictions.rows),
            .token_of_place = to_vector(predictions.token_of_place)};
  }
  const auto num_texts = static_cast<int64_t>(predictions.cu_seqlens.size()) - 1;
  std::vector<int64_t> text_of(predictions.ids.size());
  for (int64_t text = 0; text < num_texts; ++text) {
    std::fill(text_of.begin() + predictions.cu_seqlens[text],
              text_of.begin() + predictions.cu_seqlens[text + 1], text);
  }
  std::vector<int64_t> ends(predictions.cu_seqlens.begin(), predictions.cu_seqlens.end() - 1);
  for (const int64_t row : predictions.rows) {
    ends[text_of[row]] = std::max(ends[text_of[row]], row + 1);
  }
  ReadTokens read;
  std::vector<int64_t> shifts(static_cast<size_t>(num_texts));
  for (int64_t text = 0; text < num_texts; ++text) {
    const int64_t begin = predictions.cu_seqlens[text];
    shifts[text] = begin - std::ssize(read.ids);
    if (ends[text] == begin) continue;
    read.ids.insert(read.ids.end(), predictions.ids.begin() + begin,
                    predictions.ids.begin() + ends[text]);
    read.cu_seqlens.push_back(static_cast<int32_t>(read.ids.size()));
  }
  for (const int64_t row : predictions.rows) read.rows.push_back(row - shifts[text_of[row]]);
  return read;
}

// True for the rows 0 to count - 1 in their order.
bool are_all_rows(const std::vector<int64_t>& rows, int64_t count) {
  if (std::ssize(rows) != count) return false;
  for (int64_t row = 0; row < count; ++row) {
    if (rows[static_cast<size_t>(row)] != row) return false;
  }
  return true;
}

[[noreturn]] void throw_cannot_decode() {
  throw_<std::logic_error>("[causal lm] this model keeps no keys and values.");
}

}  // namespace

std::shared_ptr<const KeptBeginning> CausalLm::keep_beginning(const torch::Tensor& /*ids*/,
                                                              const ForwardOptions& /*options*/) {
  throw_cannot_decode();
}

torch::Tensor CausalLm::prefill(KvCache& /*cache*/, const torch::Tensor& /*ids*/,
                                const std::vector<PromptSlot>& /*prompts*/) {
  throw_cannot_decode();
}

torch::Tensor CausalLm::next_tokens(KvCache& /*cache*/, const torch::Tensor& /*ids*/,
                                    const std::vector<int64_t>& /*sequences*/) {
  throw_cannot_decode();
}

torch::Tensor CausalLm::try_tokens(KvCache& /*cache*/, const torch::Tensor& /*ids*/,
                                   const std::vector<CandidateRow>& /*candidates*/) {
  throw_cannot_decode();
}

kernels::NllAndEntropy CausalLm::token_nll_and_entropy(const torch::Tensor& hidden,
                                                       const torch::Tensor& targets) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> entropies;
  for (const auto& rows : hidden.split(rows_in_a_piece(shape()))) {
    entropies.push_back(kernels::row_entropy(logits(rows, {})));
  }
  return {token_nll(hidden, targets, {}), at::cat(entropies)};
}

int64_t ModelShape::num_matmul_weights() const {
  const int64_t queries = num_heads * head_dim;
  const int64_t keys = num_kv_heads * head_dim;
  const int64_t attention = hidden_size * (2 * queries + 2 * keys);
  const int64_t mlp = 3 * hidden_size * intermediate_size;
  return num_layers * (attention + mlp) + vocabulary_size * hidden_size;
}

int64_t rows_in_a_piece(const ModelShape& shape) {
  constexpr int64_t kBytes = int64_t{64} << 20;
  return std::clamp<int64_t>(kBytes / (shape.vocabulary_size * 4), 16, 4096);
}

torch::Tensor predicting_states(CausalLm& model, const Predictions& predictions,
                                const ForwardOptions& options) {
  // The states of all tokens are freed on return.
  const auto device = model.device();
  const ReadTokens read = read_tokens(predictions);
  const auto hidden = model.hidden_states({.ids = to_tensor(read.ids, device),
                                           .cu_seqlens = read.cu_seqlens,
                                           .token_of_place = read.token_of_place,
                                           .behind = predictions.behind},
                                          options);  // [T, D]
  const bool is_every_token = are_all_rows(read.rows, hidden.size(0));
  return is_every_token ? hidden : hidden.index_select(0, to_tensor(read.rows, device));
}

torch::Tensor token_nll(CausalLm& model, const Predictions& predictions,
                        const ForwardOptions& options) {
  if (predictions.rows.empty()) return at::empty({0}, at::device(model.device()).dtype(at::kFloat));
  return model.token_nll(predicting_states(model, predictions, options),
                         to_tensor(predictions.targets, model.device()), options);
}

std::vector<double> to_doubles(const torch::Tensor& values) {
  const auto wide = values.detach().to(at::kCPU, at::kDouble).contiguous();
  const double* first = wide.const_data_ptr<double>();
  return {first, first + wide.numel()};
}

}  // namespace cpx::nn
