// SPDX-License-Identifier: Apache-2.0
// A number of threads for a part of a test.
#pragma once

#include <ATen/Parallel.h>

namespace cpx::testing_support {

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
