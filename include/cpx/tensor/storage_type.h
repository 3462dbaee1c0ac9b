// SPDX-License-Identifier: Apache-2.0
// How the values of a weight are stored in a file: plain types and the block types of GGUF.
#pragma once

#include <cstdint>
#include <string_view>

namespace cpx::tensor {

/// A stored type that cpx reads.
enum class StorageType {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
};

/// The layout of a stored type: blocks of `elements` values in `bytes` bytes (1 element for a plain
/// type).
struct StorageLayout {
  std::string_view name;  // "Q4_1"
  int64_t elements = 1;
  int64_t bytes = 4;
};

/// The layout of `type`.
constexpr StorageLayout storage_layout(StorageType type) {
  switch (type) {
    case StorageType::kF32:
      return {"F32", 1, 4};
    case StorageType::kF16:
      return {"F16", 1, 2};
    case StorageType::kBF16:
      return {"BF16", 1, 2};
    case StorageType::kQ8_0:
      return {"Q8_0", 32, 34};
    case StorageType::kQ4_0:
      return {"Q4_0", 32, 18};
    case StorageType::kQ4_1:
      return {"Q4_1", 32, 20};
    case StorageType::kQ5_0:
      return {"Q5_0", 32, 22};
    case StorageType::kQ5_1:
      return {"Q5_1", 32, 24};
    case StorageType::kQ2_K:
      return {"Q2_K", 256, 84};
    case StorageType::kQ3_K:
      return {"Q3_K", 256, 110};
    case StorageType::kQ4_K:
      return {"Q4_K", 256, 144};
    case StorageType::kQ5_K:
      return {"Q5_K", 256, 176};
    case StorageType::kQ6_K:
      return {"Q6_K", 256, 210};
    case StorageType::kIQ4_NL:
      return {"IQ4_NL", 32, 18};
    case StorageType::kIQ4_XS:
      return {"IQ4_XS", 256, 136};
  }
  return {"unknown", 1, 4};
}

}  // namespace cpx::tensor
