// SPDX-License-Identifier: Apache-2.0
// Turns AWQ layers (version gemm) into dense weights, bit-identical to AutoAWQ's dequantize_gemm.
// Legend as in grouped_weight.h. qweight is [I, O * bits / 32]: a word contains neighbouring
// outputs.
#pragma once

#include <cstdint>
#include <vector>

#include "cpx/quant/grouped_weight.h"

namespace cpx::quant {

/// The settings of all AWQ layers of a folder.
struct AwqFormat {
  int64_t bits = 4;          // 4
  int64_t group_size = 128;  // inputs; -1: all inputs of a layer
};

/// As gptq_shape().
std::vector<int64_t> awq_shape(const GroupedWeight& weight, const AwqFormat& format);

/// As dequantize_gptq(); groups are `group_size` consecutive inputs.
torch::Tensor dequantize_awq(const GroupedWeight& weight, const AwqFormat& format,
                             torch::Dtype dtype);

}  // namespace cpx::quant
