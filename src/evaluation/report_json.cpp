// SPDX-License-Identifier: Apache-2.0
#include "report_json.h"

#include "cpx/core/version.h"

namespace cpx::evaluation {

using nlohmann::ordered_json;

ordered_json setting_json(const SettingValue& value) {
  return std::visit(
      [](const auto& held) -> ordered_json {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) {
          return nullptr;
        } else {
          return held;
        }
      },
      value);
}

ordered_json report_head(std::string_view kind, const std::optional<std::string>& model,
                         const std::optional<std::string>& adapter, const ReportOrigin& origin) {
  ordered_json head;
  head["kind"] = kind;
  head["version"] = version();
  head["model"] = model ? ordered_json(*model) : ordered_json(nullptr);
  if (!origin.model_fingerprint.empty()) head["model_fingerprint"] = origin.model_fingerprint;
  head["adapter"] = adapter ? ordered_json(*adapter) : ordered_json(nullptr);
  if (!origin.adapter_fingerprint.empty()) head["adapter_fingerprint"] = origin.adapter_fingerprint;
  head["settings"] = ordered_json::object();
  for (const ReportSetting& setting : origin.settings) {
    head["settings"][setting.name] = setting_json(setting.value);
  }
  return head;
}

ordered_json number_json(const std::optional<double>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json interval_json(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  return {{"low", interval->low}, {"high", interval->high}};
}

std::string print_json(const ordered_json& json) {
  return json.dump(2, ' ', /*ensure_ascii=*/false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace cpx::evaluation
