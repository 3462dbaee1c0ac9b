// SPDX-License-Identifier: Apache-2.0
// Computes a pack of texts in shares. A share is some whole texts; between the embedding and the
// loss texts need nothing from each other. Each share goes through all layers in a lane
// (cpx/tensor/lanes.h), so that the threads of a step synchronise a few times and not after every
// operator. Legend: T tokens, D model.
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
  /// For each token its row in the whole pack.
  kernels::RowNumbers rows = {};
};

/// Deals out the texts of `tokens` (on the CPU) into shares with about equal numbers of tokens;
/// texts that share tokens stay together. Returns one share if there are few tokens, or if a long
/// text would make the shares uneven (then operators split their own work), and none if there are
/// no tokens. The result depends on the texts' lengths alone, never on the number of threads, which
/// therefore does not change a bit of the states.
std::vector<TextShare> deal_texts(const PackedTokens& tokens);

/// Calls states(share) [T of the share, D] for each share in a lane and returns the rows in the
/// order of the whole pack, [T, D]; the backward pass runs in lanes, too. `states` may use no
/// trainable tensor besides `parameters`, whose gradients are added in the order of the shares.
torch::Tensor states_of_shares(std::vector<TextShare> shares,
                               const std::function<torch::Tensor(const TextShare&)>& states,
                               const std::vector<torch::Tensor>& parameters);

}  // namespace cpx::nn
