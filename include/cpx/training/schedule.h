// SPDX-License-Identifier: Apache-2.0
// The course of the learning rate, as transformers' get_*_schedule_with_warmup and get_wsd_schedule
// (5.23, optimization.py): a pure function, so that any step can be reached at once.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace cpx::training {

/// kConstant: 1. kLinear: falls to 0. kCosine: falls to min_lr_ratio along half a cosine. kWsd
/// ("warmup-stable-decay"): 1, and in its last part to min_lr_ratio along half a cosine.
/// kPolynomial: falls to min_lr_ratio as (1 - progress)^power.
enum class ScheduleKind { kConstant, kLinear, kCosine, kWsd, kPolynomial };
constexpr std::array<std::string_view, 5> enum_names(ScheduleKind) {
  return {"constant", "linear", "cosine", "wsd", "polynomial"};
}

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kConstant;
  /// The first ceil(ratio * total) steps rise linearly from 0.
  double warmup_ratio = 0.0;
  int64_t warmup_steps = 0;  // above 0 it stands in place of warmup_ratio
  /// kWsd only: the last ceil(ratio * total) steps fall.
  double decay_ratio = 0.1;
  /// The factor that kCosine, kWsd and kPolynomial end at, 0 to 1.
  double min_lr_ratio = 0.0;
  double power = 1.0;  // of kPolynomial, positive

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("name", kind, "Course of the learning rate; wsd: constant, then down");
    visit.field("warmup_ratio", warmup_ratio, "First part of the steps, in which it rises from 0",
                {.at_least = 0, .at_most = 1});
    visit.field("warmup_steps", warmup_steps, "The same as a number of steps; 0: by warmup_ratio",
                {.at_least = 0});
    visit.field("decay_ratio", decay_ratio, "Last part of the steps, in which wsd falls",
                {.at_least = 0, .at_most = 1});
    visit.field("min_lr_ratio", min_lr_ratio,
                "Part of the learning rate that cosine, wsd and polynomial end at",
                {.at_least = 0, .at_most = 1});
    visit.field("power", power, "Exponent of polynomial; 1: a straight line", {.above = 0});
  }
};

/// Factor on the learning rate in optimizer step `step` of 0 .. total_steps - 1. Throws
/// std::invalid_argument for a negative step or no steps at all; past the end the last value stays.
double schedule_factor(const ScheduleOptions& options, int64_t step, int64_t total_steps);

}  // namespace cpx::training
