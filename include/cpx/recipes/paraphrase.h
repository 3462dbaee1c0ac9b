// SPDX-License-Identifier: Apache-2.0
// What cpx-paraphrase does: contrast shards from input texts, by sampling from a model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cpx/pipeline/candidates.h"
#include "cpx/recipes/decoding.h"

namespace cpx::recipes {

/// The command line of cpx-paraphrase. Texts are drawn as the published script does it: 20 an
/// input, from the 25 likeliest tokens, up to 150 new ones.
struct ParaphraseCommand {
  Decoding decoding = {.samples = 20, .sampling = {.top_k = 25, .max_new_tokens = 150}};
  std::vector<std::string> inputs;  // files or patterns, as pipeline::read_prompts() reads them
  int64_t limit = 0;                // at most so many inputs of each file; 0: all
  std::string polarity = "both";    // neutral | toxic | both
  std::string neutral_template = "published-neutral";  // a built-in name or a file
  std::string toxic_template = "published-toxic";
  pipeline::CandidateOptions candidates;
  std::filesystem::path output;  // .json or .jsonl, or a folder: a shard a group
  bool overwrite = false;
};

/// Runs the command, or goes on with it where it was interrupted. Returns the exit code.
int run_paraphrase(const ParaphraseCommand& command);

}  // namespace cpx::recipes
