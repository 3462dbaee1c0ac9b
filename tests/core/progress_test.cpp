// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/progress.h"

#include <gtest/gtest.h>

namespace cpx {
namespace progress_test {

constexpr ProgressState kHalf{
    .title = "train", .total = 60, .done = 30, .elapsed_s = 62.0, .detail = "loss 1.5"};

TEST(FormatDuration, IsInMinutesOrHours) {
  EXPECT_EQ(format_duration(0.4), "0:00");
  EXPECT_EQ(format_duration(62.0), "1:02");
  EXPECT_EQ(format_duration(3723.0), "1:02:03");
}

TEST(ProgressLine, TellsWhatIsLeftByTheRateSoFar) {
  EXPECT_EQ(progress_line(kHalf), "train 30/60  loss 1.5  ETA 1:02");
}

// 20 steps were there before: 10 took 62 s, so 30 take 186 s.
TEST(ProgressLine, WhatWasDoneBeforeDoesNotCountInTheRate) {
  auto state = kHalf;
  state.done_before = 20;
  EXPECT_EQ(progress_line(state), "train 30/60  loss 1.5  ETA 3:06");
}

TEST(ProgressLine, WithoutATotalThereIsNothingLeftToTell) {
  EXPECT_EQ(progress_line({.title = "read", .done = 7, .elapsed_s = 1.0}), "read 7");
}

TEST(ProgressBar, IsFilledByTheShareThatIsDone) {
  EXPECT_EQ(progress_bar(kHalf, 200), "train [##########----------] 30/60  loss 1.5  ETA 1:02");
  auto state = kHalf;
  state.done = 60;
  EXPECT_EQ(progress_bar(state, 200), "train [####################] 60/60  loss 1.5");
}

TEST(ProgressBar, DoesNotWrap) { EXPECT_EQ(progress_bar(kHalf, 12), "train [#####"); }

}  // namespace progress_test
}  // namespace cpx
