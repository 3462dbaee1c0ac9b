// SPDX-License-Identifier: Apache-2.0
// Reads prompts that models are to continue for an evaluation, with what their files say of them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cpx/core/faults.h"

namespace cpx::pipeline {

/// A prompt and the parts of the set that it belongs to.
struct EvaluationPrompt {
  std::string text = {};
  std::string group = {};  // whom it speaks of; empty: none
  /// "toxic" or "non_toxic" by its own toxicity, "challenging", "hate" or "neutral".
  std::vector<std::string> subsets = {};
  /// Its place in the file for messages: "rtp.jsonl: record 3, line 3", "hate_asian_1k.txt: line
  /// 4".
  std::string where = {};
};

/// The prompts of a file in order, and every fault found.
struct EvaluationPromptContent {
  std::vector<EvaluationPrompt> prompts = {};
  /// "[file: line or prompt] ...: got ..., expected ...".
  Faults faults = {};
};

/// Reads one prompt per line, with literal `\n` as line breaks (so ToxiGen's prompt files,
/// `{hate,neutral}_<group>_1k.txt`, whose name gives group and subset), or JSON lists and JSON
/// lines of texts or of objects with the prompt under `prompt`, `prompt.text`
/// (RealToxicityPrompts), `text` or `input` (contrast shards; unescaped as in training). An object
/// may have a `group`, its prompt a `toxicity` (above 0.5: toxic), and the object or its prompt the
/// flag `challenging`. Groups get their usual names. Faults, including blank prompts, are
/// collected, never thrown; a prompt with a fault is left out.
EvaluationPromptContent read_evaluation_prompts(const std::filesystem::path& file);

}  // namespace cpx::pipeline
