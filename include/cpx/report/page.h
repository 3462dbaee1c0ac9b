// SPDX-License-Identifier: Apache-2.0
// One HTML page about runs and evaluations: it loads nothing, and without a script it shows all but
// zoom and switches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cpx/report/evaluation_record.h"
#include "cpx/report/run_record.h"
#include "cpx/report/text_samples.h"

namespace cpx::report {

/// What the page shows.
struct PageContent {
  std::string title = {};
  std::vector<RunRecord> runs = {};
  std::vector<EvaluationRecord> evaluations = {};
  std::vector<SampleSet> samples = {};  // beside those of the runs
  std::vector<std::string> notes = {};  // beside those of the runs
  int64_t max_prompts = 24;             // whose texts are shown
};

/// The page. The same content gives the same bytes.
std::string page_html(const PageContent& content);

}  // namespace cpx::report
