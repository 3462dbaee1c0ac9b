// SPDX-License-Identifier: Apache-2.0
// What the model says at times of its training: texts that it writes greedily after fixed prompts,
// in generations.jsonl of the run's folder, a JSON object each: step, prompt, text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cpx/core/output_file.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::training {

/// A prompt as its user wrote it and as the model sees it.
struct GenerationPrompt {
  std::string text = {};
  std::vector<int64_t> ids = {};
};

/// What is written, and how far.
struct GenerationOptions {
  std::vector<GenerationPrompt> prompts = {};
  int64_t max_new_tokens = 64;
  std::vector<int64_t> stop_ids = {};
};

/// Writes a text for each prompt. Nothing is drawn, and the model is only read: a run trains bit
/// for bit as without it.
class Generations {
 public:
  /// `tokenizer` must outlive it. Throws std::invalid_argument without prompts.
  Generations(const tokenizer::Tokenizer& tokenizer, GenerationOptions options);

  /// Opens the file of the run; lines go behind those that are there.
  void begin_run(const std::filesystem::path& run_folder);
  /// Writes the texts of the model as it is after `step`, all at once. Throws DataError.
  void add(nn::CausalLm& model, int64_t step);

 private:
  std::vector<std::string> texts_of(nn::CausalLm& model) const;

  const tokenizer::Tokenizer& tokenizer_;
  GenerationOptions options_;
  std::unique_ptr<OutputFile> file_;
};

/// The name of the file in the run's folder.
inline constexpr const char* kGenerationsFile = "generations.jsonl";

}  // namespace cpx::training
