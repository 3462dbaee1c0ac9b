// SPDX-License-Identifier: Apache-2.0
// A pack of texts computed in shares: whole texts, which need nothing of each other between the
// embedding and the loss. Each share goes through all layers in a lane (cpx/tensor/lanes.h), so
// that a step's threads meet a few times and not at every operator. Legend: T tokens, D model.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/lora_linear.h"
#include "cpx/nn/forward_context.h"

namespace cpx::nn {

/// Some texts of a pack, as a pack of their own.
struct TextShare {
  PackedTokens tokens = {};
  /// The row of each token in the whole pack.
  kernels::RowNumbers rows = {};
};

/// Deals the texts of `tokens` (on the CPU) out into shares of about equally many tokens; texts
/// that share tokens stay together. One share, or none for no tokens, where there are too few
/// tokens, or a text is so long that the shares would be uneven: their computation is shared by
/// operator then. A function of the texts' lengths alone: how many threads there are changes no bit
/// of a result.
std::vector<TextShare> deal_texts(const PackedTokens& tokens);

/// states(share) [its T, D] of all shares in the rows of the whole pack, [T, D]: each share in a
/// lane, and its gradient too. `states` may use no trainable tensor besides `parameters`; their
/// gradients are summed up in the shares' order.
torch::Tensor states_of_shares(std::vector<TextShare> shares,
                               const std::function<torch::Tensor(const TextShare&)>& states,
                               const std::vector<torch::Tensor>& parameters);

}  // namespace cpx::nn
