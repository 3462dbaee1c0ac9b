// SPDX-License-Identifier: Apache-2.0
#include "cpx/tensor/lanes.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <limits>
#include <memory>
#include <omp.h>
#include <thread>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/ThreadLocalState.h>

// MKL, which LibTorch holds, has a number of threads of its own. Weak: another build of LibTorch
// may be without it.
extern "C" int MKL_Set_Num_Threads_Local(int num_threads) __attribute__((weak));

namespace cpx::tensor {

namespace {

thread_local bool g_is_in_lane = false;

// This thread is within a task while it lives.
class InLane {
 public:
  InLane() : before_(std::exchange(g_is_in_lane, true)) {}
  ~InLane() { g_is_in_lane = before_; }
  InLane(const InLane&) = delete;
  InLane& operator=(const InLane&) = delete;

 private:
  bool before_;
};

// The operators of this thread use so many threads while it lives.
class OperatorThreads {
 public:
  explicit OperatorThreads(int threads) : before_(initial_threads()) {
    omp_set_num_threads(threads);
    if (MKL_Set_Num_Threads_Local != nullptr) mkl_before_ = MKL_Set_Num_Threads_Local(threads);
  }
  ~OperatorThreads() {
    omp_set_num_threads(before_);
    if (MKL_Set_Num_Threads_Local != nullptr) MKL_Set_Num_Threads_Local(mkl_before_);
  }
  OperatorThreads(const OperatorThreads&) = delete;
  OperatorThreads& operator=(const OperatorThreads&) = delete;

 private:
  // LibTorch sets a thread's number when a thread first uses it, twice: in its own operators, and
  // in loops that are compiled here. Both have to be over before ours is set.
  static int initial_threads() {
    at::internal::lazy_init_num_threads();
    return at::get_num_threads();
  }

  int before_;
  int mkl_before_ = 0;
};

// One call of run_in_lanes(). A lane that comes late finds no task left, when the call may long be
// over.
class Job {
 public:
  Job(int64_t count, const std::function<void(int64_t)>& task, int threads_per_lane)
      : count_(count), task_(task), threads_per_lane_(threads_per_lane) {}

  // Takes tasks until none is left.
  void work() {
    const OperatorThreads threads(threads_per_lane_);
    const at::ThreadLocalStateGuard state(state_);
    const InLane in_lane;
    int64_t index = 0;
    while ((index = next_.fetch_add(1)) < count_) run(index);
  }

  void wait() {
    std::unique_lock lock(mutex_);
    all_ended_.wait(lock, [this] { return num_ended_ == count_; });
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void run(int64_t index) {
    std::exception_ptr error;
    if (!has_failed_.load()) {
      try {
        task_(index);
      } catch (...) {
        error = std::current_exception();
        has_failed_ = true;
      }
    }
    const std::lock_guard lock(mutex_);
    if (error && index < first_error_) {
      error_ = error;
      first_error_ = index;
    }
    if (++num_ended_ == count_) all_ended_.notify_all();
  }

  const int64_t count_;
  const std::function<void(int64_t)>& task_;  // not touched once all tasks have been taken
  const int threads_per_lane_;
  const at::ThreadLocalState state_;
  std::atomic<int64_t> next_ = 0;
  std::atomic<bool> has_failed_ = false;
  std::mutex mutex_;
  std::condition_variable all_ended_;
  int64_t num_ended_ = 0;
  int64_t first_error_ = std::numeric_limits<int64_t>::max();
  std::exception_ptr error_;
};

// The threads that are lanes beside the calling one; they sleep between jobs.
class Lanes {
 public:
  static Lanes& instance() {
    static Lanes lanes;
    return lanes;
  }

  ~Lanes() {
    {
      const std::lock_guard lock(mutex_);
      is_closing_ = true;
    }
    has_work_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  // False where another job is at work.
  bool run(const std::shared_ptr<Job>& job, int64_t num_helpers) {
    const std::unique_lock one_job(job_mutex_, std::try_to_lock);
    if (!one_job.owns_lock()) return false;
    {
      const std::lock_guard lock(mutex_);
      while (std::ssize(threads_) < num_helpers) threads_.emplace_back([this] { serve(); });
      job_ = job;
      num_wanted_ = num_helpers;
    }
    has_work_.notify_all();
    job->work();
    {
      const std::lock_guard lock(mutex_);
      num_wanted_ = 0;
      job_.reset();
    }
    job->wait();
    return true;
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    while (true) {
      has_work_.wait(lock, [this] { return is_closing_ || num_wanted_ > 0; });
      if (is_closing_) return;
      --num_wanted_;
      const auto job = job_;
      lock.unlock();
      job->work();
      lock.lock();
    }
  }

  std::mutex job_mutex_;
  std::mutex mutex_;
  std::condition_variable has_work_;
  std::vector<std::thread> threads_;
  std::shared_ptr<Job> job_;
  int64_t num_wanted_ = 0;
  bool is_closing_ = false;
};

void run_in_place(int64_t count, const std::function<void(int64_t)>& task) {
  const InLane in_lane;
  for (int64_t i = 0; i < count; ++i) task(i);
}

}  // namespace

LanePlan plan_lanes(int64_t count, int threads) {
  // Operators with several threads lose time where these meet.
  constexpr double kCostOfMeeting = 1.2;
  LanePlan best;
  double best_time = std::numeric_limits<double>::infinity();
  for (int64_t lanes = std::max<int64_t>(1, std::min<int64_t>(count, threads)); lanes >= 1;
       --lanes) {
    const int64_t rounds = (count + lanes - 1) / lanes;
    const auto threads_per_lane = static_cast<int>(threads / lanes);
    const double time = static_cast<double>(rounds) / threads_per_lane;
    if (kCostOfMeeting * time < best_time) {
      best_time = time;
      best = {.num_lanes = lanes, .threads_per_lane = threads_per_lane};
    }
  }
  return best;
}

void run_in_lanes(int64_t count, const std::function<void(int64_t)>& task) {
  const LanePlan plan = plan_lanes(count, at::get_num_threads());
  if (plan.num_lanes == 1 || g_is_in_lane) return run_in_place(count, task);
  const auto job = std::make_shared<Job>(count, task, plan.threads_per_lane);
  if (!Lanes::instance().run(job, plan.num_lanes - 1)) run_in_place(count, task);
}

bool is_in_lane() { return g_is_in_lane; }

int64_t num_pieces(int64_t count, int64_t fewest_rows, int64_t most_rows) {
  constexpr int64_t kUsual = 4;
  const int64_t wanted =
      kUsual * std::max<int64_t>(1, (count + kUsual * most_rows - 1) / (kUsual * most_rows));
  if (count >= wanted * fewest_rows) return wanted;
  return count >= 2 * fewest_rows ? 2 : 1;
}

void OrderedSum::add(int64_t task, std::vector<torch::Tensor> tensors) {
  const std::lock_guard lock(mutex_);
  waiting_[static_cast<size_t>(task)] = std::move(tensors);
  while (next_ < waiting_.size() && !waiting_[next_].empty()) {
    add_next(std::exchange(waiting_[next_++], {}));
  }
}

void OrderedSum::add_next(std::vector<torch::Tensor> tensors) {
  if (sum_.empty()) {
    sum_ = std::move(tensors);
    return;
  }
  for (size_t i = 0; i < sum_.size(); ++i) {
    if (!tensors[i].defined()) continue;
    if (sum_[i].defined()) {
      sum_[i].add_(tensors[i]);
    } else {
      sum_[i] = tensors[i];
    }
  }
}

}  // namespace cpx::tensor
