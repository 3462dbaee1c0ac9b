// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/text.h"
#include "evaluation_groups.h"
#include "figure_reader.h"
#include "interval_picture.h"
#include "metric_charts.h"
#include "numbers.h"
#include "report_kinds.h"
#include "sections.h"

namespace cpx::report {

namespace {

constexpr const char* kPlusMinus = "\xC2\xB1 ";
constexpr size_t kMostColumns = 8;  // of a table

using Figures = std::vector<const EvaluationFigure*>;  // one per report; nullptr: it has none

bool has_any(const Figures& figures) {
  return std::ranges::any_of(figures, [](const EvaluationFigure* figure) {
    return figure != nullptr && !figure->text.empty();
  });
}

bool has_interval(const Figures& figures) {
  return std::ranges::any_of(figures, [](const EvaluationFigure* figure) {
    return figure != nullptr && figure->number && figure->interval;
  });
}

std::string interval_text(const FigureInterval& interval) {
  return fmt::format("[{}, {}]", shown(interval.low), shown(interval.high));
}

// The difference that the report itself gives.
std::string difference_text(const FigureDifference& difference) {
  std::string text = difference.is_percent ? fmt::format("{:+.1f} %", difference.value)
                                           : shown_with_sign(difference.value);
  if (difference.interval) text += " " + interval_text(*difference.interval);
  if (difference.p_value) text += fmt::format(", p {}", shown(*difference.p_value));
  return text;
}

// How a figure differs from that of the first report.
std::string change_text(const EvaluationFigure& figure, const EvaluationFigure* base,
                        FigureChange change) {
  if (figure.difference) return difference_text(*figure.difference);
  if (base == nullptr || base == &figure || !base->number || change == FigureChange::kNone) {
    return "";
  }
  if (*figure.number == *base->number) return "unchanged";
  if (change == FigureChange::kPercent && *base->number != 0.0) {
    return fmt::format("{:+.1f} %", 100.0 * (*figure.number / *base->number - 1.0));
  }
  return shown_with_sign(*figure.number - *base->number);
}

void write_value(HtmlWriter& html, const EvaluationFigure* figure, const EvaluationFigure* base,
                 FigureChange change) {
  const HtmlWriter::Open cell = html.open("td");
  if (figure == nullptr || figure->text.empty()) {
    html.text("-");
    return;
  }
  if (!figure->number) {
    html.leaf("span", figure->text, {{"class", "text"}});
    return;
  }
  html.leaf("data", shown(*figure->number), {{"value", figure->text}, {"title", figure->text}});
  if (figure->error) html.leaf("small", kPlusMinus + shown(*figure->error));
  if (figure->interval) html.leaf("small", interval_text(*figure->interval));
  if (figure->deviation) html.leaf("small", fmt::format("deviation {}", shown(*figure->deviation)));
  const std::string difference = change_text(*figure, base, change);
  if (!difference.empty()) html.leaf("small", difference, {{"class", "change"}});
}

void write_values(HtmlWriter& html, const Figures& figures, FigureChange change) {
  for (const EvaluationFigure* const figure : figures) {
    write_value(html, figure, figures.front(), change);
  }
}

// A table in the making: its rows stand under the titles of columns, each with all reports.
struct Matrix {
  std::string rows;  // what a row is
  std::vector<FigureTitle> columns;
  std::vector<std::string> names;           // of the rows
  std::vector<std::vector<Figures>> cells;  // [row][column]
};

FigurePath joined(const FigurePath& path, std::string_view keys) {
  FigurePath longer = path;
  while (true) {
    const size_t dot = keys.find('.');
    longer.emplace_back(keys.substr(0, dot));
    if (dot == std::string_view::npos) return longer;
    keys.remove_prefix(dot + 1);
  }
}

FigureTitle title_of_view(const FigureView& view) {
  FigureTitle title = title_of(view.path.substr(view.path.rfind('.') + 1));
  if (!view.title.empty()) title.title = view.title;
  return title;
}

// The tables of one group of reports.
class GroupTables {
 public:
  GroupTables(HtmlWriter& html, const EvaluationGroup& group)
      : html_(html), group_(group), view_(view_of(group.reports.front()->kind)) {
    std::set<FigurePath> seen;
    for (const EvaluationRecord* const report : group.reports) {
      for (const FigurePath& path : report->figures.paths()) {
        if (seen.insert(path).second) paths_.push_back(path);
      }
    }
  }

  void write() {
    html_.leaf("h3", view_.title);
    html_.leaf("p", view_.explanation, {{"class", "lead"}});
    write_sources();
    write_main();
    for (const BreakdownView& breakdown : view_.breakdowns) write_breakdown(breakdown);
    write_rest();
    write_report_settings();
  }

