// SPDX-License-Identifier: Apache-2.0
#include "cpx/tensor/matmul_peak.h"

#include <algorithm>
#include <chrono>

#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

namespace cpx::tensor {

namespace {

constexpr int64_t kRows = 480;
constexpr int64_t kColumns = 4096;
constexpr double kWorthwhileSpeedUp = 1.3;

}  // namespace

double measure_matmul_flops(const torch::Device& device, torch::Dtype dtype, int num_runs) {
  const torch::NoGradGuard no_grad;
  const auto options = torch::TensorOptions().device(device).dtype(dtype);
  const auto left = at::ones({kRows, kColumns}, options);
  const auto right = at::ones({kColumns, kColumns}, options);
  auto product = at::mm(left, right);
  double best = 0.0;
  for (int run = 0; run < num_runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    at::mm_out(product, left, right);
    product.select(0, 0).select(0, 0).item<float>();  // waits for a GPU
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * kRows * kColumns * kColumns / elapsed.count());
  }
  return best;
}

torch::Dtype choose_compute_dtype(const torch::Device& device) {
  if (device.is_cuda()) return torch::kBFloat16;
  const double full = measure_matmul_flops(device, torch::kFloat32, 2);
  const double half = measure_matmul_flops(device, torch::kBFloat16, 2);
  return half >= kWorthwhileSpeedUp * full ? torch::kBFloat16 : torch::kFloat32;
}

}  // namespace cpx::tensor
