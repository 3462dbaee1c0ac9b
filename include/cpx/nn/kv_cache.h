// SPDX-License-Identifier: Apache-2.0
// Keys and values of texts that are being continued. A prompt's are kept once for all sequences
// that continue it; a sequence adds its own new tokens, in a ring where a sliding window forgets.
// Several candidates for a sequence's next token may be tried, of which one is kept.
// Everything is allocated in the beginning.
// Legend: T tokens, N rows (sequences, or candidates), H query heads, K key heads, E head size.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/cached_attention.h"
#include "cpx/nn/forward_context.h"

namespace cpx::nn {

struct KvCacheOptions {
  int64_t num_layers = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  /// A token sees itself and the `window - 1` tokens before it; 0: all before it.
  int64_t window = 0;

  int64_t num_prompts = 1;        // at once
  int64_t prompt_capacity = 0;    // tokens of the longest
  int64_t num_sequences = 1;      // at once
  int64_t sequence_capacity = 0;  // new tokens of the longest
  int64_t num_candidates = 0;     // of a sequence's next token, at once; 0: none are tried

  /// float32 on the CPU; the model's type on a GPU.
  torch::TensorOptions tensor_options = torch::TensorOptions().dtype(torch::kFloat32);
};

class KvCache {
 public:
  /// Throws std::invalid_argument for sizes that are not positive.
  explicit KvCache(const KvCacheOptions& options);

  const KvCacheOptions& options() const { return options_; }
  /// Bytes of all keys and values, used or not.
  int64_t num_bytes() const;

  /// The place `prompt` takes a new prompt of so many tokens; what was there is forgotten.
  void begin_prompt(int64_t prompt, int64_t num_tokens);
  /// Begins the prompts of a pass of `num_tokens` ids, and returns where they are among them, as
  /// CachePass::cu_seqlens. Throws std::invalid_argument where the two do not fit, too.
  std::vector<int32_t> begin_prompts(const CachePass& pass, int64_t num_tokens);
  /// The place `sequence` continues the prompt at `prompt` from its end.
  void begin_sequence(int64_t sequence, int64_t prompt);
  /// Where the next token of a sequence stands in its text.
  int64_t position(int64_t sequence) const;

  /// Keeps a prompt's `k` and `v` [T, K, E], rotated, of one layer.
  void store_prompt(int64_t layer, int64_t prompt, const torch::Tensor& k, const torch::Tensor& v);
  /// Keeps the rotated `k` and `v` [N, K, E] of the next token of each of `sequences`, and returns
  /// what its `q` [N, H, E] attends to: [N, H, E]. Throws std::invalid_argument where a sequence is
  /// full.
  torch::Tensor attend(int64_t layer, std::span<const int64_t> sequences, const torch::Tensor& q,
                       const torch::Tensor& k, const torch::Tensor& v, double scale);
  /// The next tokens are there, in all layers.
  void advance(std::span<const int64_t> sequences);

  /// As attend() for tokens that are tried: each sees its sequence and itself. Throws
  /// std::invalid_argument for a number beyond num_candidates too.
  torch::Tensor attend_candidates(int64_t layer, std::span<const CandidateRow> candidates,
                                  const torch::Tensor& q, const torch::Tensor& k,
                                  const torch::Tensor& v, double scale);
  /// The candidate is its sequence's next token, in all layers.
  void keep_candidate(const CandidateRow& candidate);

 private:
  // Places for tokens: of prompts, or of sequences.
  struct Area {
    torch::Tensor keys;    // [layers, slots, K, blocks, E, 16]
    torch::Tensor values;  // [layers, slots, K, places, E]

    Area(const KvCacheOptions& options, int64_t slots, int64_t places);
    int64_t places() const { return values.size(3); }
    /// Where a key head's numbers begin, in keys as in values.
    int64_t offset(int64_t layer, int64_t slot, int64_t head) const;
    /// `k` and `v` [T, K, E] into the places from `place` on.
    void store(int64_t layer, int64_t slot, int64_t place, const torch::Tensor& k,
               const torch::Tensor& v);
    /// The same of contiguous float32 numbers on the CPU, where the kernel reads them.
    void store_numbers(int64_t layer, int64_t slot, int64_t place, int64_t num_tokens,
                       const float* k, const float* v);
    /// A token's keys and values in all layers, [layers, K, E] each; they share the memory.
    std::array<torch::Tensor, 2> token(int64_t slot, int64_t place) const;
  };
  struct Sequence {
    int64_t prompt = 0;
    int64_t num_new = 0;
  };
  // Places [begin, end) of a slot.
  struct Range {
    Area* area;
    int64_t slot;
    int64_t begin;
    int64_t end;
  };
  // What a row sees; its own place is the last of the last range.
  using Ranges = std::vector<Range>;

  bool has_kernel() const;
  Ranges seen_by_next(int64_t sequence, bool is_tried);
  torch::Tensor attend_to(const std::vector<Ranges>& seen, int64_t layer, const torch::Tensor& q,
                          const torch::Tensor& k, const torch::Tensor& v, double scale);
  void store_own(const std::vector<Ranges>& seen, int64_t layer, const torch::Tensor& k,
                 const torch::Tensor& v) const;
  torch::Tensor attend_by_kernel(const std::vector<Ranges>& seen, int64_t layer,
                                 const torch::Tensor& q, double scale) const;
  torch::Tensor attend_by_operators(const std::vector<Ranges>& seen, int64_t layer,
                                    const torch::Tensor& q, double scale) const;

  KvCacheOptions options_;
  Area prompts_;
  Area sequences_;
  Area candidates_;  // a slot a sequence, a place a candidate
  std::vector<int64_t> prompt_lengths_;
  std::vector<Sequence> state_;
};

}  // namespace cpx::nn
