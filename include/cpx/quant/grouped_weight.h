// SPDX-License-Identifier: Apache-2.0
// A linear layer as GPTQ and AWQ files store it: small whole numbers (codes) in 32-bit words, and a
// scale and a zero for each group of inputs. The weight is scale * (code - zero).
// Legend: I inputs, O outputs, G groups of inputs.
#pragma once

#include <string>

#include <torch/types.h>

namespace cpx::quant {

/// The stored tensors of one layer, on the CPU; a tensor that the file lacks is undefined.
struct GroupedWeight {
  std::string file;       // for messages
  std::string layer;      // "model.layers.0.mlp.up_proj", for messages
  torch::Tensor qweight;  // int32, the codes in words
  torch::Tensor qzeros;   // int32 [G, O * bits / 32]
  torch::Tensor scales;   // float16 or bfloat16 [G, O]
  torch::Tensor g_idx;    // int32 [I], GPTQ only: the group of each input
};

}  // namespace cpx::quant
