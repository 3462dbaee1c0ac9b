// SPDX-License-Identifier: Apache-2.0
#include "input_patterns.h"

#include "cpx/data/globs.h"

namespace cpx::recipes {

void add_inputs(OutputCheck& outputs, const std::string& flag,
                const std::vector<std::string>& patterns) {
  Faults told_later;
  for (const auto& file : data::expand_globs(patterns, told_later)) outputs.reads(flag, file);
}

}  // namespace cpx::recipes
