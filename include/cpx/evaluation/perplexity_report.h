// SPDX-License-Identifier: Apache-2.0
// The report of cpx-eval-ppl, as JSON and as a table for a terminal.
#pragma once

#include <string>

#include "cpx/objectives/perplexity_summary.h"

namespace cpx::evaluation {

/// What was measured, of which model.
struct PerplexityReport {
  std::string model = {};
  std::string adapter = {};   // empty: none
  bool is_published = false;  // made by evaluate_published()
  objectives::PerplexitySummary summary = {};
};

/// One JSON object, indented, with a line break at its end:
/// {"model", "adapter", "sides": {"toxic": {"texts", "tokens", "perplexity",
/// "mean_text_perplexity", "skipped"}, "neutral": {...}}, "ratio", "separation", "p_value",
/// "groups": {name: {"sides", "ratio", "separation", "p_value"}}}. A number that is none is null. A
/// side with NLLs that are no finite numbers also has their count, "non_finite"; a report of the
/// published mode has "mode": "published".
std::string report_json(const PerplexityReport& report);

/// The same for people, with a line a side and a line a group.
std::string report_table(const PerplexityReport& report);

/// Two reports on the same texts: {"baseline": {...}, "compared": {...}, "change_percent":
/// {"toxic", "neutral", "ratio"}}, the change of the perplexities and of their ratio.
std::string comparison_json(const PerplexityReport& baseline, const PerplexityReport& compared);

/// The same for people, side by side with the change in percent. The columns are called by their
/// adapters, "base" where there is none.
std::string comparison_table(const PerplexityReport& baseline, const PerplexityReport& compared);

}  // namespace cpx::evaluation
