// SPDX-License-Identifier: Apache-2.0
// How PEFT calls the tensors of an adapter file.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cpx::formats {

/// Opens messages about adapters.
inline constexpr std::string_view kPeftWhere = "peft";
inline constexpr std::string_view kExpectedAdapter = "a PEFT folder";

/// PEFT's names are the model's own with this in front.
inline constexpr std::string_view kPeftPrefix = "base_model.model.";
inline constexpr std::string_view kFactorASuffix = ".lora_A.weight";
inline constexpr std::string_view kFactorBSuffix = ".lora_B.weight";

inline bool is_factor_a(std::string_view name) { return name.ends_with(kFactorASuffix); }
inline bool is_factor_b(std::string_view name) { return name.ends_with(kFactorBSuffix); }

/// "model.layers.0.self_attn.q_proj" for the name of one of its factors.
inline std::string module_of_factor(std::string_view name) {
  return std::string(name.substr(0, name.size() - kFactorASuffix.size()));
}

/// The modules of an adapter's file by the model's own names, in the file's order.
std::vector<std::string> peft_modules(const std::filesystem::path& folder);

}  // namespace cpx::formats
