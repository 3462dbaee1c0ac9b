// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <gmock/gmock.h>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/errors.h"

namespace cpx::training {
namespace schedule_test {

using testing::DoubleNear;
using testing::Pointwise;
using testing_support::message_of;

MATCHER_P(IsNear, tolerance, "") {
  return std::abs(std::get<0>(arg) - std::get<1>(arg)) <= tolerance;
}

std::vector<double> factors(const ScheduleOptions& options, int64_t total_steps) {
  std::vector<double> values;
  for (int64_t step = 0; step < total_steps; ++step) {
    values.push_back(schedule_factor(options, step, total_steps));
  }
  return values;
}

// Ten steps, two of them warm-up: 0/2, 1/2, then the schedule over the eight that are left.
TEST(Schedule, ConstantStaysAtOneAfterWarmup) {
  const std::vector<double> expected = {0, 0.5, 1, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_EQ(factors({.kind = ScheduleKind::kConstant, .warmup_ratio = 0.2}, 10), expected);
}

TEST(Schedule, LinearFallsByAnEighthAStep) {
  const std::vector<double> expected = {0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125};
  EXPECT_EQ(factors({.kind = ScheduleKind::kLinear, .warmup_ratio = 0.2}, 10), expected);
}

// (1 + cos(pi k / 8)) / 2 for k = 0 .. 7; cos(pi/8) = 0.9238795, cos(pi/4) = 0.7071068,
// cos(3 pi/8) = 0.3826834.
TEST(Schedule, CosineFallsAlongHalfACosine) {
  const std::vector<double> expected = {0,         0.5, 1,         0.9619398, 0.8535534,
                                        0.6913417, 0.5, 0.3086583, 0.1464466, 0.0380602};
  EXPECT_THAT(factors({.kind = ScheduleKind::kCosine, .warmup_ratio = 0.2}, 10),
              Pointwise(IsNear(1e-7), expected));
}

// The last four of ten steps fall: (1 + cos(pi k / 4)) / 2 for k = 0 .. 3.
TEST(Schedule, WsdIsConstantThenFallsAlongHalfACosine) {
  const std::vector<double> expected = {0, 0.5, 1, 1, 1, 1, 1, 0.8535534, 0.5, 0.1464466};
  EXPECT_THAT(factors({.kind = ScheduleKind::kWsd, .warmup_ratio = 0.2, .decay_ratio = 0.4}, 10),
              Pointwise(IsNear(1e-7), expected));
}

// ceil(0.005 * 201) = 2 and ceil(0.11 * 10) = 2: a part of a step counts as one.
TEST(Schedule, PartsOfStepsAreRoundedUp) {
  const ScheduleOptions warmup{.warmup_ratio = 0.005};
  EXPECT_EQ(schedule_factor(warmup, 1, 201), 0.5);
  EXPECT_EQ(schedule_factor(warmup, 2, 201), 1.0);
  const ScheduleOptions decay{.kind = ScheduleKind::kWsd, .decay_ratio = 0.11};
  EXPECT_EQ(schedule_factor(decay, 8, 10), 1.0);
  EXPECT_THAT(schedule_factor(decay, 9, 10), DoubleNear(0.5, 1e-12));
}

TEST(Schedule, PastTheEndTheLastValueStays) {
  EXPECT_EQ(schedule_factor({.kind = ScheduleKind::kLinear}, 12, 10), 0.0);
  EXPECT_EQ(schedule_factor({.kind = ScheduleKind::kWsd}, 12, 10), 0.0);
  EXPECT_NEAR(schedule_factor({.kind = ScheduleKind::kCosine}, 12, 10), 0.0, 1e-15);
  EXPECT_EQ(schedule_factor({.kind = ScheduleKind::kConstant}, 12, 10), 1.0);
}

TEST(Schedule, OneStepWithoutWarmupHasTheWholeRate) {
  for (const auto kind : {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine,
                          ScheduleKind::kWsd}) {
    EXPECT_EQ(schedule_factor({.kind = kind}, 0, 1), 1.0);
  }
}

TEST(Schedule, RefusesNoStepsAtAll) {
  EXPECT_EQ(message_of<std::invalid_argument>([&] { schedule_factor({}, 0, 0); }),
            "[schedule] got step 0 of 0, expected 0 or more of 1 or more.");
}

// Equal to transformers: scripts/fixtures/make_schedules.py.
TEST(Schedule, EqualsTransformers) {
  std::ifstream file(CPX_SOURCE_DIR "/tests/fixtures/training/schedules.json");
  const auto cases = nlohmann::json::parse(file);
  ASSERT_EQ(cases.size(), 6);
  const auto names = enum_names(ScheduleKind{});
  for (const auto& one : cases) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const auto& given = one["options"];
    const auto found = std::ranges::find(names, given["name"].get<std::string>());
    ASSERT_NE(found, names.end());
    const ScheduleOptions options{.kind = static_cast<ScheduleKind>(found - names.begin()),
                                  .warmup_steps = given["warmup_steps"],
                                  .decay_ratio = given.value("decay_ratio", 0.1),
                                  .min_lr_ratio = given.value("min_lr_ratio", 0.0),
                                  .power = given.value("power", 1.0)};
    const std::vector<double> expected = one["factors"];
    EXPECT_THAT(factors(options, std::ssize(expected)), Pointwise(IsNear(1e-12), expected));
  }
}

TEST(Schedule, PastTheEndTheFloorStays) {
  for (const auto kind : {ScheduleKind::kCosine, ScheduleKind::kWsd, ScheduleKind::kPolynomial}) {
    EXPECT_NEAR(schedule_factor({.kind = kind, .min_lr_ratio = 0.3}, 12, 10), 0.3, 1e-15);
  }
}

}  // namespace schedule_test
}  // namespace cpx::training
