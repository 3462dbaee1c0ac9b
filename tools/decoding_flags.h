// SPDX-License-Identifier: Apache-2.0
// Flags of the tools that let a model write.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cpx/recipes/decoding.h"

namespace cpx::tools {

/// Adds --model, --adapter, --chat-template, how texts are drawn, --seed, --batch, --weights and
/// --dtype; defaults are what `decoding` holds.
void add_decoding_flags(CLI::App& app, recipes::Decoding& decoding);

/// Appends what is wrong with them, and warns of those without effect; `form_flag` is the flag of
/// `prompt_form`.
void check_decoding_flags(const CLI::App& app, const recipes::Decoding& decoding,
                          const std::string& form_flag, std::vector<std::string>& faults);

/// Appends a fault where `value` is below 1.
void check_at_least_one(const std::string& flag, int64_t value, std::vector<std::string>& faults);

}  // namespace cpx::tools