 private:
  // The figures of a path in all reports, which counts them as shown.
  Figures figures_at(const FigurePath& path) {
    Figures figures;
    for (const EvaluationRecord* const report : group_.reports) {
      figures.push_back(report->figures.find(path));
    }
    shown_.insert(path);
    return figures;
  }

  void write_sources() {
    std::vector<std::string> sources, models, notes;
    const auto add = [](std::vector<std::string>& list, const std::string& text) {
      if (!text.empty() && std::ranges::find(list, text) == list.end()) list.push_back(text);
    };
    for (const EvaluationRecord* const report : group_.reports) {
      add(sources, report->source);
      add(models, report->model);
      for (const std::string& note : report->notes) add(notes, note);
    }
    std::string text = models.empty() ? "" : fmt::format("Model: {}. ", fmt::join(models, ", "));
    text += fmt::format("From {}.", fmt::join(sources, ", "));
    html_.leaf("p", text, {{"class", "fine"}});
    for (const std::string& note : notes) html_.leaf("p", note, {{"class", "fine"}});
  }

  void write_head(const std::string& rows, bool has_pictures = false) {
    const HtmlWriter::Open head = html_.open("thead");
    const HtmlWriter::Open row = html_.open("tr");
    html_.leaf("th", rows, {{"scope", "col"}});
    write_report_names();
    if (has_pictures) html_.leaf("th", "intervals", {{"scope", "col"}});
  }

  void write_report_names() {
    for (const std::string& name : group_.names) {
      html_.leaf("th", name, {{"scope", "col"}, {"class", "value"}});
    }
  }

  void write_row(const FigureTitle& title, const Figures& figures, bool has_picture) {
    const HtmlWriter::Open row = html_.open("tr");
    {
      const HtmlWriter::Open name = html_.open("th", {{"scope", "row"}});
      html_.text(title.title);
      if (!title.note.empty()) html_.leaf("small", title.note);
    }
    write_values(html_, figures, title.change);
    if (has_picture) write_picture(figures);
  }

  void write_picture(const Figures& figures) {
    const HtmlWriter::Open cell = html_.open("td");
    std::vector<PicturedFigure> pictured;
    for (size_t i = 0; i < figures.size(); ++i) {
      if (figures[i] == nullptr || !figures[i]->number) continue;
      pictured.push_back(
          {.number = *figures[i]->number, .interval = figures[i]->interval, .run = color_of(i)});
    }
    if (has_interval(figures)) write_intervals(html_, pictured);
  }

  // The colour of a report's run, or one of its own for an adapter of no run on the page.
  int color_of(size_t report) const {
    if (group_.runs[report] >= 0) return group_.runs[report];
    return group_.reports[report]->adapter ? static_cast<int>(report) : -1;
  }

  void write_rows(const std::vector<std::pair<FigureTitle, Figures>>& rows) {
    if (rows.empty()) return;
    const bool has_pictures =
        std::ranges::any_of(rows, [](const auto& row) { return has_interval(row.second); });
    const HtmlWriter::Open scroll = html_.open("div", {{"class", "scroll"}});
    const HtmlWriter::Open table = html_.open("table", {{"class", "figures"}});
    write_head("figure", has_pictures);
    const HtmlWriter::Open body = html_.open("tbody");
    for (const auto& [title, figures] : rows) write_row(title, figures, has_pictures);
  }

  // What tells the paths apart that a pattern stands for, where it does not end in `*`.
  bool has_several(std::string_view pattern) const {
    std::set<std::string> found;
    for (const FigurePath& path : paths_) {
      if (!matches(path, pattern)) continue;
      FigurePath front(path.begin(), path.end() - 1);
      found.insert(wildcards_of(front, pattern));
    }
    return found.size() > 1;
  }

  void write_main() {
    std::vector<std::pair<FigureTitle, Figures>> rows;
    for (const FigureView& view : view_.figures) {
      const bool is_ambiguous = has_several(view.path);
      for (const FigurePath& path : paths_) {
        if (!matches(path, view.path) || shown_.contains(path)) continue;
        Figures figures = figures_at(path);
        if (!has_any(figures)) continue;
        FigureTitle title = title_of(path.back());
        if (!view.title.empty()) title.title = view.title;
        if (is_ambiguous) {
          title.title += fmt::format(
              " ({})", wildcards_of(FigurePath(path.begin(), path.end() - 1), view.path));
        }
        rows.emplace_back(std::move(title), std::move(figures));
      }
    }
    write_rows(rows);
  }

