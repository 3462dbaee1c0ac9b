// SPDX-License-Identifier: Apache-2.0
// What cpx-eval-rewrite does: how toxic and how similar a model's rewritings of toxic texts are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cpx/evaluation/toxicity_figures.h"
#include "cpx/recipes/decoding.h"

namespace cpx::recipes {

/// The command line of cpx-eval-rewrite. Texts are drawn as cpx-paraphrase draws them, one a text.
struct EvalRewriteCommand {
  Decoding decoding = {
      .sampling = {.temperature = 0.8, .top_k = 25, .top_p = 0.95, .max_new_tokens = 150}};
  std::vector<std::filesystem::path> compare = {};  // adapters beside the base (or the adapter)

  std::vector<std::string> inputs =
      {};  // files or patterns, as pipeline::read_prompts() reads them
  std::vector<std::string> shards = {};       // whose toxic texts are rewritten
  int64_t limit = 0;                          // so many texts, drawn by the seed; 0: all
  std::string request = "published-neutral";  // a built-in template's name or a file
  std::vector<std::string> cut_at = {"###"};  // an answer ends before these

  std::vector<std::filesystem::path> scorers = {};
  std::vector<std::string> labels = {};  // none, one for all scorers, or one for each
  evaluation::ToxicityRule rule = {};
  std::filesystem::path encoder = {};  // of sentences
  int64_t batch_tokens = 2048;
  int64_t resamples = 10'000;  // of the bootstrap

  std::optional<std::filesystem::path> output = {};  // JSONL, or a folder: a file a model
  std::optional<std::filesystem::path> report = {};
  bool overwrite = false;
};

/// Runs the command, or goes on with it where it was interrupted: the report as JSON goes to
/// `report`, a table to standard output; the copy of the input and the empty answer stand beside
/// the models. Returns the exit code.
int run_eval_rewrite(const EvalRewriteCommand& command);

}  // namespace cpx::recipes
