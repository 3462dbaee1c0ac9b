// SPDX-License-Identifier: Apache-2.0
// Keys and values of texts that are being continued. A prompt is stored once for all sequences that
// continue it. A sequence stores its own new tokens, in a ring buffer where there is a sliding
// window. Several candidates for a sequence's next token may be tried before one is kept. All
// memory is allocated in the constructor. Prompts and sequences live in numbered slots; a slot has
// places for tokens. Legend: T tokens, N rows (sequences, or candidates), H query heads, K key
// heads, E head size.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/cached_attention.h"

namespace cpx::nn {

/// A prompt to be stored: its slot, and how many tokens it has.
struct PromptSlot {
  int64_t slot = 0;
  int64_t num_tokens = 0;
};

/// A token that is tried as the next one of a sequence.
struct CandidateRow {
  int64_t sequence = 0;  // its slot
  int64_t number = 0;    // among the sequence's candidates, from 0
};

struct KvCacheOptions {
  int64_t num_layers = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  /// A token sees itself and the `window - 1` tokens before it; 0: all before it.
  int64_t window = 0;

  int64_t num_prompts = 1;        // slots for prompts
  int64_t prompt_capacity = 0;    // tokens of the longest prompt
  int64_t num_sequences = 1;      // slots for sequences
  int64_t sequence_capacity = 0;  // new tokens of the longest sequence
  int64_t num_candidates = 0;     // for one sequence's next token; 0: none are tried

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

  /// Puts a new prompt of `num_tokens` tokens into slot `prompt` and forgets the old one. Throws
  /// std::invalid_argument where it does not fit.
  void begin_prompt(int64_t prompt, int64_t num_tokens);
  /// begin_prompt() for each of `prompts`. Throws std::invalid_argument, too, unless they have
  /// `num_tokens` tokens together.
  void begin_prompts(const std::vector<PromptSlot>& prompts, int64_t num_tokens);
  /// Starts a new sequence in slot `sequence`, which continues the prompt of slot `prompt`.
  void begin_sequence(int64_t sequence, int64_t prompt);
  /// The position that the next token of a sequence has in its text.
  int64_t position(int64_t sequence) const;

  /// Stores one layer's keys and values of a prompt: `k` (rotated) and `v` [T, K, E].
  void store_prompt(int64_t layer, int64_t prompt, const torch::Tensor& k, const torch::Tensor& v);
  /// Stores one layer's keys and values of the next token of each of `sequences`: `k` (rotated) and
  /// `v` [N, K, E]. Returns what `q` [N, H, E] (rotated) reads, [N, H, E]. Throws
  /// std::invalid_argument where a sequence is full.
  torch::Tensor attend(int64_t layer, std::span<const int64_t> sequences, const torch::Tensor& q,
                       const torch::Tensor& k, const torch::Tensor& v, double scale);
  /// Makes each of `sequences` one token longer. Call it when all layers have stored that token.
  void advance(std::span<const int64_t> sequences);

  /// Like attend(), for candidates: each sees its sequence and itself, but no other candidate.
  /// Throws std::invalid_argument, too, for a number that is not below num_candidates.
  torch::Tensor attend_candidates(int64_t layer, std::span<const CandidateRow> candidates,
                                  const torch::Tensor& q, const torch::Tensor& k,
                                  const torch::Tensor& v, double scale);
  /// Makes a candidate the next token of its sequence, in all layers.
  void keep_candidate(const CandidateRow& candidate);

 private:
  // The memory of all prompts, of all sequences or of all candidates.
  struct Area {
    torch::Tensor keys;    // [layers, slots, K, blocks, E, 16]
    torch::Tensor values;  // [layers, slots, K, places, E]

    Area(const KvCacheOptions& options, int64_t slots, int64_t places);
    int64_t places() const { return values.size(3); }
    /// Index of the first number of a key head, the same in keys and in values.
    int64_t offset(int64_t layer, int64_t slot, int64_t head) const;
    /// Copies `k` and `v` [T, K, E] into the places from `place` on.
    void store(int64_t layer, int64_t slot, int64_t place, const torch::Tensor& k,
               const torch::Tensor& v);
    /// Like store(), for contiguous float32 numbers on the CPU, which the kernel reads.
    void store_numbers(int64_t layer, int64_t slot, int64_t place, int64_t num_tokens,
                       const float* k, const float* v);
    /// Views of one token's keys and values in all layers, [layers, K, E] each.
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
  // What a row sees. Its own token is the last one of the last range.
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
  Area candidates_;  // one slot for each sequence, one place for each candidate
  std::vector<int64_t> prompt_lengths_;
  std::vector<Sequence> state_;
};

}  // namespace cpx::nn