  // Paths of the members of the objects that a pattern stands for.
  std::vector<FigurePath> members_of(std::string_view pattern) const {
    std::vector<FigurePath> members;
    std::set<FigurePath> seen;
    const auto depth = static_cast<std::ptrdiff_t>(std::ranges::count(pattern, '.')) + 1;
    for (const FigurePath& path : paths_) {
      if (std::ssize(path) < depth + 2) continue;
      if (!matches(FigurePath(path.begin(), path.begin() + depth), pattern)) continue;
      FigurePath member(path.begin(), path.begin() + depth + 1);
      if (seen.insert(member).second) members.push_back(std::move(member));
    }
    return members;
  }

  // The columns of a table; `*` stands for the numbers of the members that have none yet.
  std::vector<FigureView> columns_of(const BreakdownView& breakdown,
                                     const std::vector<FigurePath>& members) const {
    std::vector<FigureView> columns;
    const auto add = [&](const FigureView& column) {
      if (std::ranges::find(columns, column.path, &FigureView::path) == columns.end()) {
        columns.push_back(column);
      }
    };
    for (const FigureView& column : breakdown.columns) {
      if (column.path != "*") add(column);
    }
    if (std::ranges::find(breakdown.columns, "*", &FigureView::path) == breakdown.columns.end()) {
      return columns;
    }
    for (const FigurePath& path : paths_) {
      const FigurePath member(path.begin(), path.end() - 1);
      if (!has_number(path) || path.back().find('.') != std::string::npos) continue;
      if (std::ranges::find(members, member) != members.end()) add({path.back()});
    }
    return columns;
  }

  bool has_number(const FigurePath& path) const {
    return std::ranges::any_of(group_.reports, [&](const EvaluationRecord* report) {
      const EvaluationFigure* const figure = report->figures.find(path);
      return figure != nullptr && figure->number;
    });
  }

  void write_breakdown(const BreakdownView& breakdown) {
    const std::vector<FigurePath> members = members_of(breakdown.path);
    if (members.empty()) return;
    Matrix matrix{.rows = breakdown.rows, .columns = {}, .names = {}, .cells = {}};
    std::set<std::string> owners;
    for (const FigurePath& member : members) owners.insert(wildcards_of(member, breakdown.path));
    for (const FigurePath& member : members) {
      const std::string owner = wildcards_of(member, breakdown.path);
      matrix.names.push_back(owners.size() > 1 ? owner + " / " + member.back() : member.back());
    }
    matrix.cells.resize(members.size());
    for (const FigureView& column : columns_of(breakdown, members)) {
      std::vector<Figures> cells;
      for (const FigurePath& member : members) {
        cells.push_back(figures_at(joined(member, column.path)));
      }
      if (std::ranges::none_of(cells, has_any)) continue;
      matrix.columns.push_back(title_of_view(column));
      for (size_t i = 0; i < cells.size(); ++i) matrix.cells[i].push_back(std::move(cells[i]));
    }
    write_matrix(breakdown.title, matrix);
  }

  // One table, or where that would be too wide a table for each column.
  void write_matrix(const std::string& title, const Matrix& matrix) {
    if (matrix.columns.empty()) return;
    html_.leaf("h4", title);
    if (group_.reports.size() < 2 ||
        group_.reports.size() * matrix.columns.size() <= kMostColumns) {
      write_whole(matrix);
      return;
    }
    const HtmlWriter::Open tables = html_.open("div", {{"class", "tables"}});
    for (size_t k = 0; k < matrix.columns.size(); ++k) write_column(matrix, k);
  }

  void write_column(const Matrix& matrix, size_t column) {
    const HtmlWriter::Open scroll = html_.open("div", {{"class", "scroll"}});
    const HtmlWriter::Open table = html_.open("table", {{"class", "figures"}});
    html_.leaf("caption", matrix.columns[column].title);
    write_head(matrix.rows);
    const HtmlWriter::Open body = html_.open("tbody");
    for (size_t i = 0; i < matrix.names.size(); ++i) {
      if (!has_any(matrix.cells[i][column])) continue;
      const HtmlWriter::Open row = html_.open("tr");
      html_.leaf("th", matrix.names[i], {{"scope", "row"}});
      write_values(html_, matrix.cells[i][column], matrix.columns[column].change);
    }
  }

  void write_whole(const Matrix& matrix) {
    const HtmlWriter::Open scroll = html_.open("div", {{"class", "scroll"}});
    const HtmlWriter::Open table = html_.open("table", {{"class", "figures"}});
    write_matrix_head(matrix);
    const HtmlWriter::Open body = html_.open("tbody");
    for (size_t i = 0; i < matrix.names.size(); ++i) {
      const HtmlWriter::Open row = html_.open("tr");
      html_.leaf("th", matrix.names[i], {{"scope", "row"}});
      for (size_t k = 0; k < matrix.columns.size(); ++k) {
        write_values(html_, matrix.cells[i][k], matrix.columns[k].change);
      }
    }
  }

