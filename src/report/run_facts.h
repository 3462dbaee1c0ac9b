// SPDX-License-Identifier: Apache-2.0
// The facts of a run for a model card.
#pragma once

#include <optional>
#include <vector>

#include "cpx/report/run_record.h"

namespace cpx::report {

/// The facts that a run's folder tells: from its settings, its metrics and the adapter in it.
std::vector<NamedText> facts_of(const RunRecord& run);

/// The last value of a series, or nothing without one.
std::optional<double> last_value(const MetricSeries* series);
/// The seconds that the steps took: tokens over tokens per second, summed; 0 if not known.
double training_seconds(const RunRecord& run);

}  // namespace cpx::report
