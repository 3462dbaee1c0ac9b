// SPDX-License-Identifier: Apache-2.0
// Reads the JSON reports of the cpx-eval tools into a list of figures. A report of an unknown kind
// is read too: nothing in it has to be known.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cpx/core/json.h"
#include "cpx/report/run_record.h"

namespace cpx::report {

/// Where a value stands in a report: {"groups", "women", "sides", "toxic", "perplexity"}.
using FigurePath = std::vector<std::string>;

/// A confidence interval.
struct FigureInterval {
  double low = 0.0;
  double high = 0.0;
};

/// How a figure differs from that of the first model, as the report itself says it.
struct FigureDifference {
  double value = 0.0;
  bool is_percent = false;
  std::optional<FigureInterval> interval = std::nullopt;
  std::optional<double> p_value = std::nullopt;
};

/// A value of a report, with what the report says about it.
struct EvaluationFigure {
  std::string text;  // digits as in the file, or the text itself; empty: null
  std::optional<double> number = std::nullopt;
  std::optional<FigureInterval> interval = std::nullopt;      // NAME_interval
  std::optional<double> error = std::nullopt;                 // NAME_stderr
  std::optional<double> deviation = std::nullopt;             // NAME_deviation
  std::optional<FigureDifference> difference = std::nullopt;  // NAME_difference, or under "change"
};

/// Figures in the order of their report.
class FigureList {
 public:
  /// Adds a figure, or replaces that of the same path.
  void set(const FigurePath& path, EvaluationFigure figure);
  /// The figure of this path, or nullptr.
  const EvaluationFigure* find(const FigurePath& path) const;
  /// The same, to be changed.
  EvaluationFigure* find(const FigurePath& path);
  /// Removes a figure, if it is there.
  void erase(const FigurePath& path);
  /// All paths.
  const std::vector<FigurePath>& paths() const { return order_; }

 private:
  std::map<FigurePath, EvaluationFigure> figures_;
  std::vector<FigurePath> order_;
};

/// One report: a model, with an adapter or without, measured in one way.
struct EvaluationRecord {
  std::string kind;        // "perplexity"; empty: the report does not name it
  std::string source;      // the file
  std::string name = {};   // as the report calls its column; may be empty
  std::string model = {};  // empty: texts were measured, not a model
  std::optional<std::string> adapter = std::nullopt;  // nothing: the base
  std::vector<NamedText> settings = {};
  std::vector<std::string> notes = {};  // lines of the report itself
  FigureList figures = {};
};

/// The report that a JSON object contains; `source` names its file. Throws DataError for a value of
/// another type.
EvaluationRecord evaluation_of(const JsonValue& report, std::string source);

}  // namespace cpx::report
