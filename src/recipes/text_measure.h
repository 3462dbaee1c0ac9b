// SPDX-License-Identifier: Apache-2.0
// Numbers that are measured of texts (a classifier's score, an NLL), in a JSONL file beside the
// texts that grows and is gone on with.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/pipeline/shard_journal.h"

namespace cpx::recipes {

/// A text that was written after a prompt, as it is measured.
struct MeasuredText {
  std::string prompt = {};
  int64_t sample = 0;
  std::string text = {};
  std::string where = {};  // for messages
  std::string input = {};  // the text that the prompt asks to rewrite; empty: none
};

/// The numbers of a text, one for each key of its measure.
using TextNumbers = std::vector<double>;

/// What is measured, and how.
struct TextMeasure {
  std::string title = {};                        // of the progress
  std::vector<std::string> keys = {};            // of the numbers in a line
  std::vector<pipeline::Setting> settings = {};  // what the numbers depend on beside the texts
  /// The numbers of some texts in their order; always called for the same texts together.
  std::function<std::vector<TextNumbers>(std::span<const MeasuredText>)> compute = {};
};

/// The numbers of all texts in their order, nothing when interrupted. With a `file` they stand in
/// it, a line a text: `prompt`, `sample`, `text` and the keys; what is there with the same texts
/// and settings is not computed again, and other settings are an error unless `overwrite`.
std::optional<std::vector<TextNumbers>> measure_texts(
    std::span<const MeasuredText> texts, const TextMeasure& measure,
    const std::optional<std::filesystem::path>& file, bool overwrite);

}  // namespace cpx::recipes
