// SPDX-License-Identifier: Apache-2.0
// What the reports as JSON have in common.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "cpx/evaluation/report_origin.h"
#include "cpx/evaluation/statistics.h"

namespace cpx::evaluation {

/// The first keys of every report: `kind`, `version` (of cpx), `model`, `model_fingerprint`,
/// `adapter`, `adapter_fingerprint`, `settings`. Without a model or adapter the path is null, and
/// a fingerprint that is not known is left out.
nlohmann::ordered_json report_head(std::string_view kind, const std::optional<std::string>& model,
                                   const std::optional<std::string>& adapter,
                                   const ReportOrigin& origin);

/// The value of a setting.
nlohmann::ordered_json setting_json(const SettingValue& value);

/// The number, or null.
nlohmann::ordered_json number_json(const std::optional<double>& value);

/// {"low": , "high": }, or null.
nlohmann::ordered_json interval_json(const std::optional<Interval>& interval);

/// The text of a report. Paths may hold any bytes; those that are not UTF-8 are replaced.
std::string print_json(const nlohmann::ordered_json& json);

}  // namespace cpx::evaluation
