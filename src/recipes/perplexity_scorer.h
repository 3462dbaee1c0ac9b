// SPDX-License-Identifier: Apache-2.0
// Texts scored under a model with each of several adapters, so that a stopped run can go on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/core/output_check.h"
#include "cpx/data/text_encoder.h"
#include "cpx/evaluation/report_origin.h"
#include "cpx/evaluation/score_texts.h"
#include "cpx/models/llama.h"
#include "cpx/pipeline/batch_journal.h"
#include "cpx/recipes/text_scoring.h"
#include "measured_model.h"

namespace cpx::recipes {

/// The adapters of a command in the order of its reports: none for the base.
using MeasuredAdapters = std::vector<std::optional<std::filesystem::path>>;
MeasuredAdapters measured_adapters(const TextScoring& scoring);

/// Adds --model, --adapter and --compare as inputs.
void add_scoring_inputs(OutputCheck& outputs, const TextScoring& scoring);

/// The settings of a report that say how texts were scored; `dtype` is the type of computation.
std::vector<evaluation::ReportSetting> scoring_settings(const TextScoring& scoring,
                                                        const std::string& dtype);

/// The same for a journal, with what the scores depend on beside: model and adapters.
std::vector<pipeline::Setting> journal_settings(const TextScoring& scoring,
                                                const std::string& dtype);

/// Path and fingerprint of model and adapter.
evaluation::ReportOrigin origin_of(const TextScoring& scoring,
                                   const std::optional<std::filesystem::path>& adapter,
                                   std::vector<evaluation::ReportSetting> settings);

/// A text and its place in messages.
struct PlacedText {
  std::string text;
  std::string where;
};

/// Scores the same texts under several models (see MeasuredModel).
class PerplexityScorer {
 public:
  /// Reads the tokenizer, checks that the adapters can be read, and settles the compute type.
  /// `scoring` must outlive the object.
  /// `recorded_dtype` is that of an earlier run that goes on; empty: none. Throws DataError, with
  /// its place, for a text with a token that the model lacks.
  PerplexityScorer(const TextScoring& scoring, std::vector<PlacedText> texts,
                   const std::string& recorded_dtype);

  const std::vector<PlacedText>& texts() const { return texts_; }
  const data::TextEncoder& encoder() const { return encoder_; }
  /// Name of the compute type.
  std::string dtype() const;
  /// The model with `adapter`.
  std::shared_ptr<models::Llama> model_with(const std::optional<std::filesystem::path>& adapter);

  /// What score() needs of an earlier run, and whom it tells.
  struct Progressing {
    std::vector<double> known_sums = {};
    std::function<void(std::span<const double>)> on_batch = {};
  };
  /// Scores each text by itself, in their order; nullopt if a signal came. Shows progress.
  std::optional<std::vector<evaluation::TextScore>> score(
      const std::optional<std::filesystem::path>& adapter, Progressing progressing);

 private:
  void check_tokens() const;

  const TextScoring& scoring_;
  MeasuredModelPlace place_;
  std::vector<PlacedText> texts_;
  data::TextEncoder encoder_;
  torch::Dtype dtype_ = torch::kFloat32;
  std::optional<MeasuredModel> model_;  // once the compute type is settled
};

/// The work in progress of scoring texts under several models, beside an output. Without an output,
/// or into a stream, nothing is kept.
class ScoringJournal {
 public:
  /// `flag` names the output in messages. Throws what BatchJournal throws.
  ScoringJournal(const std::optional<std::filesystem::path>& output, const std::string& flag,
                 std::span<const pipeline::Setting> settings, bool overwrite);

  /// True if a stopped run can go on.
  bool is_kept() const { return journal_ != nullptr; }
  /// What score() takes for the model of this number.
  PerplexityScorer::Progressing progressing(size_t model);
  /// Removes the journal; call it when the output is written.
  void remove();

 private:
  std::unique_ptr<pipeline::BatchJournal> journal_;
  std::vector<std::vector<double>> known_sums_;  // by model
};

/// The compute type that the journal of `output` was begun with; empty: there is none.
std::string recorded_dtype(const std::optional<std::filesystem::path>& output);

/// A line for the user after a signal.
void log_interrupted(bool goes_on);

}  // namespace cpx::recipes
