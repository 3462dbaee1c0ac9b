// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "cpx/core/error.h"

namespace cpx::training {

namespace {

double half_cosine(double progress) { return 0.5 * (1.0 + std::cos(std::numbers::pi * progress)); }

// `part` of `whole` as a fraction; 0 steps count as one.
double fraction(int64_t part, int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(std::max<int64_t>(1, whole));
}

int64_t steps_of(double ratio, int64_t total_steps) {
  return static_cast<int64_t>(std::ceil(ratio * static_cast<double>(total_steps)));
}

}  // namespace

double schedule_factor(const ScheduleOptions& options, int64_t step, int64_t total_steps) {
  CPX_CHECK(step >= 0 && total_steps > 0,
            "[schedule] got step {} of {}, expected 0 or more of 1 or more.", step, total_steps);
  const int64_t warmup_steps =
      options.warmup_steps > 0 ? options.warmup_steps : steps_of(options.warmup_ratio, total_steps);
  const auto with_floor = [&](double factor) {
    return factor * (1.0 - options.min_lr_ratio) + options.min_lr_ratio;
  };
  if (step < warmup_steps) {
    // transformers' wsd rises from the floor, its other schedules from 0.
    const double risen = fraction(step, warmup_steps);
    return options.kind == ScheduleKind::kWsd ? with_floor(risen) : risen;
  }

  const int64_t after_warmup = std::min(step, total_steps) - warmup_steps;
  switch (options.kind) {
    case ScheduleKind::kConstant:
      return 1.0;
    case ScheduleKind::kLinear:
      return fraction(std::max<int64_t>(0, total_steps - step), total_steps - warmup_steps);
    case ScheduleKind::kCosine:
      return with_floor(half_cosine(fraction(after_warmup, total_steps - warmup_steps)));
    case ScheduleKind::kPolynomial:
      return with_floor(
          std::pow(1.0 - fraction(after_warmup, total_steps - warmup_steps), options.power));
    case ScheduleKind::kWsd: {
      const int64_t decay_steps = steps_of(options.decay_ratio, total_steps);
      const int64_t first_decay = std::max(warmup_steps, total_steps - decay_steps);
      if (step < first_decay) return 1.0;
      if (step >= total_steps) return decay_steps > 0 ? options.min_lr_ratio : 1.0;
      return with_floor(half_cosine(fraction(step - first_decay, total_steps - first_decay)));
    }
  }
  return 1.0;
}

}  // namespace cpx::training
