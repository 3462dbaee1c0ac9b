// SPDX-License-Identifier: Apache-2.0
// Where the figures of a report come from: what was measured, and with which settings.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace cpx::evaluation {

/// A value under `settings` of a report; std::monostate is null.
using SettingValue =
    std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<std::string>>;

/// A flag of the tool, and the value with which the figures were measured.
struct ReportSetting {
  std::string name = {};
  SettingValue value = {};
};

/// What a report says of itself beside the paths of model and adapter.
struct ReportOrigin {
  std::string model_fingerprint = {};    // empty: there is no model
  std::string adapter_fingerprint = {};  // empty: there is no adapter
  std::vector<ReportSetting> settings = {};
};

}  // namespace cpx::evaluation
