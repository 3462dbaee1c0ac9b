// SPDX-License-Identifier: Apache-2.0
// AWQ layers (version gemm) to dense weights, bit for bit as AutoAWQ's dequantize_gemm.
// Legend as in grouped_weight.h. qweight is [I, O * bits / 32]: a word holds neighbouring outputs.
#pragma once

#include <cstdint>
#include <vector>

#include "cpx/quant/grouped_weight.h"

namespace cpx::quant {

/// What a folder's config says of all its AWQ layers.
struct AwqFormat {
  int64_t bits = 4;          // 4
  int64_t group_size = 128;  // inputs; -1: all of a layer's
};

/// As gptq_shape().
std::vector<int64_t> awq_shape(const GroupedWeight& weight, const AwqFormat& format);

/// As dequantize_gptq(); groups are runs of `group_size` inputs.
torch::Tensor dequantize_awq(const GroupedWeight& weight, const AwqFormat& format,
                             torch::Dtype dtype);

}  // namespace cpx::quant
