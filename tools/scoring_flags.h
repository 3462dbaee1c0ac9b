// SPDX-License-Identifier: Apache-2.0
// Flags of the tools that measure perplexity.
#pragma once

#include <string_view>

#include <CLI/CLI.hpp>

#include "cpx/core/faults.h"
#include "cpx/recipes/text_scoring.h"

namespace cpx::tools {

/// Adds --model, --adapter and --compare.
void add_model_flags(CLI::App& app, recipes::TextScoring& scoring);

/// Adds how texts are scored: --append-eos to --dtype.
void add_scoring_flags(CLI::App& app, recipes::TextScoring& scoring);

/// Appends what is wrong with the values of add_scoring_flags().
void check_scoring_flags(const recipes::TextScoring& scoring, Faults& faults);

/// Appends a fault if there is no model.
void check_has_model(const recipes::TextScoring& scoring, Faults& faults);

}  // namespace cpx::tools
