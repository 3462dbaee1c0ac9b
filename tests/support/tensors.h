// SPDX-License-Identifier: Apache-2.0
// When two tensors count as equal (one tolerance a type, relative to a tensor's largest value), and
// with how many threads they are computed.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/tensor/device.h"

namespace cpx::testing_support {

/// The tolerance of computations in `dtype`: max|a - b| <= tolerance * max|b|.
inline double tolerance(torch::Dtype dtype) {
  switch (dtype) {
    case torch::kFloat64:
      return 1e-10;
    case torch::kFloat32:
      return 1e-5;
    case torch::kFloat16:
      return 1e-2;
    default:
      return 4e-2;  // bfloat16
  }
}

/// Success when `actual` has the shape of `expected` and is equal to it within the tolerance of
/// computations in `dtype`.
inline testing::AssertionResult is_close(const torch::Tensor& actual, const torch::Tensor& expected,
                                         torch::Dtype dtype) {
  if (!actual.defined() || !expected.defined()) {
    return testing::AssertionFailure() << "a tensor is undefined";
  }
  if (actual.sizes() != expected.sizes()) {
    return testing::AssertionFailure() << "got shape " << tensor::shape_text(actual.sizes())
                                       << ", expected " << tensor::shape_text(expected.sizes());
  }
  if (actual.numel() == 0) return testing::AssertionSuccess();
  const auto wide = expected.detach().to(torch::kFloat64);
  const double largest = wide.abs().max().item<double>();
  const double error = (actual.detach().to(torch::kFloat64) - wide).abs().max().item<double>();
  if (error <= tolerance(dtype) * largest) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << fmt::format("max|a - b| is {:.3e}, expected at most {:.0e} * {:.3e}", error,
                        tolerance(dtype), largest);
}

/// The same within the tolerance of actual's own type.
inline testing::AssertionResult is_close(const torch::Tensor& actual,
                                         const torch::Tensor& expected) {
  return is_close(actual, expected, actual.defined() ? actual.scalar_type() : torch::kFloat64);
}

/// While it lives, LibTorch computes with `count` threads; then with as many as before.
class NumThreads {
 public:
  explicit NumThreads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~NumThreads() { at::set_num_threads(before_); }
  NumThreads(const NumThreads&) = delete;
  NumThreads& operator=(const NumThreads&) = delete;

 private:
  int before_;
};

}  // namespace cpx::testing_support
