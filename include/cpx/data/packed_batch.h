// SPDX-License-Identifier: Apache-2.0
// Packs texts end to end and lists the predictions.
// Legend: T tokens, N predictions, L positions in all texts (more than T if texts share tokens).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpx/core/text_role.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::data {

/// Tokens [begin, end) of a text.
struct PredictedSpan {
  int64_t begin = 0;
  int64_t end = 0;

  bool operator==(const PredictedSpan&) const = default;
};

/// A text to be packed.
struct BatchText {
  std::span<const tokenizer::TokenId> ids = {};
  int64_t group = 0;  // of the micro batch, from 0
  TextRole role = TextRole::kPositive;
  /// Number of leading tokens that are given and not predicted (a prompt). The first token is never
  /// predicted.
  int64_t num_given = 0;
  /// The tokens that are predicted, ascending and apart; empty: all behind the given ones. Beside
  /// them `num_given` is 0.
  std::span<const PredictedSpan> predicted = {};
};

/// The position of a text in the pack.
struct PackedText {
  int64_t group = 0;
  TextRole role = TextRole::kPositive;
  int64_t first = 0;  // its predictions are [first, first + count) of `rows` and `targets`
  int64_t count = 0;
  int64_t num_pads = 0;         // published padding only
  int64_t pad_prediction = -1;  // index of nll(first token | eos), where num_pads > 0
};

/// A micro batch as plain numbers, ready for a model.
struct PackedBatch {
  std::vector<int64_t> ids = {};         // [T]
  std::vector<int32_t> cu_seqlens = {};  // texts (and the pad, see below) + 1
  std::vector<int64_t> rows = {};        // [N] token whose hidden state makes the prediction
  std::vector<int64_t> targets = {};     // [N] token that is predicted
  std::vector<PackedText> texts = {};
  /// Texts that share tokens: [L], the token at each place of the texts; cu_seqlens then counts
  /// places (nn::PackedTokens). Empty: no tokens are shared.
  std::vector<int64_t> token_of_place = {};
  int64_t num_groups = 0;
  int64_t pad_repeat_prediction = -1;  // index of nll(eos | eos), where a text has two pads
  int64_t padded_length = 0;           // published padding only
  int64_t num_tokens = 0;              // T
  /// Tokens that padding would add: to the longest text, under published padding to padded_length.
  int64_t num_padded_tokens = 0;
};

/// Packs texts in the given order, without padding. A text of one token predicts nothing. Throws
/// std::invalid_argument for a text without a token, with more given tokens than it has or with
/// spans that do not lie in it one behind the other, and for more tokens than cu_seqlens can count.
PackedBatch pack(std::span<const BatchText> texts);

/// As pack(), but texts of a group that begin alike share the tokens of that beginning
/// (PackedBatch::token_of_place): the pack has them once. The predictions and their order are the
/// same. Last tokens, which predict nothing, are left out. Throws std::invalid_argument as pack().
PackedBatch pack_sharing_prefixes(std::span<const BatchText> texts);

/// As pack(), with published padding: as if every text were padded on the left with `eos` to the
/// length of the longest text, rounded up to a multiple of 8. A pad sees only itself, so all pads
/// share one hidden state, and one token `eos` at the end of the pack, as a text of its own,
/// represents all of them. Its predictions follow those of the texts. It is left out if no text has
/// a pad.
PackedBatch pack_with_published_padding(std::span<const BatchText> texts, tokenizer::TokenId eos);

/// [texts] of each negative, the indices of its predictions whose target no positive of its group
/// predicts: where the wordings differ. None for positives.
std::vector<std::vector<int64_t>> differing_predictions(const PackedBatch& batch);

}  // namespace cpx::data
