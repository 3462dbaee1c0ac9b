// SPDX-License-Identifier: Apache-2.0
// The course of the learning rate, as transformers' get_*_schedule_with_warmup and get_wsd_schedule
// (5.23, optimization.py): a pure function, so that any step can be reached at once.
#pragma once

#include <cstdint>

namespace cpx::training {

/// kConstant: 1. kLinear: falls to 0. kCosine: falls to 0 along half a cosine. kWsd
/// ("warmup-stable-decay"): 1, and in its last part to 0 along half a cosine.
enum class ScheduleKind { kConstant, kLinear, kCosine, kWsd };

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kConstant;
  /// The first ceil(ratio * total) steps rise linearly from 0.
  double warmup_ratio = 0.0;
  /// kWsd only: the last ceil(ratio * total) steps fall.
  double decay_ratio = 0.1;
};

/// Factor on the learning rate in optimizer step `step` of 0 .. total_steps - 1. Throws
/// std::invalid_argument for a negative step or no steps at all; past the end the last value stays.
double schedule_factor(const ScheduleOptions& options, int64_t step, int64_t total_steps);

}  // namespace cpx::training
