// SPDX-License-Identifier: Apache-2.0
// What the tokens of a forward pass attend to. A layer computes queries, keys and values; the
// source of the pass knows which tokens see which, and stores keys and values where there is a
// KvCache. The cache must outlive its sources, which compute without gradients. Legend: T tokens of
// the pass, L places in all texts (more than T where texts share tokens), H query heads, K key
// heads, E head size.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/attention.h"
#include "cpx/nn/kept_beginning.h"
#include "cpx/nn/kv_cache.h"
#include "cpx/nn/shared_tokens.h"

namespace cpx::nn {

struct PackedTokens;

/// Made once for a forward pass and asked by every layer. A block that is computed again in the
/// backward pass asks it again.
class AttentionSource {
 public:
  virtual ~AttentionSource() = default;

  /// The position of each token in its text, [T]. Ask before KvCache::advance().
  virtual std::vector<int64_t> positions() const = 0;

  /// What each token reads in layer number `layer`, [T, H, E]: softmax(scale * q k^T) v over the
  /// tokens that it sees. `q` [T, H, E] and `k` [T, K, E] are rotated, `v` is [T, K, E].
  virtual torch::Tensor attend(int64_t layer, const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v,
                               const kernels::AttentionOptions& options) const = 0;
};

/// Texts end to end: text i has the tokens cu_seqlens[i] to cu_seqlens[i + 1] and sees only itself.
class PackedTexts : public AttentionSource {
 public:
  explicit PackedTexts(std::vector<int32_t> cu_seqlens) : cu_seqlens_(std::move(cu_seqlens)) {}

  std::vector<int64_t> positions() const override;
  torch::Tensor attend(int64_t layer, const torch::Tensor& q, const torch::Tensor& k,
                       const torch::Tensor& v,
                       const kernels::AttentionOptions& options) const override;

 private:
  std::vector<int32_t> cu_seqlens_;
};

/// Texts that share tokens (PackedTokens::token_of_place), or stand behind a kept beginning, or
/// both. A token reads the same in each of its texts: it asks in the first of them, and its keys
/// and values stand in all.
class SharedTexts : public AttentionSource {
 public:
  /// Throws std::invalid_argument for a token that is out of range, in no text, or at different
  /// positions in two of them, and for tokens that are not numbered as they come.
  explicit SharedTexts(const PackedTokens& tokens);

  std::vector<int64_t> positions() const override { return positions_; }
  torch::Tensor attend(int64_t layer, const torch::Tensor& q, const torch::Tensor& k,
                       const torch::Tensor& v,
                       const kernels::AttentionOptions& options) const override;

 private:
  std::shared_ptr<const KeptBeginning> beginning_;  // null: none
  SharedTokens shared_;
  std::vector<int64_t> positions_;
};

/// SharedTexts where `tokens` has texts that share some or stand behind a beginning, else
/// PackedTexts.
std::shared_ptr<const AttentionSource> attention_source(const PackedTokens& tokens);

/// A beginning by itself, whose keys and values are kept.
class BeginningToKeep : public AttentionSource {
 public:
  /// Behind the beginning come `num_added` tokens that are a text of their own and are not kept.
  BeginningToKeep(std::shared_ptr<KeptBeginning> kept, int64_t num_added);

  std::vector<int64_t> positions() const override { return texts_.positions(); }
  torch::Tensor attend(int64_t layer, const torch::Tensor& q, const torch::Tensor& k,
                       const torch::Tensor& v,
                       const kernels::AttentionOptions& options) const override;

 private:
  std::shared_ptr<KeptBeginning> kept_;
  PackedTexts texts_;
};

/// Prompts end to end, each of which sees only itself and is stored in its slot of the cache.
class CachedPrompts : public AttentionSource {
 public:
  /// Call KvCache::begin_prompts() first. Behind the prompts come `num_added` tokens that are a
  /// text of their own and are not stored.
  CachedPrompts(KvCache& cache, std::vector<PromptSlot> prompts, int64_t num_added = 0);

  std::vector<int64_t> positions() const override { return texts_.positions(); }
  torch::Tensor attend(int64_t layer, const torch::Tensor& q, const torch::Tensor& k,
                       const torch::Tensor& v,
                       const kernels::AttentionOptions& options) const override;

 private:
  KvCache& cache_;
  std::vector<PromptSlot> prompts_;
  PackedTexts texts_;
};

/// The next token of each of some cached sequences: it sees its prompt, its sequence and itself,
/// within the cache's window.
class NextTokens : public AttentionSource {
 public:
  /// `sequences` [T]: the slot of each token's sequence.
  NextTokens(KvCache& cache, std::vector<int64_t> sequences)
      : cache_(cache), sequences_(std::move(sequences)) {}

  std::vector<int64_t> positions() const override;
  torch::Tensor attend(int64_t layer, const torch::Tensor& q, const torch::Tensor& k,
                       const torch::Tensor& v,
                       const kernels::AttentionOptions& options) const override;

 private:
  KvCache& cache_;
  std::vector<int64_t> sequences_;
};

/// Tokens that are tried as the next ones of cached sequences: each sees what a next token would
/// see, and no other candidate.
class CandidateTokens : public AttentionSource {
 public:
  /// `candidates` [T].
  CandidateTokens(KvCache& cache, std::vector<CandidateRow> candidates)
      : cache_(cache), candidates_(std::move(candidates)) {}

  std::vector<int64_t> positions() const override;
  torch::Tensor attend(int64_t layer, const torch::Tensor& q, const torch::Tensor& k,
                       const torch::Tensor& v,
                       const kernels::AttentionOptions& options) const override;

 private:
  KvCache& cache_;
  std::vector<CandidateRow> candidates_;
};

}  // namespace cpx::nn
