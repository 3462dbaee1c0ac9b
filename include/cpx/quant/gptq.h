// SPDX-License-Identifier: Apache-2.0
// GPTQ layers to dense weights, bit for bit as GPTQModel's torch kernel does it.
// Legend as in grouped_weight.h. qweight is [I * bits / 32, O]: a word holds neighbouring inputs.
#pragma once

#include <cstdint>
#include <vector>

#include "cpx/quant/grouped_weight.h"

namespace cpx::quant {

/// What a folder's config says of all its GPTQ layers.
struct GptqFormat {
  int64_t bits = 4;                   // 4 or 8
  int64_t group_size = 128;           // inputs; -1: all of a layer's
  bool has_zeros_less_one = true;     // version 1 stores zero - 1, version 2 the zero itself
  bool has_inputs_reordered = false;  // desc_act: g_idx must be there
};

/// The shape of the dense weight, [O, I]. Throws DataError that names file and tensor where one is
/// missing or of another type or shape than the others say; std::invalid_argument for a format
/// that is not read.
std::vector<int64_t> gptq_shape(const GroupedWeight& weight, const GptqFormat& format);

/// The dense weight [O, I] in `dtype` (float32, bfloat16 or float16): rounded to the type of the
/// scales, as the peers do it, then to `dtype`. Without g_idx the groups are runs of `group_size`
/// inputs. Rows are shared among LibTorch's threads. Throws as gptq_shape(), and DataError for a
/// g_idx that names no group.
torch::Tensor dequantize_gptq(const GroupedWeight& weight, const GptqFormat& format,
                              torch::Dtype dtype);

}  // namespace cpx::quant
