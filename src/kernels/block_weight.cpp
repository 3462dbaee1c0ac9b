// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/block_weight.h"

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/quant/gguf_blocks.h"
#include "cpx/tensor/device.h"

namespace cpx::kernels {

using torch::Tensor;

namespace {

std::span<const std::byte> bytes_of(const Tensor& rows) {
  return {static_cast<const std::byte*>(rows.const_data_ptr()), rows.nbytes()};
}

}  // namespace

bool has_block_product(tensor::StorageType type) {
  using tensor::StorageType;
  return type == StorageType::kQ8_0 || type == StorageType::kQ4_0 || type == StorageType::kQ4_1;
}

BlockWeight block_weight(tensor::StorageType type, Tensor bytes) {
  const auto layout = tensor::storage_layout(type);
  CPX_CHECK(has_block_product(type), "[block_weight] got type {}, expected Q8_0, Q4_0 or Q4_1.",
            layout.name);
  CPX_CHECK(bytes.scalar_type() == at::kByte && bytes.is_cpu() && bytes.is_contiguous() &&
                bytes.dim() == 2 && bytes.size(1) > 0 && bytes.size(1) % layout.bytes == 0,
            "[block_weight] got {} {} for {}, expected contiguous uint8 [O, a multiple of {}] on "
            "the CPU.",
            tensor::dtype_name(bytes.scalar_type()), tensor::shape_text(bytes.sizes()), layout.name,
            layout.bytes);
  return {.type = type, .bytes = std::move(bytes)};
}

void check_not_quantized(std::string_view place, const BlockWeight& weight) {
  CPX_CHECK(
      !weight.is_defined(),
      "[{}] weight type: got {}, expected float32, bfloat16 or float16. Quantised weights are "
      "for decoding alone: row by row, without gradients.",
      place, tensor::storage_layout(weight.type).name);
}

Tensor dequantized(const BlockWeight& weight) {
  return quant::dequantize(weight.type, bytes_of(weight.bytes),
                           {weight.num_outputs(), weight.num_inputs()}, at::kFloat);
}

Tensor dequantized_rows(const BlockWeight& weight, const Tensor& ids) {
  const auto rows = weight.bytes.index_select(0, ids);
  return quant::dequantize(weight.type, bytes_of(rows), {rows.size(0), weight.num_inputs()},
                           at::kFloat);
}

}  // namespace cpx::kernels
