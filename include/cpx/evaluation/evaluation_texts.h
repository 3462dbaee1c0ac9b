// SPDX-License-Identifier: Apache-2.0
// The toxic and the neutral texts of an evaluation, from shards or from a file a side.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/objectives/perplexity_summary.h"

namespace cpx::evaluation {

struct EvaluationText {
  objectives::Side side = objectives::Side::kNeutral;
  std::string group = {};  // the record's `group`; empty where there is none
  std::string text = {};
};

/// Texts in the order of the files, and every fault found ("[file: record i] ...").
struct EvaluationTexts {
  std::vector<EvaluationText> texts;
  std::vector<std::string> faults;
};

/// All neutral and toxic texts of the records in the files of `patterns` (see
/// data::expand_globs); the neutral ones of a record come first.
EvaluationTexts read_shard_texts(std::span<const std::string> patterns);

/// The texts of a file a side (see data::read_texts); a side without a file has none.
EvaluationTexts read_side_texts(const std::optional<std::filesystem::path>& toxic,
                                const std::optional<std::filesystem::path>& neutral);

}  // namespace cpx::evaluation
