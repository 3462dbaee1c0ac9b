// SPDX-License-Identifier: Apache-2.0
// Memory figures of this process and of its device.
#pragma once

#include <cstdint>

#include <torch/types.h>

namespace cpx::tensor {

/// Bytes of this process that are in memory now, mapped files included (VmRSS).
int64_t resident_bytes();

/// The most bytes of this process that were in memory at once (VmHWM); on a GPU the most bytes
/// that LibTorch's allocator had given out there.
int64_t peak_memory_bytes(const torch::Device& device);

/// Bytes of main memory that could be taken without swapping (MemAvailable, and the control
/// group's limit where there is one); on a GPU its free memory.
int64_t available_memory_bytes(const torch::Device& device);

}  // namespace cpx::tensor
