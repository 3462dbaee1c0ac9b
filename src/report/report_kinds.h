// SPDX-License-Identifier: Apache-2.0
// What each kind of evaluation report shows first, under which titles. A new kind is a new row of
// the table in report_kinds.cpp; a kind without a row is shown whole, under its own keys.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cpx/report/evaluation_record.h"

namespace cpx::report {

/// How a figure is compared with that of the base.
enum class FigureChange {
  kDifference,  // "+0.12"
  kPercent,     // "+12.0 %"
  kNone,
};

/// What a figure is called and how it is read.
struct FigureTitle {
  std::string key;  // the last key of its path
  std::string title;
  std::string note = {};
  FigureChange change = FigureChange::kDifference;
};

/// Figures of a report. In a path `*` stands for any one key.
struct FigureView {
  std::string path;        // with dots: "sides.toxic.perplexity"
  std::string title = {};  // empty: that of its last key, see title_of()
};

/// A table with a row for each member of an object: groups, tasks, subjects.
struct BreakdownView {
  std::string path;  // of the object, as in FigureView
  std::string title;
  std::string rows;                 // what a row is: "group"
  std::vector<FigureView> columns;  // paths below a member; `*`: all its other numbers
};

/// A kind of report.
struct KindView {
  std::string kind;
  std::string title;
  std::string explanation;
  std::vector<FigureView> figures = {};
  std::vector<BreakdownView> breakdowns = {};
};

/// The view of this kind; for an unknown one a view without figures.
KindView view_of(std::string_view kind);

/// Title, note and comparison of figures with this key; for an unknown key its words.
FigureTitle title_of(const std::string& key);

/// True if `path` is one that the pattern stands for.
bool matches(const FigurePath& path, std::string_view pattern);

/// The keys of `path` at the places where the pattern has a `*`, joined by " / ".
std::string wildcards_of(const FigurePath& path, std::string_view pattern);

}  // namespace cpx::report
