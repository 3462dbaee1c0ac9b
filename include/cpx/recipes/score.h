// SPDX-License-Identifier: Apache-2.0
// What cpx-score does: a classifier's scores for the texts of a file, and shards without what it
// finds on the wrong side.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cpx::recipes {

/// The command line of cpx-score.
struct ScoreCommand {
  std::filesystem::path model;
  std::vector<std::string> inputs;  // texts a line, or JSON; or patterns
  /// JSONL, or a JSON list where the first input is one; or a folder: a shard a group.
  std::filesystem::path output;
  bool overwrite = false;  // begins anew where other settings were begun with

  std::vector<std::string> keys;  // none: `text`, or a shard's paraphrases
  std::string label = "1";        // name or index
  /// In place of `label`: several labels, by name or index, each written under a key of its own.
  std::vector<std::string> labels;
  bool is_raw = false;  // logits instead of probabilities

  /// Only texts of `paraphrases` with P(label) below this stay.
  std::optional<double> keep_below;
  /// Only texts of `paraphrases_toxic` with P(label) above this stay.
  std::optional<double> keep_above;
  /// A record that keeps fewer texts under a filtered key is left out.
  int64_t min_texts = 1;

  int64_t batch_tokens = 2048;
  std::string device = "auto";
};

/// Runs the command, or goes on with it where it was interrupted: what is finished stands in a
/// journal beside the output, which appears when all is done; a summary goes to standard output.
/// Returns the exit code.
int run_score(const ScoreCommand& command);

}  // namespace cpx::recipes
