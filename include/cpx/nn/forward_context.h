// SPDX-License-Identifier: Apache-2.0
// What every layer of a forward pass needs to know besides its input.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/lora_linear.h"
#include "cpx/nn/shared_tokens.h"

namespace cpx::nn {

/// Texts packed end to end, without padding.
struct PackedTokens {
  /// Token ids, int64 [T], on the model's device.
  torch::Tensor ids;
  /// Text i holds the tokens cu_seqlens[i] to cu_seqlens[i + 1]; the first entry is 0, the last T,
  /// or E.
  std::vector<int32_t> cu_seqlens;
  /// Texts that begin alike may share those tokens: [E] the token at each place of the texts, which
  /// cu_seqlens then counts. A token is at the same place of each of its texts, and behind the same
  /// tokens. Empty: the places are the tokens.
  std::vector<int64_t> token_of_place = {};
};

/// What to keep for the backward pass, and whether dropout is on.
struct ForwardOptions {
  /// Dropout applies (training).
  bool is_training = false;
  /// Key of this forward pass's dropout: the same key repeats the same masks.
  uint64_t dropout_key = 0;
  /// Keep only each block's input and compute its inside again in the backward pass.
  bool recompute_blocks = false;
  /// Linear layers take each row by itself: its bits do not depend on how many there are. Without
  /// gradients; for decoding.
  bool is_by_row = false;
};

class KvCache;

/// A token that is tried as the next one of a sequence.
struct CandidateRow {
  int64_t sequence = 0;  // its place in the cache
  int64_t number = 0;    // among the sequence's candidates, from 0
};

/// Prompts of up to so many tokens are computed by row: as others go with them in a pass, so they
/// do alone, bit for bit.
inline constexpr int64_t kMaxJoinedPrompt = 256;

/// A pass whose keys and values are kept: of prompts, of the next token of each of some sequences,
/// or of tokens that are tried, until KvCache::keep_candidate() makes one the next.
struct CachePass {
  KvCache* cache = nullptr;
  /// Where the others are empty: the prompts' places in the cache.
  std::vector<int64_t> prompts = {0};
  /// Prompt i has the ids cu_seqlens[i] to cu_seqlens[i + 1]; empty: one prompt has them all.
  std::vector<int32_t> cu_seqlens = {};
  std::vector<int64_t> sequences = {};        // their places, a row each
  std::vector<CandidateRow> candidates = {};  // a row each; where `sequences` is empty

  bool is_of_prompts() const { return sequences.empty() && candidates.empty(); }
};

/// Made once a forward pass, read by every layer.
struct ForwardContext {
  std::vector<int32_t> cu_seqlens = {};  // of texts or prompts
  torch::Tensor cosine = {};             // [T, E/2]
  torch::Tensor sine = {};               // [T, E/2]
  SharedTokens shared = {};
  ForwardOptions options = {};
  kernels::RowNumbers row_numbers = {};  // of the tokens, where they are a part of a pack
  const CachePass* pass = nullptr;       // null: texts, of which nothing is kept
};

/// While one lives, adapters are off in this thread: the model is its frozen base.
class AdapterOffGuard {
 public:
  AdapterOffGuard();
  ~AdapterOffGuard();
  AdapterOffGuard(const AdapterOffGuard&) = delete;
  AdapterOffGuard& operator=(const AdapterOffGuard&) = delete;

  /// True while any guard lives in this thread.
  static bool is_active();

 private:
  bool before_;
};

}  // namespace cpx::nn
