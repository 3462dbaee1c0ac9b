// SPDX-License-Identifier: Apache-2.0
// Which reports stand side by side, and what their columns are called.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cpx/report/page.h"

namespace cpx::report {

/// Reports of one kind that measure the same of several models.
struct EvaluationGroup {
  std::vector<const EvaluationRecord*> reports = {};  // those of a base first
  std::vector<std::string> names = {};                // "base", "A final"
  std::vector<int> runs = {};  // numbers of the runs that made them; -1: none
};

/// Groups the reports: equal in kind and in all settings but those of model, adapter and machine.
/// Reports without settings must agree in the numbers of their texts and tokens.
std::vector<EvaluationGroup> comparable_groups(const PageContent& content);

}  // namespace cpx::report
