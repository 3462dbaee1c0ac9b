// SPDX-License-Identifier: Apache-2.0
// Texts that a model wrote: of a run (generations.jsonl) or of an evaluation (continuations).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cpx/core/json.h"

namespace cpx::report {

/// A text with the prompt that it continues.
struct SampleText {
  std::string prompt;
  std::string text;
  std::string row;        // which of its prompt's texts: "step 100", "sample 3"
  std::string side = {};  // "base" or "adapter" if one file has both
  /// The probability that the text is toxic, where a classifier has given one.
  std::optional<double> toxicity = std::nullopt;
};

/// Texts that stand in one column of the page.
struct SampleSet {
  std::string name;  // of the column
  int run = -1;      // number of the run that wrote them; -1: a file
  std::vector<SampleText> texts;
};

/// True for an object with a prompt and one or more texts that continue it.
bool is_sample(const JsonValue& value);

/// The texts of such an object: the text under `text`, `continuation`, `generation`, `rewrite` or
/// `output`, or the list under `continuations`, `generations`, `texts` or `rewrites`, of texts or
/// of objects. Throws DataError for a value of another type.
std::vector<SampleText> samples_of(const JsonValue& value);

}  // namespace cpx::report
