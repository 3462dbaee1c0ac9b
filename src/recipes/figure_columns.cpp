// SPDX-License-Identifier: Apache-2.0
#include "figure_columns.h"

#include <algorithm>
#include <array>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/output_file.h"
#include "cpx/core/text.h"
#include "decoding_settings.h"
#include "fingerprint.h"

namespace cpx::recipes {

namespace {

using evaluation::FigureReport;
using evaluation::FigureSection;
using evaluation::ReportSetting;
using evaluation::UnitPart;

// In the order of reports; others follow by name.
constexpr std::array<std::string_view, 5> kUsualSubsets = {"toxic", "non_toxic", "challenging",
                                                           "hate", "neutral"};

int64_t num_texts(const FigureColumn& column) {
  int64_t count = 0;
  for (const auto& prompt : column.prompts) count += std::ssize(prompt.texts);
  return count;
}

// "base: 12 texts of 4 prompts in out/base.jsonl".
std::string heading_of(const FigureColumn& column, const std::string& unit_noun) {
  const std::string file = column.is_baseline ? "" : " in " + column.model.texts.string();
  return fmt::format("{}: {} of {} {}{}", column.model.name, counted(num_texts(column), "text"),
                     column.prompts.size(), unit_noun, file);
}

void add_parts(std::map<std::string, UnitPart>& found, std::vector<UnitPart>& parts) {
  for (auto& [name, part] : found) parts.push_back(std::move(part));
}

FigureSection section_of(const MeasuredSection& measured, const MeasuredSection* base,
                         std::span<const UnitPart> parts,
                         const evaluation::BootstrapOptions& bootstrap) {
  const std::vector<evaluation::RatioFigure> none;
  return {.key = measured.key,
          .title = measured.title,
          .head = measured.head,
          .parts = evaluation::figures_by_part(
              measured.figures, base == nullptr ? none : base->figures, parts, bootstrap),
          .figures_of_parts = measured.key == "scorers" ? 2 : 0};
}

}  // namespace

Decoding settled_for(const std::vector<ComparedModel>& models, const Decoding& decoding) {
  std::vector<std::filesystem::path> outputs;
  for (const ComparedModel& model : models) outputs.push_back(model.texts);
  return with_settled_type(decoding, outputs);
}

std::optional<std::vector<FigureColumn>> write_columns(
    const std::vector<ComparedModel>& models, const std::vector<ContinuationPrompt>& prompts,
    const Decoding& decoding, bool overwrite) {
  std::vector<std::unique_ptr<ContinuationFile>> files;
  for (const ComparedModel& model : models) {
    Decoding own = decoding;
    own.adapter = model.adapter;
    files.push_back(
        std::make_unique<ContinuationFile>(model.texts, prompts, std::move(own), overwrite));
  }
  std::vector<FigureColumn> columns;
  for (size_t i = 0; i < models.size(); ++i) {
    if (!files[i]->write(models[i].name)) return std::nullopt;
    columns.push_back({.model = models[i], .prompts = files[i]->read()});
  }
  return columns;
}

std::vector<UnitPart> parts_of(std::span<const pipeline::ContinuedPrompt> prompts) {
  std::vector<UnitPart> parts(1);
  parts.front().units.resize(prompts.size());
  std::iota(parts.front().units.begin(), parts.front().units.end(), 0);
  std::map<std::string, UnitPart> subsets, groups;
  const auto add = [](std::map<std::string, UnitPart>& found, const char* kind,
                      const std::string& name, size_t unit) {
    UnitPart& part = found.try_emplace(name, UnitPart{.kind = kind, .name = name}).first->second;
    part.units.push_back(static_cast<int64_t>(unit));
  };
  for (size_t i = 0; i < prompts.size(); ++i) {
    for (const std::string& subset : prompts[i].subsets) add(subsets, "subsets", subset, i);
    if (!prompts[i].group.empty()) add(groups, "groups", prompts[i].group, i);
  }
  for (const std::string_view name : kUsualSubsets) {
    if (auto part = subsets.extract(std::string(name))) parts.push_back(std::move(part.mapped()));
  }
  add_parts(subsets, parts);
  add_parts(groups, parts);
  return parts;
}

std::vector<FigureReport> reports_of(std::span<const FigureColumn> columns,
                                     const ReportFrame& frame) {
  const std::vector<UnitPart> parts = parts_of(columns.front().prompts);
  std::vector<FigureReport> reports;
  for (const FigureColumn& column : columns) {
    const auto& adapter = column.model.adapter;
    FigureReport report{.kind = frame.kind, .name = column.model.name};
    if (!frame.model.empty() && !column.is_baseline) report.model = frame.model;
    if (adapter) report.adapter = adapter->string();
    report.origin = {.model_fingerprint = frame.model_fingerprint,
                     .adapter_fingerprint = adapter ? model_fingerprint(*adapter) : std::string(),
                     .settings = frame.settings};
    report.heading = heading_of(column, frame.unit_noun);
    report.counts = {{frame.unit_noun, std::ssize(column.prompts)},
                     {"continuations", num_texts(column)}};
    if (!column.is_baseline) report.counts.push_back({"texts_file", column.model.texts.string()});
    report.unit_noun = frame.unit_noun;
    report.notes = frame.notes;
    const bool is_first = &column == &columns.front();
    for (size_t i = 0; i < column.sections.size(); ++i) {
      const MeasuredSection* base = is_first ? nullptr : &columns.front().sections[i];
      report.sections.push_back(section_of(column.sections[i], base, parts, frame.bootstrap));
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

void write_figure_reports(std::span<const FigureReport> reports,
                          const std::optional<std::filesystem::path>& file) {
  if (file && is_standard_output(*file)) {
    std::cout << evaluation::figure_report_json(reports);
    return;
  }
  if (file) write_file_atomically(*file, evaluation::figure_report_json(reports));
  std::cout << evaluation::figure_report_table(reports);
}

std::vector<ReportSetting> report_settings(std::span<const pipeline::Setting> settings,
                                           std::span<const std::string_view> left_out) {
  std::vector<ReportSetting> result;
  for (const pipeline::Setting& setting : settings) {
    if (std::ranges::find(left_out, setting.name) != left_out.end()) continue;
    ReportSetting& copy = result.emplace_back(ReportSetting{.name = setting.name});
    std::visit([&](const auto& value) { copy.value = value; }, setting.value);
  }
  return result;
}

}  // namespace cpx::recipes
