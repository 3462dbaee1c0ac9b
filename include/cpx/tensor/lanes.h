// SPDX-License-Identifier: Apache-2.0
// Runs tasks on several threads that meet only once, at the end. The threads of LibTorch's own
// parallel operators meet at every operator, so if another program takes a core away, each meeting
// waits for the thread that lost it. A lane is a thread that takes one task after the other and
// waits for no other thread.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include <torch/types.h>

namespace cpx::tensor {

/// How `threads` threads share `count` tasks of about equal size: `num_lanes` lanes at a time, each
/// with `threads_per_lane` threads for the operators of its tasks.
struct LanePlan {
  int64_t num_lanes = 1;
  int threads_per_lane = 1;
};

/// The plan with the most lanes, unless another one ends clearly earlier.
LanePlan plan_lanes(int64_t count, int threads);

/// Calls task(i) once for each i of [0, count). Idle lanes take the next task. The calling thread
/// is one of the lanes, and the threads of LibTorch's operators are divided among them
/// (plan_lanes). Returns when all tasks have ended, without waiting for lanes that never started
/// one. A task sees the gradient mode of the caller. Calls from within a task, and from a second
/// thread at the same time, run in the calling thread. If tasks throw, the exception of the first
/// of them by number is rethrown; tasks with higher numbers may not have run.
void run_in_lanes(int64_t count, const std::function<void(int64_t)>& task);

/// True within a task of run_in_lanes(), in any thread.
bool is_in_lane();

/// Number of pieces of about equal size, one task each, into which `count` rows are cut: each piece
/// has at least `fewest_rows` rows, and at most `most_rows` if that leaves four pieces or more. It
/// does not depend on the number of threads, so the number of threads changes no sum.
int64_t num_pieces(int64_t count, int64_t fewest_rows, int64_t most_rows);

/// Sums the results of tasks in the order of their numbers, in whatever order the tasks end. An
/// undefined tensor counts as 0.
class OrderedSum {
 public:
  explicit OrderedSum(int64_t num_tasks) : waiting_(static_cast<size_t>(num_tasks)) {}

  /// Adds the tensors of a task, which this object may overwrite; the lists of all tasks have the
  /// same length, at least 1.
  void add(int64_t task, std::vector<torch::Tensor> tensors);
  /// The sums; call it after all tasks were added.
  std::vector<torch::Tensor> take() { return std::move(sum_); }

 private:
  void add_next(std::vector<torch::Tensor> tensors);

  std::mutex mutex_;
  std::vector<std::vector<torch::Tensor>> waiting_;
  size_t next_ = 0;
  std::vector<torch::Tensor> sum_;
};

}  // namespace cpx::tensor
