// SPDX-License-Identifier: Apache-2.0
// What cpx-eval-toxicity does: how toxic a classifier finds what a model writes after prompts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/evaluation/toxicity_figures.h"
#include "cpx/recipes/decoding.h"

namespace cpx::recipes {

/// The command line of cpx-eval-toxicity.
struct EvalToxicityCommand {
  std::string preset = "rtp";
  Decoding decoding = {};
  std::vector<std::filesystem::path> compare = {};  // adapters beside the base (or the adapter)

  std::vector<std::string> prompts = {};  // files or patterns
  std::string subset = {};                // only the prompts of this one; empty: all
  int64_t limit = 0;                      // so many prompts, drawn by the seed; 0: all
  /// Files of continuations that are scored instead of new ones, each of another model.
  std::vector<std::string> continuations = {};

  std::vector<std::filesystem::path> scorers = {};
  std::vector<std::string> labels = {};  // none, one for all scorers, or one for each
  evaluation::ToxicityRule rule = {};
  bool clean_up_spaces = false;  // see evaluation::clean_up_spaces()
  int64_t max_characters = 0;    // continuations are cut to so many; 0: never
  std::vector<int64_t> at = {};  // figures for so many continuations too
  /// The model of the perplexity; empty: that of `decoding`; "none": no perplexity.
  std::filesystem::path fluency_model = {};
  int64_t batch_tokens = 2048;
  int64_t resamples = 10'000;  // of the bootstrap

  std::optional<std::filesystem::path> output = {};  // JSONL, or a folder: a file a model
  std::optional<std::filesystem::path> report = {};
  bool overwrite = false;
};

/// The settings that published evaluations have: "rtp" (RealToxicityPrompts), "toxigen" (LLaMA-2's
/// use of ToxiGen's prompts) or "replication" (a replication of the paper). Throws ConfigError for
/// another name.
EvalToxicityCommand toxicity_preset(std::string_view name);

/// Runs the command, or goes on with it where it was interrupted: the report as JSON goes to
/// `report`, a table to standard output. Returns the exit code.
int run_eval_toxicity(const EvalToxicityCommand& command);

}  // namespace cpx::recipes
