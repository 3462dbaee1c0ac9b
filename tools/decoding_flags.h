// SPDX-License-Identifier: Apache-2.0
// Flags of the tools that let a model write.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "cpx/core/faults.h"
#include "cpx/recipes/decoding.h"

namespace cpx::tools {

/// Adds --model, --adapter, --chat-template, how texts are drawn, --seed, --batch, --weights and
/// --dtype; defaults are what `decoding` holds.
void add_decoding_flags(CLI::App& app, recipes::Decoding& decoding);

/// Appends what is wrong with them, and warns of those without effect; `form_flag` is the flag of
/// `prompt_form`.
void check_decoding_flags(const CLI::App& app, const recipes::Decoding& decoding,
                          const std::string& form_flag, Faults& faults);

}  // namespace cpx::tools
