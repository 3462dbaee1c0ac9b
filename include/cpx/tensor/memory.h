// SPDX-License-Identifier: Apache-2.0
// Memory figures of this process and of its device.
#pragma once

#include <cstdint>

#include <torch/types.h>

namespace cpx::tensor {

/// Bytes of this process in memory now, including mapped files (VmRSS).
int64_t resident_bytes();

/// Maximum number of bytes of this process in memory at once (VmHWM); on a GPU the maximum that
/// LibTorch's allocator had allocated there.
int64_t peak_memory_bytes(const torch::Device& device);

/// Bytes of main memory available without swapping (MemAvailable, limited by the control group if
/// there is one); on a GPU its free memory.
int64_t available_memory_bytes(const torch::Device& device);

}  // namespace cpx::tensor
