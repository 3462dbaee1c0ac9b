// SPDX-License-Identifier: Apache-2.0
// Negative log-likelihood of texts under a model: many texts in one pack, long ones in windows.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "cpx/nn/causal_lm.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::evaluation {

/// The score of one text under a model.
struct TextScore {
  double nll_sum = 0.0;  // natural log, over the predicted tokens
  int64_t tokens = 0;  // predicted tokens: all but the first; 0 for a text with nothing to predict
};

struct TextScoreOptions {
  /// Maximum number of tokens in one pass; a longer piece is computed alone.
  int64_t batch_tokens = 2048;
  /// Maximum length of a piece of a text in tokens; 0: texts are never divided.
  int64_t window = 0;
  /// Distance between the starts of two windows in tokens; 0: half a window. Every token is
  /// predicted once, in the first window that contains it, from at least `window` - `stride` tokens
  /// (from one token if the two are equal: then windows move by `window` - 1).
  int64_t stride = 0;
  /// Compute as decoding does, through CausalLm::prefill() and logits() by row: the only way for a
  /// model with quantised weights.
  bool is_decoded = false;
  /// NLL sums of the first pieces, in the order of computation, as `on_batch` got them in an
  /// earlier run that stopped. These pieces are not computed again.
  std::vector<double> known_sums = {};
  /// Called with the NLL sums of the pieces of each finished batch.
  std::function<void(std::span<const double>)> on_batch = {};
  /// Called with the number of tokens done so far; returning false stops the work.
  std::function<bool(int64_t)> on_progress = {};
};

using TokenSpan = std::span<const tokenizer::TokenId>;

/// Scores in the order of `texts`; without gradient. Empty if `on_progress` stopped the work. What
/// is computed together depends on texts and options alone, not on where an earlier run stopped.
/// Throws std::invalid_argument for a stride larger than the window, and for `known_sums` that do
/// not end where a batch ends.
std::vector<TextScore> score_texts(nn::CausalLm& model, std::span<const TokenSpan> texts,
                                   const TextScoreOptions& options);

/// The published measure: one long text in windows of `window` tokens, `stride` apart; the first
/// window predicts all its tokens, each later one only its new tokens. `nll_sum` is the unweighted
/// mean of the mean NLLs of the windows, times the number of predicted tokens, so that exp(nll_sum
/// / tokens) is the published perplexity. Follows the strided perplexity of transformers' guide
/// ("Perplexity of fixed-length models"), which the published evaluation uses.
TextScore score_published(nn::CausalLm& model, TokenSpan text, int64_t window, int64_t stride,
                          const std::function<bool(int64_t)>& on_progress = {});

}  // namespace cpx::evaluation
