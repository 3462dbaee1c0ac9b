// SPDX-License-Identifier: Apache-2.0
// The interface of a language model, for training, evaluation and generation.
// Legend: T tokens, N predictions, L places in all texts (more than T where texts share tokens),
// D model, V vocabulary.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/token_nll.h"
#include "cpx/nn/forward_context.h"

namespace cpx::nn {

class KvCache;
struct CandidateRow;
struct PromptSlot;

/// A trainable tensor and its key, for example "model.layers.0.self_attn.q_proj.lora_A.weight".
struct NamedParameter {
  std::string name;
  torch::Tensor value;
};

/// The sizes that decide how much time and memory a forward pass takes.
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

  /// Number of weights in matrix products: linear layers and head, without the embedding look-up.
  /// For n of them a token costs 2 n FLOPs forward and 2 n for the gradient of the activations.
  int64_t num_matmul_weights() const;
};

/// The longest prompt that may go through the model together with others: up to this many tokens,
/// products are computed row by row, so that its company does not change a bit of it.
inline constexpr int64_t kMaxJoinedPrompt = 256;

/// A causal language model over packed texts.
class CausalLm {
 public:
  virtual ~CausalLm() = default;

  /// Final hidden states (after the last norm), [T, D], in the compute type.
  virtual torch::Tensor hidden_states(const PackedTokens& tokens,
                                      const ForwardOptions& options) = 0;

  /// Computes a beginning that many texts have, `ids` [P], and keeps its keys and values, for
  /// PackedTokens::behind. A model without them throws std::logic_error.
  virtual std::shared_ptr<const KeptBeginning> keep_beginning(const torch::Tensor& ids,
                                                              const ForwardOptions& options);

  // Decoding: the three calls below read and fill a cache, return final hidden states in the
  // compute type, and compute no gradients. A model without a cache throws std::logic_error.

  /// Computes new prompts, `ids` [T] end to end, and stores them in their slots of `cache`; returns
  /// [T, D]. A prompt of more than kMaxJoinedPrompt tokens gets the same bits every time only if it
  /// is alone in the call. Throws std::invalid_argument unless the prompts have T tokens.
  virtual torch::Tensor prefill(KvCache& cache, const torch::Tensor& ids,
                                const std::vector<PromptSlot>& prompts);

  /// Appends one token, `ids` [T], to each of `sequences` [T] (slots of `cache`); returns [T, D].
  /// Each row is computed on its own: other rows do not change a bit of it. Throws
  /// std::invalid_argument unless there are as many ids as sequences.
  virtual torch::Tensor next_tokens(KvCache& cache, const torch::Tensor& ids,
                                    const std::vector<int64_t>& sequences);

  /// Computes tokens that might come next, `ids` [T], one for each of `candidates` [T]; returns
  /// [T, D], each row on its own. No sequence becomes longer before KvCache::keep_candidate().
  /// Throws std::invalid_argument unless there are as many ids as candidates.
  virtual torch::Tensor try_tokens(KvCache& cache, const torch::Tensor& ids,
                                   const std::vector<CandidateRow>& candidates);

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

/// How many rows of logits to compute at a time, so that a piece takes little memory.
int64_t rows_in_a_piece(const ModelShape& shape);

/// What is predicted in packed texts: token `targets[i]` from the hidden state of token `rows[i]`.
struct Predictions {
  std::span<const int64_t> ids;            // [T]
  const std::vector<int32_t>& cu_seqlens;  // as in PackedTokens
  std::span<const int64_t> rows;           // [N]
  std::span<const int64_t> targets;        // [N]
  /// [L], as in PackedTokens; empty: no tokens are shared.
  std::span<const int64_t> token_of_place = {};
  /// As in PackedTokens.
  std::shared_ptr<const KeptBeginning> behind = {};
};

/// Hidden states (after the last norm) from which the predictions are made, [N, D]. The model
/// computes a text up to the last token that predicts, since later tokens change nothing; where
/// texts share tokens it computes all of it.
torch::Tensor predicting_states(CausalLm& model, const Predictions& predictions,
                                const ForwardOptions& options);

/// Negative log-likelihood (natural log) of each prediction, [N], on the model's device.
torch::Tensor token_nll(CausalLm& model, const Predictions& predictions,
                        const ForwardOptions& options);

/// Copies a [N] tensor to the host as float64.
std::vector<double> to_doubles(const torch::Tensor& values);

}  // namespace cpx::nn
