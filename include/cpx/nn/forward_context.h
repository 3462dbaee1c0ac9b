// SPDX-License-Identifier: Apache-2.0
// What every layer of a forward pass needs to know besides its input.
// Legend: T tokens, L places in all texts (more than T where texts share tokens), E head size.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/lora_linear.h"

namespace cpx::nn {

class KeptBeginning;

/// Texts packed end to end, without padding.
struct PackedTokens {
  /// Token ids, int64 [T], on the model's device.
  torch::Tensor ids;
  /// Text i holds the tokens cu_seqlens[i] to cu_seqlens[i + 1]. The first entry is 0, the last is
  /// T (L where texts share tokens).
  std::vector<int32_t> cu_seqlens;
  /// Texts that begin alike may share the tokens of that beginning. Then this is [L], the token at
  /// each place of the texts, and cu_seqlens counts places. A token must stand at the same place in
  /// each of its texts, behind the same tokens, and tokens are numbered as they come: a text's own
  /// ones follow each other behind those that it shares. Empty: no token is shared, place i is
  /// token i.
  std::vector<int64_t> token_of_place = {};
  /// Set: every text stands behind this beginning, which is no part of `ids`. No gradient goes
  /// through it.
  std::shared_ptr<const KeptBeginning> behind = {};
};

/// What to keep for the backward pass, and whether dropout is on.
struct ForwardOptions {
  /// Dropout applies (training).
  bool is_training = false;
  /// Key of this forward pass's dropout: the same key repeats the same masks.
  uint64_t dropout_key = 0;
  /// Keep only each block's input and compute its inside again in the backward pass.
  bool recompute_blocks = false;
  /// Linear layers compute each row on its own, so that other rows do not change a bit of it. For
  /// decoding; without gradients.
  bool is_by_row = false;
};

class AttentionSource;

/// Made once a forward pass, read by every layer. A block that is computed again in the backward
/// pass keeps a copy.
struct ForwardContext {
  /// What the tokens attend to; null where only linear layers are called.
  std::shared_ptr<const AttentionSource> source = {};
  torch::Tensor cosine = {};  // [T, E/2]
  torch::Tensor sine = {};    // [T, E/2]
  ForwardOptions options = {};
  kernels::RowNumbers row_numbers = {};  // of the tokens, where they are a part of a pack
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
