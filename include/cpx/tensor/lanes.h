// SPDX-License-Identifier: Apache-2.0
// Tasks on several threads that meet once, at the end. LibTorch's own parallel operators let their
// threads meet at every operator: where another program takes a core away, each meeting waits for
// the thread that lost it. A lane is a thread that takes task after task instead, and waits for
// nobody.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include <torch/types.h>

namespace cpx::tensor {

/// How `threads` threads share `count` tasks of about equal size: so many lanes at a time, each of
/// `threads_per_lane` threads, which the operators of its tasks use.
struct LanePlan {
  int64_t num_lanes = 1;
  int threads_per_lane = 1;
};

/// The plan with the most lanes, which meet least, unless another ends clearly earlier.
LanePlan plan_lanes(int64_t count, int threads);

/// Calls task(i) once for each i of [0, count). Idle lanes take the next task; the calling thread
/// is a lane, with the threads of LibTorch's operators shared among them (plan_lanes). Returns when
/// all tasks have ended; a lane that has not begun one is not waited for. A task sees the gradient
/// mode of the caller. Calls from within a task, and from a second thread at the same time, run in
/// place. Rethrows the exception of the first task, in their order, that threw; the tasks after it
/// may not have been called.
void run_in_lanes(int64_t count, const std::function<void(int64_t)>& task);

/// True within a task of run_in_lanes(), wherever it runs.
bool is_in_lane();

/// Into how many pieces of about equal size, and so tasks, `count` rows are cut: at least
/// `fewest_rows` a piece, and at most `most_rows` where that leaves four pieces or more. Not a
/// function of the number of threads, so that this changes no sum.
int64_t num_pieces(int64_t count, int64_t fewest_rows, int64_t most_rows);

/// Adds up what tasks compute in the order of their numbers, in whatever order they end. An
/// undefined tensor counts as 0.
class OrderedSum {
 public:
  explicit OrderedSum(int64_t num_tasks) : waiting_(static_cast<size_t>(num_tasks)) {}

  /// Takes the tensors of a task, which may be written to; each task's list is of one length, not
  /// empty.
  void add(int64_t task, std::vector<torch::Tensor> tensors);
  /// The sums, once all tasks have been added.
  std::vector<torch::Tensor> take() { return std::move(sum_); }

 private:
  void add_next(std::vector<torch::Tensor> tensors);

  std::mutex mutex_;
  std::vector<std::vector<torch::Tensor>> waiting_;
  size_t next_ = 0;
  std::vector<torch::Tensor> sum_;
};

}  // namespace cpx::tensor
