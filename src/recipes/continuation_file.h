// SPDX-License-Identifier: Apache-2.0
// The continuations of one model, in a JSONL file that grows by the prompt and is gone on with.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cpx/pipeline/continuations.h"
#include "cpx/pipeline/growing_output.h"
#include "cpx/recipes/decoding.h"

namespace cpx::recipes {

/// A prompt that a model continues.
struct ContinuationPrompt {
  std::string text = {};
  std::string where = {};  // for messages
  /// What stands in each of its lines behind the prompt: an object of group, subsets, input.
  nlohmann::ordered_json fields = nlohmann::ordered_json::object();
};

/// A file with `samples` lines a prompt: `prompt`, the fields, `sample`, `text`, `tokens`,
/// `finish`.
class ContinuationFile {
 public:
  /// Looks at what is there and changes nothing; see pipeline::GrowingOutput, whose errors it
  /// throws. The compute type of `decoding` must be settled; `prompts` must outlive *this.
  ContinuationFile(std::filesystem::path path, const std::vector<ContinuationPrompt>& prompts,
                   Decoding decoding, bool overwrite);

  /// Writes what is missing; loads the model only where something is. False when interrupted.
  bool write(const std::string& title);

  /// Reads the finished file.
  std::vector<pipeline::ContinuedPrompt> read() const;

 private:
  std::filesystem::path path_;
  const std::vector<ContinuationPrompt>& prompts_;
  Decoding decoding_;
  std::unique_ptr<pipeline::GrowingOutput> output_;
};

}  // namespace cpx::recipes
