// SPDX-License-Identifier: Apache-2.0
// The texts that cpx-eval-ppl measures: read, and chosen from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cpx/objectives/perplexity_summary.h"
#include "cpx/recipes/eval_ppl.h"

namespace cpx::recipes {

/// A text of one side.
struct SideText {
  objectives::Side side = objectives::Side::kNeutral;
  std::string group = {};
  std::string text = {};
  std::string where = {};  // its place, for messages
  int64_t record = -1;     // its number among the records of all shards; -1: of a file of texts
};

/// Reads the command's texts and chooses as it says: repeated ones once, some of each record, some
/// of each side. The order stays that of the files. Throws DataError for a fault of a file, and if
/// there is no text.
std::vector<SideText> chosen_texts(const EvalPplCommand& command);

/// How many texts of `side` differ from each other, none where each does.
std::optional<int64_t> num_distinct(const std::vector<SideText>& texts, objectives::Side side);

/// Number and hash of the texts with their sides and groups.
std::string texts_fingerprint(const std::vector<SideText>& texts);

}  // namespace cpx::recipes
