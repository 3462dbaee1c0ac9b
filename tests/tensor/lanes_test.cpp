// SPDX-License-Identifier: Apache-2.0
#include "cpx/tensor/lanes.h"

#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <omp.h>
#include <set>
#include <stdexcept>
#include <thread>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::tensor {
namespace lanes_test {

using testing_support::message_of;

// So many threads of LibTorch's operators while it lives.
class ThreadsGuard {
 public:
  explicit ThreadsGuard(int threads) : before_(at::get_num_threads()) {
    at::set_num_threads(threads);
  }
  ~ThreadsGuard() { at::set_num_threads(before_); }

 private:
  int before_;
};

void expect_plan(int64_t count, int threads, int64_t lanes, int threads_per_lane) {
  const LanePlan plan = plan_lanes(count, threads);
  EXPECT_EQ(plan.num_lanes, lanes) << count << " tasks, " << threads << " threads";
  EXPECT_EQ(plan.threads_per_lane, threads_per_lane) << count << " tasks, " << threads;
}

TEST(LanePlan, SharesTheThreadsAmongTheTasks) {
  expect_plan(0, 2, 1, 2);
  expect_plan(1, 2, 1, 2);
  expect_plan(4, 1, 1, 1);
  expect_plan(4, 2, 2, 1);
  expect_plan(4, 4, 4, 1);
  expect_plan(4, 9, 4, 2);
  // 4 tasks on 3 lanes take two rounds; on all threads, one after the other, 4/3 of one.
  expect_plan(4, 3, 1, 3);
  // 16 on 3 lanes take 6 rounds; one after the other 16/3, which is no clear gain.
  expect_plan(16, 3, 3, 1);
}

TEST(RunInLanes, CallsEachTaskOnce) {
  const ThreadsGuard threads(2);
  for (const int64_t count : {0, 1, 2, 3, 100}) {
    std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
    run_in_lanes(count, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
    for (const auto& number : calls) EXPECT_EQ(number, 1);
  }
}

// Each of two tasks waits for the other to begin.
TEST(RunInLanes, LanesWorkAtTheSameTime) {
  const ThreadsGuard threads(2);
  std::promise<void> begun[2];
  std::set<std::thread::id> ids;
  std::mutex mutex;
  run_in_lanes(2, [&](int64_t i) {
    begun[i].set_value();
    EXPECT_EQ(begun[1 - i].get_future().wait_for(std::chrono::seconds(60)),
              std::future_status::ready);
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(ids.size(), 2);
}

// The first lane's task ends only when all others have been called, by the other lane.
TEST(RunInLanes, AnIdleLaneTakesTheNextTask) {
  const ThreadsGuard threads(2);
  std::promise<void> others_called;
  auto all_others = others_called.get_future();
  std::atomic<int> others = 0;
  run_in_lanes(8, [&](int64_t i) {
    if (i == 0) {
      EXPECT_EQ(all_others.wait_for(std::chrono::seconds(60)), std::future_status::ready);
    } else if (++others == 7) {
      others_called.set_value();
    }
  });
  EXPECT_EQ(others, 7);
}

// LibTorch's operators ask by themselves, at a thread's first one.
TEST(RunInLanes, AFirstOperatorLeavesTheThreadsAsTheyAre) {
  const ThreadsGuard threads(2);
  for (int round = 0; round < 2; ++round) {
    run_in_lanes(8, [&](int64_t /*i*/) {
      EXPECT_EQ(omp_get_max_threads(), 1);
      at::parallel_for(0, 1, 1, [](int64_t /*begin*/, int64_t /*end*/) {});
      at::mm(at::ones({100, 100}), at::ones({100, 100}));
      EXPECT_EQ(omp_get_max_threads(), 1);
    });
    EXPECT_EQ(omp_get_max_threads(), 2);
  }
}

TEST(RunInLanes, SharesTheOperatorsThreads) {
  const ThreadsGuard threads(4);
  run_in_lanes(2, [&](int64_t /*i*/) { EXPECT_EQ(at::get_num_threads(), 2); });
  EXPECT_EQ(at::get_num_threads(), 4);
  run_in_lanes(1, [&](int64_t /*i*/) { EXPECT_EQ(at::get_num_threads(), 4); });
}

TEST(RunInLanes, TasksHaveTheCallersGradientMode) {
  const ThreadsGuard threads(2);
  for (const bool is_enabled : {true, false}) {
    const at::AutoGradMode mode(is_enabled);
    run_in_lanes(8, [&](int64_t /*i*/) { EXPECT_EQ(at::GradMode::is_enabled(), is_enabled); });
  }
}

TEST(RunInLanes, ACallWithinATaskRunsInPlace) {
  const ThreadsGuard threads(2);
  std::atomic<int> calls = 0;
  run_in_lanes(2, [&](int64_t /*i*/) {
    const auto caller = std::this_thread::get_id();
    run_in_lanes(3, [&](int64_t /*j*/) {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      ++calls;
    });
  });
  EXPECT_EQ(calls, 6);
}

TEST(RunInLanes, ATaskKnowsThatItIsOne) {
  EXPECT_FALSE(is_in_lane());
  for (const int threads : {1, 2}) {
    const ThreadsGuard guard(threads);
    for (const int64_t count : {1, 4}) {
      run_in_lanes(count, [](int64_t /*i*/) { EXPECT_TRUE(is_in_lane()); });
      EXPECT_FALSE(is_in_lane());
    }
  }
}

TEST(RunInLanes, ASecondCallerRunsInPlace) {
  const ThreadsGuard threads(2);
  std::atomic<int> calls = 0;
  run_in_lanes(2, [&](int64_t i) {
    if (i != 0) return;
    std::thread other([&] {
      at::set_num_threads(2);
      run_in_lanes(4, [&](int64_t /*j*/) { ++calls; });
    });
    other.join();
  });
  EXPECT_EQ(calls, 4);
}

TEST(RunInLanes, ThrowsTheExceptionOfATaskAndGoesOnWorking) {
  const ThreadsGuard threads(2);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(message_of<std::runtime_error>([&] {
                run_in_lanes(8, [](int64_t i) {
                  if (i == 0) throw std::runtime_error("first");
                });
              }),
              "first");
    std::atomic<int> calls = 0;
    run_in_lanes(8, [&](int64_t /*i*/) { ++calls; });
    EXPECT_EQ(calls, 8);
    EXPECT_EQ(at::get_num_threads(), 2);
  }
}

TEST(NumPieces, DependsOnTheRowsAlone) {
  EXPECT_EQ(num_pieces(0, 64, 256), 1);
  EXPECT_EQ(num_pieces(127, 64, 256), 1);
  EXPECT_EQ(num_pieces(128, 64, 256), 2);
  EXPECT_EQ(num_pieces(255, 64, 256), 2);
  EXPECT_EQ(num_pieces(256, 64, 256), 4);
  EXPECT_EQ(num_pieces(1024, 64, 256), 4);
  EXPECT_EQ(num_pieces(1025, 64, 256), 8);
}

// 1e8 + 1 - 1e8 is 0 in float32 and 1 + 1e8 - 1e8 too, 1e8 - 1e8 + 1 is 1.
TEST(OrderedSum, AddsInTheTasksOrder) {
  OrderedSum sum(3);
  const auto list = [](double value) {
    return std::vector<at::Tensor>{at::full({1}, value, at::kFloat)};
  };
  sum.add(2, list(1.0));
  sum.add(0, list(1e8));
  sum.add(1, list(-1e8));
  EXPECT_EQ(sum.take().front().item<float>(), 1.0F);
}

TEST(OrderedSum, AnUndefinedTensorIsZero) {
  OrderedSum sum(3);
  const auto ones = [] { return at::ones({2}); };
  sum.add(0, {at::Tensor(), ones(), at::Tensor()});
  sum.add(1, {ones(), at::Tensor(), at::Tensor()});
  sum.add(2, {ones(), ones(), at::Tensor()});
  const auto sums = sum.take();
  EXPECT_TRUE(at::equal(sums[0], at::full({2}, 2.0)));
  EXPECT_TRUE(at::equal(sums[1], at::full({2}, 2.0)));
  EXPECT_FALSE(sums[2].defined());
}

}  // namespace lanes_test
}  // namespace cpx::tensor
