// SPDX-License-Identifier: Apache-2.0
// Turns GPTQ layers into dense weights, bit-identical to GPTQModel's torch kernel. Legend as in
// grouped_weight.h. qweight is [I * bits / 32, O]: a word contains neighbouring inputs.
#pragma once

#include <cstdint>
#include <vector>

#include "cpx/quant/grouped_weight.h"

namespace cpx::quant {

/// The settings of all GPTQ layers of a folder.
struct GptqFormat {
  int64_t bits = 4;                   // 4 or 8
  int64_t group_size = 128;           // inputs; -1: all inputs of a layer
  bool has_zeros_less_one = true;     // version 1 stores zero - 1, version 2 the zero itself
  bool has_inputs_reordered = false;  // desc_act: g_idx is required
};

/// The shape of the dense weight, [O, I]. Throws DataError with file and tensor if a tensor is
/// missing or its type or shape does not match the others, and std::invalid_argument for a format
/// that cpx does not read.
std::vector<int64_t> gptq_shape(const GroupedWeight& weight, const GptqFormat& format);

/// The dense weight [O, I] in `dtype` (float32, bfloat16 or float16): rounded to the type of the
/// scales, as the peers do, then to `dtype`. Without g_idx the groups are `group_size` consecutive
/// inputs. LibTorch's threads share the rows. Throws as gptq_shape(), and DataError for a g_idx
/// that is not a group.
torch::Tensor dequantize_gptq(const GroupedWeight& weight, const GptqFormat& format,
                              torch::Dtype dtype);

}  // namespace cpx::quant
