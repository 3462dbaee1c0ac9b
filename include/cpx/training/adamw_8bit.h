// SPDX-License-Identifier: Apache-2.0
// The form of AdamW's averages in 8 bits, a quarter of their memory: each value is a code, and each
// block of 256 values has their largest magnitude. A step turns an average into float32, updates
// it, and turns it back by the nearest codes.
// Source: Dettmers et al., "8-bit Optimizers via Block-wise Quantization", ICLR 2022 (arXiv
// 2110.02861), as implemented in bitsandbytes at 95f9af3: create_dynamic_map (functional.py) and
// kOptimizerStatic8bit2StateBlockwise (csrc/kernels.cu). Different: a block of zeros has the codes
// of 0 (there 0 / 0 gives other codes, which stand for 0 as well), and divisions and powers are
// exact to the last digit (there they are the GPU's fast ones).
#pragma once

#include <cstdint>

#include <torch/types.h>

namespace cpx::training {

/// Values that share a largest magnitude; the last block of a tensor may have fewer.
constexpr int64_t kStateBlock = 256;
/// Averages of smaller tensors stay in float32: they save little.
constexpr int64_t kMin8BitValues = 4096;

/// The numbers that codes stand for.
struct CodeMap {
  torch::Tensor values = {};  // float32 [256], ascending
  /// float32 [255]: a number has as its code how many of them are below it. That is the nearest
  /// value; halfway between two it is the one with the even code.
  torch::Tensor boundaries = {};
};

/// Numbers from -0.993 to 1, dense near 0, for averages. No negative number has the code of 0, so
/// that an average keeps its sign.
CodeMap signed_code_map(const torch::Device& device);

/// Numbers from 0 to 1, dense near 0, for averages of squares.
CodeMap unsigned_code_map(const torch::Device& device);

/// A tensor in 8 bits. Value i is map.values[codes[i]] * absmax[i / kStateBlock].
struct BlockwiseTensor {
  torch::Tensor codes = {};   // uint8, in the shape of the values
  torch::Tensor absmax = {};  // float32 [blocks]
};

/// `values` (float32, contiguous) by the nearest codes.
BlockwiseTensor quantize_blockwise(const torch::Tensor& values, const CodeMap& map);

/// The float32 values, in the shape of the codes.
torch::Tensor dequantize_blockwise(const BlockwiseTensor& stored, const CodeMap& map);

}  // namespace cpx::training
