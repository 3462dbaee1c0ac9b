// SPDX-License-Identifier: Apache-2.0
#include "report_table.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace cpx::evaluation {

namespace {

constexpr int kLabelWidth = 26;
constexpr int kValueWidth = 12;
constexpr int kIntervalWidth = 20;
constexpr size_t kNameWidth = 8;

std::string shown_interval(const std::optional<Interval>& interval, int digits) {
  if (!interval) return "";
  return fmt::format("[{:.{}f}, {:.{}f}]", interval->low, digits, interval->high, digits);
}

std::string shown_change(Change change, const Cell& before, const Cell& after, int digits) {
  if (change == Change::kPercent) {
    const auto percent = percent_change(before.value, after.value);
    return percent ? fmt::format("{:+.1f} %", *percent) : "";
  }
  const auto difference = difference_of(before.value, after.value);
  return change == Change::kDifference && difference ? fmt::format("{:+.{}f}", *difference, digits)
                                                     : "";
}

std::string shown_change_interval(Change change, const Cell& cell, int digits) {
  const auto& interval = cell.change_interval;
  if (!interval || change == Change::kNone) return "";
  if (change == Change::kPercent) {
    return fmt::format("[{:+.1f}, {:+.1f}] %", interval->low, interval->high);
  }
  return fmt::format("[{:+.{}f}, {:+.{}f}]", interval->low, digits, interval->high, digits);
}

}  // namespace

std::string shown_number(const std::optional<double>& value, int digits) {
  return value ? fmt::format("{:.{}f}", *value, digits) : "-";
}

std::string shown_p_value(const std::optional<double>& value, int digits) {
  const double smallest = std::pow(10.0, -digits);
  return value && *value < smallest ? fmt::format("<{:.{}f}", smallest, digits)
                                    : shown_number(value, digits);
}

std::optional<double> percent_change(const std::optional<double>& before,
                                     const std::optional<double>& after) {
  if (!before || !after || *before == 0.0) return std::nullopt;
  return (*after / *before - 1.0) * 100.0;
}

std::optional<double> difference_of(const std::optional<double>& before,
                                    const std::optional<double>& after) {
  return before && after ? std::optional(*after - *before) : std::nullopt;
}

ReportTable::ReportTable(std::span<const MeasuredModel> models, bool has_intervals)
    : models_(models.begin(), models.end()), width_(has_intervals ? kIntervalWidth : kValueWidth) {
  const auto num_adapters = std::ranges::count_if(
      models_, [](const MeasuredModel& model) { return model.adapter.has_value(); });
  int number = 0;
  for (const MeasuredModel& model : models_) {
    if (!model.adapter) {
      names_.emplace_back(model.is_given ? "given" : "base");
    } else {
      names_.push_back(num_adapters == 1 ? "adapter" : fmt::format("adapter {}", ++number));
    }
  }
}

void ReportTable::models() {
  size_t width = kNameWidth;
  for (const std::string& name : names_) width = std::max(width, name.size());
  for (size_t i = 0; i < models_.size(); ++i) {
    const MeasuredModel& model = models_[i];
    line(fmt::format("{:<{}} {}{}", names_[i], width, model.model,
                     model.adapter ? " + " + *model.adapter : ""));
  }
}

void ReportTable::heading() {
  std::string row = fmt::format("{:<{}}", "", kLabelWidth);
  for (size_t i = 0; i < names_.size(); ++i) {
    row += fmt::format("  {:>{}}", names_[i], width_);
    if (i > 0) row += fmt::format("  {:>{}}", "change", width_);
  }
  end_row(std::move(row));
}

void ReportTable::row(const RowForm& form, std::span<const Cell> cells) {
  const auto has = [&](const auto& part) { return std::ranges::any_of(cells, part); };
  if (!has([](const Cell& cell) { return cell.value.has_value(); })) return;
  value_row(form, cells);
  if (has([](const Cell& cell) { return cell.interval || cell.change_interval; })) {
    interval_row(form, cells);
  }
}

void ReportTable::value_row(const RowForm& form, std::span<const Cell> cells) {
  std::string row = fmt::format("{:<{}}", form.label, kLabelWidth);
  for (size_t i = 0; i < cells.size(); ++i) {
    row += fmt::format("  {:>{}}", form.show(cells[i].value, form.digits), width_);
    if (i == 0) continue;
    row +=
        fmt::format("  {:>{}}", shown_change(form.change, cells[0], cells[i], form.digits), width_);
  }
  end_row(std::move(row));
}

void ReportTable::interval_row(const RowForm& form, std::span<const Cell> cells) {
  std::string row = fmt::format("{:<{}}", "    95 % interval", kLabelWidth);
  for (size_t i = 0; i < cells.size(); ++i) {
    row += fmt::format("  {:>{}}", shown_interval(cells[i].interval, form.digits), width_);
    if (i == 0) continue;
    row +=
        fmt::format("  {:>{}}", shown_change_interval(form.change, cells[i], form.digits), width_);
  }
  end_row(std::move(row));
}

// Without the blanks of empty cells at its end.
void ReportTable::end_row(std::string row) {
  row.erase(row.find_last_not_of(' ') + 1);
  line(row);
}

}  // namespace cpx::evaluation
