// SPDX-License-Identifier: Apache-2.0
// The bodies of the CUDA kernels on the CPU: the threads of a block take their turns one after the
// other, and their values are merged in the GPU's order (src/kernels/cuda/plugin.cu).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "src/kernels/cuda/row_table.h"

namespace cpx::testing_support {

constexpr int64_t kWarp = 32;
constexpr int64_t kMaxThreads = 512;

/// The threads of a block. Whatever depends on the order of their turns between two waits is a
/// race.
class HostGroup {
 public:
  HostGroup(int64_t num_threads, bool last_thread_first)
      : num_threads_(num_threads), last_thread_first_(last_thread_first) {}

  template <class Function>
  void for_each(int64_t count, const Function& function) const {
    for (int64_t turn = 0; turn < num_threads_; ++turn) {
      for (int64_t i = thread_of(turn); i < count; i += num_threads_) function(i);
    }
  }

  template <class Value, class Add, class Merge>
  Value reduce(int64_t count, Value none, const Add& add, const Merge& merge) const {
    std::vector<Value> values(static_cast<size_t>(num_threads_), none);
    for (int64_t turn = 0; turn < num_threads_; ++turn) {
      Value& value = values[static_cast<size_t>(thread_of(turn))];
      for (int64_t i = thread_of(turn); i < count; i += num_threads_) add(value, i);
    }
    for (size_t offset = kWarp / 2; offset > 0; offset /= 2) {
      const std::vector<Value> before = values;
      for (size_t i = 0; i < values.size(); ++i) values[i] = merge(before[i], before[i ^ offset]);
    }
    Value value = values[0];
    for (size_t i = kWarp; i < values.size(); i += kWarp) value = merge(value, values[i]);
    return value;
  }

  bool is_first() const { return true; }

 private:
  int64_t thread_of(int64_t turn) const {
    return last_thread_first_ ? num_threads_ - 1 - turn : turn;
  }

  int64_t num_threads_;
  bool last_thread_first_;
};

/// Runs bodies with groups as large as the GPU's, or of `max_threads`.
struct HostLauncher {
  static inline thread_local int64_t max_threads = kMaxThreads;
  static inline thread_local bool last_thread_first = false;

  template <class Body>
  static const char* run(const Body& body, int64_t num_rows, int64_t num_items, void* /*stream*/) {
    const int64_t whole_warps = (num_items + kWarp - 1) / kWarp * kWarp;
    const HostGroup group(std::clamp(whole_warps, kWarp, max_threads), last_thread_first);
    for (int64_t row = 0; row < num_rows; ++row) body(group, row);
    return nullptr;
  }
};

/// RowKernels for the CPU's memory.
inline constexpr const kernels::RowKernels& kHostKernels =
    kernels::RowTable<HostLauncher>::kKernels;

}  // namespace cpx::testing_support
