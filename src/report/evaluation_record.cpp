// SPDX-License-Identifier: Apache-2.0
#include "cpx/report/evaluation_record.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "figure_reader.h"

namespace cpx::report {

namespace {

// What says how was measured, and not what.
bool is_about_settings(std::string_view key) {
  constexpr std::array<std::string_view, 8> kKeys = {
      "settings", "version", "cpx", "cpx_version", "fingerprint", "model", "adapter", "seconds"};
  return std::ranges::find(kKeys, key) != kKeys.end() || key.ends_with("_fingerprint");
}

void read_report_settings(const JsonMember& member, std::vector<NamedText>& settings) {
  FigureReader reader;
  reader.read(member.value, member.key == "settings" && member.value.is_object()
                                ? FigurePath{}
                                : FigurePath{std::string(member.key)});
  const FigureList list = reader.take();
  for (const FigurePath& path : list.paths()) {
    settings.push_back(
        {.name = fmt::format("{}", fmt::join(path, ".")), .text = list.find(path)->text});
  }
}

// The path of a model or an adapter: a text, or an object that has it under a name.
std::string named_path(const JsonValue& value) {
  if (value.is_text()) return value.text();
  if (!value.is_object()) return "";
  for (const std::string_view key : {"path", "name"}) {
    const auto path = value.find(key);
    if (path && path->is_text()) return path->text();
  }
  return "";
}

// Under the key itself, or among the settings.
std::string find_path(const JsonValue& report, std::string_view key) {
  if (const auto value = report.find(key)) return named_path(*value);
  const auto settings = report.find("settings");
  if (!settings || !settings->is_object()) return "";
  const auto value = settings->find(key);
  return value ? named_path(*value) : "";
}

// A list of lines, as figures over units have them.
bool read_notes(const JsonMember& member, std::vector<std::string>& notes) {
  if (member.key != "notes" || !member.value.is_list()) return false;
  for (const JsonValue& note : member.value.elements()) {
    notes.push_back(note.is_text() ? note.text() : note.describe());
  }
  return true;
}

// Reports of cpx 0.1.0 name no kind; theirs is the only one with both sides.
std::string kind_of(const JsonValue& report) {
  if (const auto kind = report.find("kind")) return scalar_text(*kind);
  return report.contains("sides") && report.contains("separation") ? "perplexity" : "";
}

}  // namespace

EvaluationRecord evaluation_of(const JsonValue& report, std::string source) {
  if (!report.is_object()) report.fail("a report of a cpx-eval tool, or texts with a prompt each");
  EvaluationRecord record{
      .kind = kind_of(report), .source = std::move(source), .model = find_path(report, "model")};
  const std::string adapter = find_path(report, "adapter");
  if (!adapter.empty()) record.adapter = adapter;
  FigureReader reader;
  for (const JsonMember& member : report.members()) {
    if (member.key == "kind" || read_notes(member, record.notes)) continue;
    if (member.key == "name" && member.value.is_text()) {
      record.name = member.value.text();
    } else if (is_about_settings(member.key)) {
      read_report_settings(member, record.settings);
    } else {
      reader.read(member.value, {std::string(member.key)});
    }
  }
  record.figures = reader.take();
  return record;
}

}  // namespace cpx::report
