// SPDX-License-Identifier: Apache-2.0
#include "cpx/tensor/profile.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <string>
#include <unistd.h>

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/tensor/lanes.h"
#include "tests/support/errors.h"
#include "tests/support/tensors.h"

namespace cpx::tensor {
namespace profile_test {

using testing::HasSubstr;

class ProfilerTest : public testing::Test {
 protected:
  ~ProfilerTest() override { std::filesystem::remove(trace_); }

  const std::filesystem::path trace_ =
      std::filesystem::temp_directory_path() / fmt::format("cpx_profile_{}.json", getpid());
};

void outer_with_inner(int64_t products_in_inner) {
  RECORD_USER_SCOPE("cpx::outer");
  const auto x = at::ones({64, 64});
  at::mm(x, x);
  {
    RECORD_USER_SCOPE("cpx::inner");
    for (int64_t i = 0; i < products_in_inner; ++i) at::mm(x, x);
  }
}

TEST_F(ProfilerTest, TimeAndProductsBelongToTheInnermostPart) {
  Profiler profiler;
  profiler.start();
  outer_with_inner(3);
  at::mm(at::ones({8, 8}), at::ones({8, 8}));  // in no part
  profiler.stop(trace_);

  const auto& parts = profiler.parts();
  ASSERT_TRUE(parts.contains("outer") && parts.contains("inner") && parts.contains("other"));
  constexpr double kFlops = 2.0 * 64 * 64 * 64;
  EXPECT_EQ(parts.at("outer").product_flops, kFlops);
  EXPECT_EQ(parts.at("inner").product_flops, 3 * kFlops);
  EXPECT_EQ(parts.at("other").product_flops, 2.0 * 8 * 8 * 8);
  EXPECT_EQ(parts.at("outer").num_calls, 1);
  for (const auto& [name, part] : parts) {
    EXPECT_GT(part.seconds, 0.0) << name;
    EXPECT_LE(part.product_seconds, part.seconds) << name;
  }
}

// What lanes do at once takes as long as the longest of them, not as long as all together.
TEST_F(ProfilerTest, PartsOfSeveralThreadsAddUpToTheTimeThatPassed) {
  const auto matrix = at::ones({256, 256});
  const testing_support::NumThreads threads(2);
  Profiler profiler;
  const auto start = std::chrono::steady_clock::now();
  profiler.start();
  run_in_lanes(4, [&](int64_t task) {
    RECORD_USER_SCOPE("cpx::task");
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(20 + task);
    while (std::chrono::steady_clock::now() < end) at::mm(matrix, matrix);
  });
  profiler.stop(trace_);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;

  const ProfilePart& part = profiler.parts().at("task");
  EXPECT_EQ(part.num_calls, 4);
  EXPECT_GE(part.seconds, 0.04);  // two lanes of two tasks each, both at work all the time
  double sum = 0.0;
  for (const auto& [name, one] : profiler.parts()) sum += one.seconds;
  EXPECT_LE(sum, elapsed.count());
}

TEST_F(ProfilerTest, RecordingsAddUpAndTheTableIsOfOne) {
  Profiler profiler;
  for (int i = 0; i < 2; ++i) {
    profiler.start();
    outer_with_inner(1);
    profiler.stop(trace_);
    outer_with_inner(1);  // between the recordings
  }
  EXPECT_EQ(profiler.num_recordings(), 2);
  EXPECT_EQ(profiler.parts().at("inner").num_calls, 2);
  const std::string table = profiler.table(5e9);
  EXPECT_THAT(table, HasSubstr("\ninner                              1 "));
  EXPECT_THAT(table, HasSubstr("peak, [480, 4096] x [4096, 4096]: 5 GFLOP/s\n"));
  EXPECT_THAT(profiler.table(0.0), Not(HasSubstr("peak")));
}

TEST_F(ProfilerTest, TheTraceIsJsonWithTheScopes) {
  Profiler profiler;
  profiler.start();
  outer_with_inner(1);
  profiler.stop(trace_);
  std::ifstream file(trace_);
  const auto trace = nlohmann::json::parse(file);
  bool has_outer = false;
  for (const auto& event : trace.at("traceEvents")) {
    has_outer = has_outer || event.value("name", "") == "cpx::outer";
  }
  EXPECT_TRUE(has_outer);
}

TEST_F(ProfilerTest, ATraceThatCannotBeWrittenIsADataError) {
  Profiler profiler;
  profiler.start();
  EXPECT_EQ(testing_support::message_of<DataError>([&] { profiler.stop("/proc/no/trace.json"); }),
            "[write] /proc/no/trace.json: cannot be written: No such file or directory (unknown "
            "free space). What was there before is untouched; free space or choose another "
            "folder.");
}

}  // namespace profile_test
}  // namespace cpx::tensor
