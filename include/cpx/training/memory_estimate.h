// SPDX-License-Identifier: Apache-2.0
// How much memory a training step takes at most, by part, from sizes alone: for cpx-train
// --estimate and for `recompute: auto`. The activations are counted function by function, as
// src/kernels and src/nn save them for the backward pass. On the CPU the memory of freed tensors is
// taken to be found again, as the tools see to (jemalloc): with glibc's own allocator the heap's
// holes take up to two thirds of the activations more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <torch/types.h>

#include "cpx/nn/causal_lm.h"

namespace cpx::training {

/// A training step whose memory is asked for.
struct MemoryQuestion {
  nn::ModelShape shape = {};
  bool has_tied_embeddings = false;  // embedding and head are one tensor
  torch::Dtype dtype = torch::kFloat32;
  bool is_on_cpu = true;

  int64_t rank = 64;
  /// q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head, or all-linear.
  std::vector<std::string> target_modules = {"q_proj", "v_proj"};
  double dropout = 0.0;
  /// AdamWOptions::has_8bit_state.
  bool has_8bit_optimizer = false;

  /// Of the largest micro batch: tokens, texts, and tokens of its longest text.
  int64_t num_tokens = 0;
  int64_t num_texts = 0;
  int64_t longest_text = 0;
  /// With how many different numbers of rows a run computes: kernels are kept for each. Counted in
  /// half types on the CPU.
  int64_t num_row_counts = 1;
  bool recompute_blocks = false;
  /// Next-token distributions are held to the base's: `objective.hold_by: kl`.
  bool holds_distributions = false;

  /// Bytes of the files that are mapped while the weights are loaded (they are stored in another
  /// type than computed in); 0: weights are used in place. Only counted on the CPU.
  int64_t mapped_file_bytes = 0;
};

/// Bytes by part.
struct MemoryEstimate {
  int64_t weights = 0;
  int64_t adapter = 0;
  int64_t gradients = 0;    // of the adapter
  int64_t optimizer = 0;    // two averages of each adapter value, in float32 or 8 bits
  int64_t activations = 0;  // kept for the backward pass, and the largest working set beside them
  int64_t logits = 0;       // a piece of the logits, and the token NLL's stored gradient
  int64_t compiled = 0;     // kernels that oneDNN compiled, in half types on the CPU
  int64_t base = 0;         // program and libraries, on the CPU

  int64_t total() const;
  /// Name and bytes of each part, for a table.
  std::vector<std::pair<std::string_view, int64_t>> parts() const;
};

/// The memory of a step. Throws std::invalid_argument for a target module that is not known or
/// sizes that are not positive.
MemoryEstimate estimate_memory(const MemoryQuestion& question);

/// Values of the adapter: rank * (inputs + outputs) of each target.
int64_t num_adapter_values(const nn::ModelShape& shape, int64_t rank,
                           const std::vector<std::string>& target_modules);

/// What `recompute: auto` does: true when the step does not fit into `available_bytes` (before the
/// weights are loaded) unless blocks are computed again.
bool should_recompute(MemoryQuestion question, int64_t available_bytes);

}  // namespace cpx::training
