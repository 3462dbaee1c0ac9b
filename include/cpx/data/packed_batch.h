// SPDX-License-Identifier: Apache-2.0
// Texts packed end to end, and what is predicted where.
// Legend: T tokens, N predictions, L places in all texts (more than T where texts share tokens).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpx/core/text_role.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::data {

/// A text to be packed.
struct BatchText {
  std::span<const tokenizer::TokenId> ids = {};
  int64_t group = 0;  // of the micro batch, from 0
  TextRole role = TextRole::kPositive;
  /// Leading tokens that are given, not predicted: a prompt. The first token never is predicted.
  int64_t num_given = 0;
};

/// Where a text of the pack lies.
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
/// std::invalid_argument for a text without a token or with more given ones than it has, and for
/// more tokens than cu_seqlens can count.
PackedBatch pack(std::span<const BatchText> texts);

/// The same predictions in the same order, with texts of a group that begin alike sharing the
/// tokens of that beginning (PackedBatch::token_of_place): each is in the pack once. Last tokens,
/// which predict nothing, are left out. Throws std::invalid_argument as pack().
PackedBatch pack_sharing_prefixes(std::span<const BatchText> texts);

/// The same under published padding: every text is thought to be padded on the left with `eos` to
/// the longest text's length, rounded up to a multiple of 8. A pad sees only itself, so all pads
/// share one hidden state: one token `eos` at the end of the pack, a text of its own, stands for
/// all of them. Its predictions follow those of the texts; there is none when no text has a pad.
PackedBatch pack_with_published_padding(std::span<const BatchText> texts, tokenizer::TokenId eos);

}  // namespace cpx::data
