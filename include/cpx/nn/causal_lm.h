// SPDX-License-Identifier: Apache-2.0
// What training, evaluation and generation see of a language model.
// Legend: T tokens, N predictions, D model, V vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/token_nll.h"
#include "cpx/nn/forward_context.h"

namespace cpx::nn {

/// A trainable tensor and its key, for example "model.layers.0.self_attn.q_proj.lora_A.weight".
struct NamedParameter {
  std::string name;
  torch::Tensor value;
};

/// Sizes that decide about the time and memory of a forward pass.
struct ModelShape {
  int64_t vocabulary_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position = 0;
  int64_t sliding_window = 0;  // 0: none

  /// Weights in matrix products: the linear layers and the head once, not the embedding look-up.
  /// One token costs 2 N FLOPs forward and 2 N for the gradient of the activations.
  int64_t num_matmul_weights() const;
};

/// A causal language model over packed texts.
class CausalLm {
 public:
  virtual ~CausalLm() = default;

  /// Final hidden states (after the last norm), [T, D], in the compute type.
  virtual torch::Tensor hidden_states(const PackedTokens& tokens,
                                      const ForwardOptions& options) = 0;

  /// The same without gradients, with keys and values kept in `pass.cache`: of prompts with the
  /// ids [T], end to end, or of the ids [N], which are the next tokens of `pass.sequences` or tried
  /// as such (`pass.candidates`), each row by itself. Prompts of more than kMaxJoinedPrompt tokens
  /// have their bits only where they are alone. The prompts' places are begun, and next tokens are
  /// counted, here. Throws std::logic_error where the model cannot.
  virtual torch::Tensor cached_states(const torch::Tensor& ids, const CachePass& pass);

  /// Negative log-likelihood (natural log) of `targets` [N] given `hidden` [N, D]; [N], float32.
  virtual torch::Tensor token_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                                  const ForwardOptions& options) = 0;

  /// token_nll() without gradients, and the entropies of the same predictions.
  virtual kernels::NllAndEntropy token_nll_and_entropy(const torch::Tensor& hidden,
                                                       const torch::Tensor& targets);

  /// Next-token scores before softmax, [N, V], of `hidden` [N, D].
  virtual torch::Tensor logits(const torch::Tensor& hidden, const ForwardOptions& options) = 0;

  /// The adapter's tensors, in a fixed order.
  virtual std::vector<NamedParameter> trainable() const = 0;

  virtual const ModelShape& shape() const = 0;
  virtual torch::Device device() const = 0;
  virtual torch::Dtype dtype() const = 0;
};

/// Rows of logits that are looked at in one piece.
int64_t rows_in_a_piece(const ModelShape& shape);

/// What is predicted in packed texts: token `targets[i]` from the hidden state of token `rows[i]`.
struct Predictions {
  std::span<const int64_t> ids;            // [T]
  const std::vector<int32_t>& cu_seqlens;  // as in PackedTokens
  std::span<const int64_t> rows;           // [N]
  std::span<const int64_t> targets;        // [N]
  /// As in PackedTokens; empty: no tokens are shared.
  std::span<const int64_t> token_of_place = {};
};

/// Hidden states (after the last norm) from which the predictions are made, [N, D]. The model
/// computes a text up to the last token that predicts (all of it where texts share tokens): what
/// follows it changes nothing.
torch::Tensor predicting_states(CausalLm& model, const Predictions& predictions,
                                const ForwardOptions& options);

/// Negative log-likelihood (natural log) of each prediction, [N], on the model's device.
torch::Tensor token_nll(CausalLm& model, const Predictions& predictions,
                        const ForwardOptions& options);

/// The numbers of a [N] tensor, as float64 on the host.
std::vector<double> to_doubles(const torch::Tensor& values);

}  // namespace cpx::nn
