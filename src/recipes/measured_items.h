// SPDX-License-Identifier: Apache-2.0
// What the tools that measure perplexity write: items as lines of JSON, and reports.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>

#include "cpx/data/safety_items.h"
#include "cpx/evaluation/score_texts.h"
#include "side_texts.h"

namespace cpx::recipes {

/// A text of cpx-eval-ppl and its score: adapter, side, group, where, text, tokens, mean_nll and
/// perplexity; the last two are null for a text without a predicted token, or if they are not
/// finite.
std::string item_line(const std::optional<std::filesystem::path>& adapter, const SideText& text,
                      const objectives::ScoredText& score);

/// An item of cpx-eval-safety with its perplexity, in the form that it reads.
std::string item_line(const data::SafetyText& item);

/// exp of a text's mean NLL, at most the largest double; nullopt without a predicted token, and if
/// it is NaN.
std::optional<double> perplexity_of(const evaluation::TextScore& score);

/// Writes `text` to `path`, which may be standard output.
void write_report(const std::filesystem::path& path, const std::string& text);

/// True if one of the outputs is standard output, which then carries no table.
bool fills_standard_output(std::initializer_list<std::optional<std::filesystem::path>> outputs);

}  // namespace cpx::recipes
