// SPDX-License-Identifier: Apache-2.0
// Texts about target groups, labelled as hate or neutral, in the form of the files of
// github.com/microsoft/SafeNLP: {"text", "label", "toxicity_score", "target_groups"} and, where a
// model has scored them, "perplexity".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cpx/core/faults.h"

namespace cpx::data {

/// One text with what people said of it.
struct SafetyText {
  std::string text = {};
  bool is_hate = false;         // `label` is hate, else neutral
  double toxicity_score = 1.0;  // above 0
  std::vector<std::string> target_groups = {};
  std::optional<double> perplexity = std::nullopt;  // null or NaN in the file: none
  /// Its place in the file for messages: "toxiGen.json: item 3".
  std::string where = {};
};

/// What a job needs of an item.
enum class SafetyNeeds { kText, kPerplexity };

/// The items of a file in order, and every fault found.
struct SafetyContent {
  std::vector<SafetyText> items = {};
  /// "[file: item i] 'key' is ..., expected ...", with a line number for JSONL.
  Faults faults = {};
};

/// Reads a JSON list or JSON lines of items; other keys are ignored. Perplexities may be the NaN
/// and Infinity that Python writes, and Infinity is read as the largest double. With kPerplexity
/// the key `perplexity` must be there, and `text` may be missing. Faults are collected, never
/// thrown; an item with a fault is left out.
SafetyContent read_safety_items(const std::filesystem::path& file, SafetyNeeds needs);

}  // namespace cpx::data
