// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <type_traits>
#include <vector>

#include <ATen/Parallel.h>

#include "cpx/core/error.h"
#include "cpx/quant/gguf_blocks.h"
#include "cpx/tensor/device.h"
#include "rounding.h"

namespace cpx::quant {

using tensor::StorageLayout;
using tensor::StorageType;

namespace {

constexpr int64_t kRunElements = int64_t{1} << 14;  // 64 KiB of float32 stay in the cache

int64_t num_elements(at::IntArrayRef shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    CPX_CHECK(size >= 0 && !__builtin_mul_overflow(count, size, &count),
              "[dequantize] {} is no shape.", tensor::shape_text(shape));
  }
  return count;
}

template <class T>
void dequantize_run(StorageType type, std::span<const std::byte> blocks, std::span<T> out) {
  if constexpr (std::is_same_v<T, float>) {
    dequantize_blocks(type, blocks, out);
  } else {
    std::vector<float> values(out.size());
    dequantize_blocks(type, blocks, values);
    convert(values, out.data());
  }
}

// No tensors inside: the threads do not share the caller's modes.
template <class T>
void dequantize_all(StorageType type, std::span<const std::byte> bytes, int64_t count, T* out) {
  const StorageLayout layout = storage_layout(type);
  const int64_t num_runs = (count + kRunElements - 1) / kRunElements;
  at::parallel_for(0, num_runs, /*grain_size=*/1, [&](int64_t first, int64_t last) {
    for (int64_t index = first; index < last; ++index) {
      const int64_t begin = index * kRunElements;
      const int64_t run_count = std::min(kRunElements, count - begin);
      const auto blocks =
          bytes.subspan(static_cast<size_t>(begin / layout.elements * layout.bytes),
                        static_cast<size_t>(run_count / layout.elements * layout.bytes));
      dequantize_run(type, blocks, std::span(out + begin, static_cast<size_t>(run_count)));
    }
  });
}

}  // namespace

torch::Tensor dequantize(StorageType type, std::span<const std::byte> bytes, at::IntArrayRef shape,
                         torch::Dtype dtype) {
  CPX_CHECK(dtype == torch::kFloat32 || dtype == torch::kBFloat16 || dtype == torch::kFloat16,
            "[dequantize] got {}, expected float32, bfloat16 or float16.",
            tensor::dtype_name(dtype));
  const StorageLayout layout = storage_layout(type);
  const int64_t count = num_elements(shape);
  const int64_t row = shape.empty() ? 1 : shape.back();
  CPX_CHECK(row % layout.elements == 0 &&
                count / layout.elements * layout.bytes == static_cast<int64_t>(bytes.size()),
            "[dequantize] {} bytes of {} for {}, expected rows of whole blocks of {} in {} bytes.",
            bytes.size(), layout.name, tensor::shape_text(shape), layout.elements, layout.bytes);

  torch::Tensor result = torch::empty(shape, dtype);
  if (dtype == torch::kFloat32) {
    dequantize_all(type, bytes, count, result.data_ptr<float>());
  } else if (dtype == torch::kBFloat16) {
    dequantize_all(type, bytes, count, result.data_ptr<c10::BFloat16>());
  } else {
    dequantize_all(type, bytes, count, result.data_ptr<c10::Half>());
  }
  return result;
}

}  // namespace cpx::quant
