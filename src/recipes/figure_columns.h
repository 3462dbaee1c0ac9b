// SPDX-License-Identifier: Apache-2.0
// From what was measured of models' texts to the reports that set them side by side.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "compared_models.h"
#include "continuation_file.h"
#include "cpx/evaluation/figure_report.h"
#include "cpx/pipeline/continuations.h"
#include "cpx/pipeline/shard_journal.h"
#include "text_measure.h"

namespace cpx::recipes {

/// The figures of one instrument for one model.
struct MeasuredSection {
  std::string key = {};  // see evaluation::FigureSection
  std::string title = {};
  std::vector<evaluation::ReportSetting> head = {};
  std::vector<evaluation::RatioFigure> figures = {};
};

/// A model with its texts and what was measured of them.
struct FigureColumn {
  ComparedModel model = {};
  std::vector<pipeline::ContinuedPrompt> prompts = {};
  std::vector<MeasuredSection> sections = {};
  bool is_baseline = false;  // no model wrote the texts, and they stand in no file
};

/// `decoding` with a compute type of `auto` settled, as the texts of `models` were begun with it.
Decoding settled_for(const std::vector<ComparedModel>& models, const Decoding& decoding);

/// Opens the files of all `models` (so that one that cannot be gone on with is told before the
/// work), writes what is missing of each and reads it. The compute type must be settled. Nothing
/// when interrupted.
std::optional<std::vector<FigureColumn>> write_columns(
    const std::vector<ComparedModel>& models, const std::vector<ContinuationPrompt>& prompts,
    const Decoding& decoding, bool overwrite);

/// All prompts, then the subsets and groups that they name.
std::vector<evaluation::UnitPart> parts_of(std::span<const pipeline::ContinuedPrompt> prompts);

/// `values` of all texts, prompt after prompt, as lists by prompt.
template <class Value>
std::vector<std::vector<Value>> by_prompt(std::span<const pipeline::ContinuedPrompt> prompts,
                                          std::span<const Value> values) {
  std::vector<std::vector<Value>> lists;
  for (const pipeline::ContinuedPrompt& prompt : prompts) {
    lists.emplace_back(values.begin(), values.begin() + std::ssize(prompt.texts));
    values = values.subspan(prompt.texts.size());
  }
  return lists;
}

/// What reports of a tool have in common.
struct ReportFrame {
  std::string kind = {};
  std::string unit_noun = {};
  std::string model = {};  // empty: none
  std::string model_fingerprint = {};
  std::vector<evaluation::ReportSetting> settings = {};
  std::vector<std::string> notes = {};
  evaluation::BootstrapOptions bootstrap = {};
};

/// A report for each column, with the differences to the first.
std::vector<evaluation::FigureReport> reports_of(std::span<const FigureColumn> columns,
                                                 const ReportFrame& frame);

/// Writes the reports as JSON to `file` (if any) and the table to standard output, which carries
/// the JSON alone if `file` is that.
void write_figure_reports(std::span<const evaluation::FigureReport> reports,
                          const std::optional<std::filesystem::path>& file);

/// Settings of an output as those of a report, without the names in `left_out`.
std::vector<evaluation::ReportSetting> report_settings(std::span<const pipeline::Setting> settings,
                                                       std::span<const std::string_view> left_out);

}  // namespace cpx::recipes
