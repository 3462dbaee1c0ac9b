// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <fmt/format.h>

#include "cpx/core/text.h"
#include "sections.h"

namespace cpx::report {

namespace {

// The text of a name in a column, or nothing.
std::string_view text_in(std::span<const NamedText> column, std::string_view name) {
  const auto found = std::ranges::find(column, name, &NamedText::name);
  return found == column.end() ? std::string_view() : std::string_view(found->text);
}

std::vector<std::string> names_in(const TextColumns& table) {
  std::vector<std::string> names;
  for (const auto& column : table.columns) {
    for (const NamedText& one : column) {
      if (std::ranges::find(names, one.name) == names.end()) names.push_back(one.name);
    }
  }
  return names;
}

bool differs(const TextColumns& table, std::string_view name) {
  return std::ranges::any_of(table.columns, [&](const auto& column) {
    return text_in(column, name) != text_in(table.columns.front(), name);
  });
}

TextColumns columns_of(const PageContent& content, const char* rows,
                       std::vector<NamedText> RunRecord::*texts) {
  TextColumns table{.rows = rows, .names = {}, .columns = {}};
  for (size_t i = 0; i < content.runs.size(); ++i) {
    const RunRecord& run = content.runs[i];
    table.names.push_back(content.runs.size() == 1 ? run.name : letter_of(i) + " " + run.name);
    table.columns.emplace_back(run.*texts);
  }
  return table;
}

// Texts as the value of a key of YAML.
std::string yaml_text(std::string_view text) {
  std::string yaml = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') yaml += '\\';
    yaml += c == '\n' ? ' ' : c;
  }
  return yaml + '"';
}

std::string cell_of_markdown(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c == '\n' ? ' ' : c;
  }
  return cell;
}

// The beginning of a model card, to be copied.
std::string card_of(const RunRecord& run) {
  std::string card = fmt::format(
      "---\nbase_model: {}\nlibrary_name: peft\npipeline_tag: text-generation\n---\n\n| | "
      "|\n|---|---|\n",
      yaml_text(run.setting("model.path")));
  for (const NamedText& fact : run.facts) {
    card += fmt::format("| {} | {} |\n", cell_of_markdown(fact.name), cell_of_markdown(fact.text));
  }
  return card;
}

}  // namespace

size_t write_text_table(HtmlWriter& html, const TextColumns& table, bool only_differences) {
  std::vector<std::string> names = names_in(table);
  if (only_differences) {
    std::erase_if(names, [&](const std::string& name) { return !differs(table, name); });
  }
  if (names.empty()) return 0;
  const HtmlWriter::Open scroll = html.open("div", {{"class", "scroll"}});
  const HtmlWriter::Open element = html.open("table", {{"class", "texts"}});
  {
    const HtmlWriter::Open head = html.open("thead");
    const HtmlWriter::Open row = html.open("tr");
    html.leaf("th", table.rows, {{"scope", "col"}});
    for (const std::string& name : table.names) html.leaf("th", name, {{"scope", "col"}});
  }
  const HtmlWriter::Open body = html.open("tbody");
  for (const std::string& name : names) {
    const HtmlWriter::Open row = html.open("tr");
    html.leaf("th", name, {{"scope", "row"}});
    for (const auto& column : table.columns) html.leaf("td", text_in(column, name));
  }
  return names.size();
}

void write_differences(HtmlWriter& html, const PageContent& content) {
  const TextColumns table = columns_of(content, "setting", &RunRecord::settings);
  if (content.runs.size() < 2 || names_in(table).empty()) return;
  html.leaf("h3", "Settings that differ");
  if (write_text_table(html, table, /*only_differences=*/true) == 0) {
    html.leaf("p", "None: the runs have the same settings.");
  }
}

void write_settings(HtmlWriter& html, const PageContent& content) {
  const TextColumns table = columns_of(content, "setting", &RunRecord::settings);
  if (names_in(table).empty()) return;
  const HtmlWriter::Open section = html.open("section", {{"id", "settings"}});
  html.leaf("h2", "Settings");
  const HtmlWriter::Open details = html.open("details");
  html.leaf("summary", counted(std::ssize(names_in(table)), "setting"));
  write_text_table(html, table, /*only_differences=*/false);
}

void write_facts(HtmlWriter& html, const PageContent& content) {
  if (content.runs.empty()) return;
  const HtmlWriter::Open section = html.open("section", {{"id", "facts"}});
  html.leaf("h2", "Facts for a model card");
  write_text_table(html, columns_of(content, "fact", &RunRecord::facts),
                   /*only_differences=*/false);
  for (size_t i = 0; i < content.runs.size(); ++i) {
    const HtmlWriter::Open details = html.open("details");
    const std::string of_run = content.runs.size() == 1 ? "" : fmt::format(" of {}", letter_of(i));
    html.leaf("summary", fmt::format("As Markdown, to copy{}", of_run));
    html.leaf("pre", card_of(content.runs[i]));
  }
}

void write_notes(HtmlWriter& html, const PageContent& content) {
  std::vector<std::string> notes;
  for (const RunRecord& run : content.runs) {
    notes.insert(notes.end(), run.notes.begin(), run.notes.end());
  }
  notes.insert(notes.end(), content.notes.begin(), content.notes.end());
  if (notes.empty()) return;
  const HtmlWriter::Open section = html.open("section", {{"id", "notes"}});
  html.leaf("h2", "What was left out");
  const HtmlWriter::Open list = html.open("ul");
  for (const std::string& note : notes) html.leaf("li", note);
}

}  // namespace cpx::report