  void write_matrix_head(const Matrix& matrix) {
    const size_t num_reports = group_.reports.size();
    const HtmlWriter::Open head = html_.open("thead");
    {
      const HtmlWriter::Open row = html_.open("tr");
      html_.leaf("th", matrix.rows, {{"scope", "col"}, {"rowspan", num_reports > 1 ? "2" : "1"}});
      for (const FigureTitle& column : matrix.columns) {
        html_.leaf(
            "th", column.title,
            {{"scope", "colgroup"}, {"colspan", std::to_string(num_reports)}, {"class", "value"}});
      }
    }
    if (num_reports == 1) return;
    const HtmlWriter::Open row = html_.open("tr");
    for (size_t k = 0; k < matrix.columns.size(); ++k) write_report_names();
  }

  // What no table has shown yet: folded where the kind has tables of its own.
  void write_rest() {
    std::vector<FigurePath> rest;
    for (const FigurePath& path : paths_) {
      if (!shown_.contains(path)) rest.push_back(path);
    }
    if (rest.empty()) return;
    if (view_.figures.empty() && view_.breakdowns.empty()) {
      write_as_they_are(rest);
      return;
    }
    const HtmlWriter::Open details = html_.open("details");
    html_.leaf("summary", fmt::format("All other figures ({})", rest.size()));
    write_as_they_are(rest);
  }

  // Rows for what stands near the root, then a table for each object with members.
  void write_as_they_are(const std::vector<FigurePath>& rest) {
    std::vector<std::pair<FigureTitle, Figures>> rows;
    std::vector<std::string> objects;
    for (const FigurePath& path : rest) {
      if (path.size() < 3) {
        const std::string name = fmt::format("{}", fmt::join(path, ": "));
        rows.emplace_back(FigureTitle{name, title_of_key(name), "", FigureChange::kDifference},
                          figures_at(path));
      } else if (std::ranges::find(objects, path[0]) == objects.end()) {
        objects.push_back(path[0]);
      }
    }
    write_rows(rows);
    for (const std::string& object : objects) write_object(object, rest);
  }

  // A row for each member, a column for each key in it.
  void write_object(const std::string& object, const std::vector<FigurePath>& rest) {
    Matrix matrix{.rows = title_of_key(object), .columns = {}, .names = {}, .cells = {}};
    std::vector<FigurePath> members;
    for (const FigurePath& path : rest) {
      if (path.size() < 3 || path[0] != object) continue;
      FigurePath member(path.begin(), path.end() - 1);
      if (std::ranges::find(members, member) == members.end()) {
        matrix.names.push_back(
            fmt::format("{}", fmt::join(member.begin() + 1, member.end(), " / ")));
        members.push_back(std::move(member));
      }
      if (std::ranges::find(matrix.columns, path.back(), &FigureTitle::key) ==
          matrix.columns.end()) {
        matrix.columns.push_back(
            {path.back(), title_of_key(path.back()), "", FigureChange::kDifference});
      }
    }
    for (const FigurePath& member : members) {
      std::vector<Figures>& row = matrix.cells.emplace_back();
      for (const FigureTitle& column : matrix.columns) {
        row.push_back(figures_at(below(member, column.key)));
      }
    }
    write_matrix(title_of_key(object), matrix);
  }

  void write_report_settings() {
    TextColumns table{.rows = "setting", .names = group_.names, .columns = {}};
    for (const EvaluationRecord* const report : group_.reports) {
      table.columns.emplace_back(report->settings);
    }
    if (std::ranges::all_of(table.columns, [](const auto& column) { return column.empty(); })) {
      return;
    }
    const HtmlWriter::Open details = html_.open("details");
    html_.leaf("summary", "How it was measured");
    if (group_.reports.size() > 1) {
      html_.leaf("h4", "What differs");
      if (write_text_table(html_, table, /*only_differences=*/true) == 0) {
        html_.leaf("p", "Nothing.");
      }
      html_.leaf("h4", "All settings");
    }
    write_text_table(html_, table, /*only_differences=*/false);
  }

  HtmlWriter& html_;
  const EvaluationGroup& group_;
  KindView view_;
  std::vector<FigurePath> paths_;  // of all reports, in their order
  std::set<FigurePath> shown_;
};

}  // namespace

void write_evaluations(HtmlWriter& html, const PageContent& content) {
  if (content.evaluations.empty()) return;
  const HtmlWriter::Open section = html.open("section", {{"id", "evaluation"}});
  html.leaf("h2", "Evaluation");
  html.leaf("p",
            "Below a figure stands its change against the first column, in brackets a confidence "
            "interval where the report has one. Point at a figure for all its digits.",
            {{"class", "fine"}});
  for (const EvaluationGroup& group : comparable_groups(content)) {
    const HtmlWriter::Open article = html.open("article");
    GroupTables(html, group).write();
  }
}

}  // namespace cpx::report
