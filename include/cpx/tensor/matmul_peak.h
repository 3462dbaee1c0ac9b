// SPDX-License-Identifier: Apache-2.0
// Measures the speed of matrix products, the yardstick of model FLOPs utilisation (MFU).
#pragma once

#include <torch/types.h>

namespace cpx::tensor {

/// FLOP/s of at::mm on [480, 4096] x [4096, 4096] in `dtype`: the best of `num_runs` after a
/// warm-up, with the current number of threads. Takes a fraction of a second. If the type has no
/// fast product on this device (below 3 GFLOP/s), a smaller product is measured.
double measure_matmul_flops(const torch::Device& device, torch::Dtype dtype, int num_runs = 5);

/// The compute type for "auto": bfloat16 on a GPU that supports it, and on a CPU where its matrix
/// product is measured to be at least 1.3 times as fast as that of float32; otherwise float32.
/// Takes a fraction of a second, even where bfloat16 is a hundred times slower.
torch::Dtype choose_compute_dtype(const torch::Device& device);

}  // namespace cpx::tensor
