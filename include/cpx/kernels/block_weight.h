// SPDX-License-Identifier: Apache-2.0
// A weight that stays quantised in memory: rows of GGUF blocks, as in a file.
// Legend: O outputs, I inputs, N rows.
#pragma once

#include <cstdint>
#include <string_view>

#include <torch/types.h>

#include "cpx/tensor/storage_type.h"

namespace cpx::kernels {

/// A weight [O, I] in blocks of one type; undefined without bytes.
struct BlockWeight {
  tensor::StorageType type = tensor::StorageType::kQ8_0;
  torch::Tensor bytes = {};  // uint8 [O, bytes of a row]; may lie in a read-only mapped file

  bool is_defined() const { return bytes.defined(); }
  int64_t num_outputs() const { return bytes.size(0); }
  int64_t num_inputs() const {
    const auto layout = tensor::storage_layout(type);
    return bytes.size(1) / layout.bytes * layout.elements;
  }
};

/// True for the types that quantized_product() computes with: Q8_0, Q4_0 and Q4_1.
bool has_block_product(tensor::StorageType type);

/// Makes a weight of `bytes`, uint8 [O, bytes of a row]. Throws std::invalid_argument unless they
/// are contiguous rows of whole blocks on the CPU, of a type with a product.
BlockWeight block_weight(tensor::StorageType type, torch::Tensor bytes);

/// Throws std::invalid_argument with the name `place` if the weight is quantised: for code that
/// requires dense weights.
void check_not_quantized(std::string_view place, const BlockWeight& weight);

/// The values of the whole weight, float32 [O, I].
torch::Tensor dequantized(const BlockWeight& weight);

/// The values of the rows `ids` (int64 [N]), float32 [N, I].
torch::Tensor dequantized_rows(const BlockWeight& weight, const torch::Tensor& ids);

}  // namespace cpx::kernels
