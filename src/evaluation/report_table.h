// SPDX-License-Identifier: Apache-2.0
// A table of figures for a terminal: one column per model, and behind each but the first its change
// against the first.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/evaluation/statistics.h"

namespace cpx::evaluation {

/// A figure as text; "-" where it is missing.
using Show = std::string (*)(const std::optional<double>& value, int digits);

std::string shown_number(const std::optional<double>& value, int digits);
/// A p value is small, not zero: "<0.001".
std::string shown_p_value(const std::optional<double>& value, int digits);

/// The change from `before` to `after` in percent, and their difference; none where one is missing.
std::optional<double> percent_change(const std::optional<double>& before,
                                     const std::optional<double>& after);
std::optional<double> difference_of(const std::optional<double>& before,
                                    const std::optional<double>& after);

/// What the column of changes shows.
enum class Change { kNone, kPercent, kDifference };

/// How a row is shown.
struct RowForm {
  std::string label = {};
  int digits = 0;
  Change change = Change::kNone;
  Show show = shown_number;
};

/// A model's figure in a row.
struct Cell {
  std::optional<double> value = std::nullopt;
  std::optional<Interval> interval = std::nullopt;
  std::optional<Interval> change_interval = std::nullopt;
};

/// A model of a column.
struct MeasuredModel {
  std::string model = {};
  std::optional<std::string> adapter = {};
  bool is_given = false;  // there is no model: figures come from the file that `model` names
};

/// Builds the table line by line.
class ReportTable {
 public:
  ReportTable(std::span<const MeasuredModel> models, bool has_intervals);

  /// The name of a column: base, adapter, with several adapters "adapter 2", or given.
  const std::string& name(size_t model) const { return names_[model]; }

  /// A line for each model: its column's name and its path.
  void models();
  /// The names of the columns.
  void heading();
  /// A row of figures, and with intervals one of theirs; nothing if no model has the figure.
  void row(const RowForm& form, std::span<const Cell> cells);
  void line(const std::string& text) { text_ += text + "\n"; }

  /// The whole table.
  std::string take() { return std::move(text_); }

 private:
  void value_row(const RowForm& form, std::span<const Cell> cells);
  void interval_row(const RowForm& form, std::span<const Cell> cells);
  void end_row(std::string row);

  std::vector<MeasuredModel> models_;
  std::vector<std::string> names_;
  int width_;  // of a column
  std::string text_;
};

}  // namespace cpx::evaluation
