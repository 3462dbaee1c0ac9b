// SPDX-License-Identifier: Apache-2.0
#include "cpx/tensor/matmul_peak.h"

#include <algorithm>
#include <chrono>

#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

namespace cpx::tensor {

namespace {

// A product [rows, size] x [size, size].
struct ProductSize {
  int64_t rows;
  int64_t size;
};

constexpr ProductSize kPeakSize = {480, 4096};
// Tells in a tenth of a second that a type has no fast product; the large one would take minutes.
constexpr ProductSize kProbeSize = {16, 1024};
constexpr double kHopelessSpeed = 0.5;
constexpr double kHopelessFlops = 3e9;  // the large product would take five seconds
constexpr double kWorthwhileSpeedUp = 1.3;

double measure(const torch::Device& device, torch::Dtype dtype, const ProductSize& size,
               int num_runs) {
  const torch::NoGradGuard no_grad;
  const auto options = torch::TensorOptions().device(device).dtype(dtype);
  const auto left = at::ones({size.rows, size.size}, options);
  const auto right = at::ones({size.size, size.size}, options);
  auto product = at::mm(left, right);
  double best = 0.0;
  for (int run = 0; run < num_runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    at::mm_out(product, left, right);
    product.select(0, 0).select(0, 0).item<float>();  // waits for a GPU
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const double flops = 2.0 * static_cast<double>(size.rows * size.size * size.size);
    best = std::max(best, flops / elapsed.count());
  }
  return best;
}

// How many times as fast as float32.
double bfloat16_speed(const torch::Device& device, const ProductSize& size) {
  return measure(device, torch::kBFloat16, size, 2) / measure(device, torch::kFloat32, size, 2);
}

}  // namespace

double measure_matmul_flops(const torch::Device& device, torch::Dtype dtype, int num_runs) {
  const double probed = measure(device, dtype, kProbeSize, 1);
  return probed < kHopelessFlops ? probed : measure(device, dtype, kPeakSize, num_runs);
}

torch::Dtype choose_compute_dtype(const torch::Device& device) {
  if (device.is_cuda()) return torch::kBFloat16;
  if (bfloat16_speed(device, kProbeSize) < kHopelessSpeed) return torch::kFloat32;
  return bfloat16_speed(device, kPeakSize) >= kWorthwhileSpeedUp ? torch::kBFloat16
                                                                 : torch::kFloat32;
}

}  // namespace cpx::tensor
