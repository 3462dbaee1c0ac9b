// SPDX-License-Identifier: Apache-2.0
// Reads files of continuations: JSON with a prompt and what a model wrote after it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cpx::pipeline {

/// A text that was written after a prompt.
struct WrittenText {
  std::string text = {};
  int64_t sample = 0;                            // as the file has it, else counted from 0
  std::optional<int64_t> tokens = std::nullopt;  // that were drawn for it
  std::string where = {};                        // for messages: "base.jsonl: record 3, line 3"
};

/// A prompt with all its continuations, in the order of the file.
struct ContinuedPrompt {
  std::string prompt = {};
  std::string group = {};                 // empty: none
  std::vector<std::string> subsets = {};  // see EvaluationPrompt
  std::string input = {};                 // the text that the prompt asks to rewrite; empty: none
  std::vector<WrittenText> texts = {};    // at least one
};

/// Reads JSON lines or a list of objects with the prompt under `prompt` (or `prompt.text`) and the
/// continuation under `text`, `continuation` or `continuation.text`; `sample`, `tokens`, `group`,
/// `subsets` and `input` are read too. Objects with the same prompt belong together, but a
/// `sample` that the prompt has already begins the same prompt anew: it stood twice among the
/// prompts. Throws DataError with the first fault: a missing text, or a `side` (cpx-generate
/// --compare) that differs from the file's first.
std::vector<ContinuedPrompt> read_continuations(const std::filesystem::path& file);

}  // namespace cpx::pipeline
