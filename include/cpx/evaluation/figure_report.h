// SPDX-License-Identifier: Apache-2.0
// Reports of figures over units (prompts, texts), by parts of the units, for models side by side:
// as JSON and as a table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/evaluation/ratio_figure.h"
#include "cpx/evaluation/report_origin.h"

namespace cpx::evaluation {

/// Some of the units.
struct UnitPart {
  std::string kind = {};  // "subsets" or "groups"; empty: all units
  std::string name = {};
  std::vector<int64_t> units = {};
};

/// A figure of one model over a part.
struct FigureEstimate {
  std::string name = {};
  Estimate estimate = {};
  std::optional<double> deviation = std::nullopt;     // see RatioFigure::has_deviation
  std::optional<Estimate> difference = std::nullopt;  // to the first model; none for the first
};

/// The figures of one model over a part.
struct PartFigures {
  std::string kind = {};
  std::string name = {};
  int64_t num_units = 0;
  std::vector<FigureEstimate> figures = {};
};

/// Estimates all `figures` over all `parts`; with `base` (the same figures of another model, in the
/// same order) also the differences to those.
std::vector<PartFigures> figures_by_part(std::span<const RatioFigure> figures,
                                         std::span<const RatioFigure> base,
                                         std::span<const UnitPart> parts,
                                         const BootstrapOptions& options);

/// Figures that one instrument measured: a classifier, or the texts alone.
struct FigureSection {
  std::string key = {};    // in the report; sections with the key "scorers" are a list
  std::string title = {};  // of the table
  std::vector<ReportSetting> head = {};  // what the section says of its instrument
  std::vector<PartFigures> parts = {};   // the first is that of all units
  int64_t figures_of_parts = 2;          // so many of the first stand in the table by part
};

/// The report of one model; those of a comparison have equal sections.
struct FigureReport {
  std::string kind = {};
  std::string name = {};  // of its column
  std::optional<std::string> model = std::nullopt;
  std::optional<std::string> adapter = std::nullopt;
  ReportOrigin origin = {};
  std::string heading = {};  // a line above the table
  std::vector<ReportSetting> counts = {};
  std::string unit_noun = "prompts";
  std::vector<FigureSection> sections = {};
  std::vector<std::string> notes = {};  // lines of text, in the report and above the table
};

/// One report as a JSON object, several as a list (keys: docs/design.md, section 4).
std::string figure_report_json(std::span<const FigureReport> reports);

/// As a table for a terminal: a row for each figure of all units with its interval, a column for
/// each report, behind all but the first the difference to the first; below it the first figures
/// of each part.
std::string figure_report_table(std::span<const FigureReport> reports);

}  // namespace cpx::evaluation
