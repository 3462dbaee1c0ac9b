// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/windows.h"

#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace cpx::evaluation {
namespace {

bool operator==(const Window& a, const Window& b) {
  return a.begin == b.begin && a.end == b.end && a.first_target == b.first_target;
}

void expect_windows(const std::vector<Window>& found, const std::vector<Window>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(found[i] == expected[i]) << "window " << i << ": " << found[i].begin << " "
                                         << found[i].end << " " << found[i].first_target;
  }
}

// Ten tokens, window 6, stride 2: 0-5 predicts 1-5, 2-7 predicts 6 and 7, 4-9 predicts 8 and 9.
TEST(PlanWindows, IsTheGuidesLoopWorkedOutByHand) {
  expect_windows(plan_windows(10, 6, 2), {{0, 6, 1}, {2, 8, 6}, {4, 10, 8}});
  // Nine tokens: the last window predicts one token only.
  expect_windows(plan_windows(9, 6, 2), {{0, 6, 1}, {2, 8, 6}, {4, 9, 8}});
}

TEST(PlanWindows, AShortTextIsOneWindow) {
  expect_windows(plan_windows(6, 6, 2), {{0, 6, 1}});
  expect_windows(plan_windows(2, 6, 2), {{0, 2, 1}});
  expect_windows(plan_windows(5, INT64_MAX, INT64_MAX), {{0, 5, 1}});
}

TEST(PlanWindows, NothingIsPredictedInATextOfOneToken) {
  expect_windows(plan_windows(1, 6, 2), {});
  expect_windows(plan_windows(0, 6, 2), {});
}

// Windows side by side would leave the first token of each without a prediction.
TEST(PlanWindows, AStrideOfTheWholeWindowLosesNoToken) {
  expect_windows(plan_windows(7, 3, 3), {{0, 3, 1}, {2, 5, 3}, {4, 7, 5}});
}

TEST(PlanWindows, EachTokenIsPredictedOnceFromEnoughContext) {
  for (int64_t num_tokens = 2; num_tokens < 40; ++num_tokens) {
    for (int64_t window = 2; window < 12; ++window) {
      for (int64_t stride = 1; stride <= window; ++stride) {
        int64_t next = 1;
        for (const Window& piece : plan_windows(num_tokens, window, stride)) {
          EXPECT_EQ(piece.first_target, next);
          EXPECT_LE(piece.end - piece.begin, window);
          EXPECT_GT(piece.end, piece.first_target);
          if (piece.begin > 0) {
            EXPECT_GE(piece.first_target - piece.begin, std::max<int64_t>(window - stride, 1));
          }
          next = piece.end;
        }
        EXPECT_EQ(next, num_tokens);
      }
    }
  }
}

std::string message_of(int64_t window, int64_t stride) {
  try {
    plan_windows(10, window, stride);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(PlanWindows, WrongSizesAreErrors) {
  EXPECT_EQ(message_of(1, 1), "[plan_windows] window: got 1, expected 2 or more tokens.");
  EXPECT_EQ(message_of(4, 5), "[plan_windows] stride: got 5, expected 1 to 4 (the window).");
  EXPECT_EQ(message_of(4, 0), "[plan_windows] stride: got 0, expected 1 to 4 (the window).");
}

}  // namespace
}  // namespace cpx::evaluation
