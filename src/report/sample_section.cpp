// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "cpx/core/text.h"
#include "cpx/core/utf8.h"
#include "numbers.h"
#include "sections.h"

namespace cpx::report {

namespace {

constexpr size_t kLongestText = 700;  // bytes
constexpr size_t kMostRows = 8;       // of a prompt
constexpr double kToxic = 0.5;        // from this probability on

// The texts of one prompt: a row for each step or sample, a column for each source.
struct PromptTexts {
  std::string prompt;
  std::vector<std::string> rows;
  std::map<std::pair<size_t, size_t>, const SampleText*> cells;  // (row, column)
};

struct SampleTable {
  std::vector<std::string> columns;
  std::vector<PromptTexts> prompts;
};

// Where `name` stands in `names`; it is added where it is missing.
size_t place_of(std::vector<std::string>& names, const std::string& name) {
  const auto found = std::ranges::find(names, name);
  const auto at = static_cast<size_t>(found - names.begin());
  if (found == names.end()) names.push_back(name);
  return at;
}

class SampleTableMaker {
 public:
  void add(const std::string& name, const std::vector<SampleText>& texts) {
    for (const SampleText& text : texts) {
      const std::string column_name =
          text.side.empty() ? name : fmt::format("{} ({})", name, text.side);
      const size_t column = place_of(table_.columns, column_name);
      PromptTexts& prompt = prompt_of(text.prompt);
      size_t row = place_of(prompt.rows, text.row);
      // Texts that are not numbered follow each other.
      for (int64_t more = 2; prompt.cells.contains({row, column}); ++more) {
        row = place_of(prompt.rows, fmt::format("{} ({})", text.row, more));
      }
      prompt.cells.emplace(std::pair(row, column), &text);
    }
  }

  SampleTable take() { return std::move(table_); }

 private:
  PromptTexts& prompt_of(const std::string& prompt) {
    const auto [found, is_new] = prompts_.emplace(prompt, table_.prompts.size());
    if (is_new) table_.prompts.push_back({.prompt = prompt, .rows = {}, .cells = {}});
    return table_.prompts[found->second];
  }

  SampleTable table_;
  std::map<std::string, size_t> prompts_;
};

// The beginning of a long text, cut between two characters.
std::string beginning_of(const std::string& text) {
  if (text.size() <= kLongestText) return text;
  size_t end = 0;
  while (end < kLongestText) end += decode_utf8(text, end).length;
  return text.substr(0, end);
}

// Of many rows some, evenly chosen, with the first and the last.
std::vector<size_t> chosen_rows(size_t count) {
  std::vector<size_t> rows;
  const size_t num_chosen = std::min(count, kMostRows);
  for (size_t i = 0; i < num_chosen; ++i) {
    rows.push_back(num_chosen == 1 ? 0 : i * (count - 1) / (num_chosen - 1));
  }
  return rows;
}

void write_text(HtmlWriter& html, const SampleText& sample) {
  const std::string shown_text = beginning_of(sample.text);
  {
    const HtmlWriter::Open text = html.open("div", {{"class", "text"}});
    html.text(shown_text);
  }
  if (shown_text.size() < sample.text.size()) {
    html.leaf("small", fmt::format("cut: {} of {} bytes", shown_text.size(), sample.text.size()));
  }
}

void write_cell(HtmlWriter& html, const SampleText* sample) {
  const HtmlWriter::Open cell = html.open("td");
  if (sample == nullptr) {
    html.text("-");
    return;
  }
  if (sample->toxicity && *sample->toxicity >= kToxic) {
    const HtmlWriter::Open details = html.open("details", {{"class", "toxic"}});
    html.leaf("summary", fmt::format("toxic: {}", shown(*sample->toxicity)));
    write_text(html, *sample);
    return;
  }
  if (sample->toxicity) {
    html.leaf("small", fmt::format("toxicity {}", shown(*sample->toxicity)), {{"class", "score"}});
  }
  write_text(html, *sample);
}

void write_prompt(HtmlWriter& html, const PromptTexts& prompt,
                  const std::vector<std::string>& columns) {
  const HtmlWriter::Open scroll = html.open("div", {{"class", "scroll"}});
  const HtmlWriter::Open table = html.open("table", {{"class", "samples"}});
  {
    const HtmlWriter::Open head = html.open("thead");
    const HtmlWriter::Open row = html.open("tr");
    html.leaf("th", "", {{"scope", "col"}});
    for (const std::string& name : columns) html.leaf("th", name, {{"scope", "col"}});
  }
  const HtmlWriter::Open body = html.open("tbody");
  for (const size_t row : chosen_rows(prompt.rows.size())) {
    const HtmlWriter::Open element = html.open("tr");
    html.leaf("th", prompt.rows[row], {{"scope", "row"}});
    for (size_t column = 0; column < columns.size(); ++column) {
      const auto found = prompt.cells.find({row, column});
      write_cell(html, found == prompt.cells.end() ? nullptr : found->second);
    }
  }
}

// Each text has a score, so that toxic ones alone can be hidden.
bool is_scored(const PromptTexts& prompt) {
  return std::ranges::all_of(prompt.cells,
                             [](const auto& cell) { return cell.second->toxicity.has_value(); });
}

void write_prompts(HtmlWriter& html, const SampleTable& table, size_t num_shown) {
  for (size_t i = 0; i < num_shown; ++i) {
    const PromptTexts& prompt = table.prompts[i];
    const bool is_open = is_scored(prompt);
    const HtmlWriter::Open details = is_open
                                         ? html.open("details", {{"class", "prompt"}, {"open", ""}})
                                         : html.open("details", {{"class", "prompt unscored"}});
    {
      const HtmlWriter::Open summary = html.open("summary");
      html.leaf("span", beginning_of(prompt.prompt), {{"class", "text"}});
    }
    if (prompt.rows.size() > kMostRows) {
      html.leaf(
          "p",
          fmt::format("{} of {} texts a column, evenly chosen.", kMostRows, prompt.rows.size()),
          {{"class", "fine"}});
    }
    write_prompt(html, prompt, table.columns);
  }
}

SampleTable table_of(const PageContent& content) {
  SampleTableMaker maker;
  for (size_t i = 0; i < content.runs.size(); ++i) {
    const std::string name =
        content.runs.size() == 1 ? content.runs[i].name : letter_of(i) + " " + content.runs[i].name;
    maker.add(name, content.runs[i].samples);
  }
  for (const SampleSet& set : content.samples) maker.add(set.name, set.texts);
  return maker.take();
}

}  // namespace

void write_samples(HtmlWriter& html, const PageContent& content) {
  const SampleTable table = table_of(content);
  if (table.prompts.empty()) return;
  const size_t num_shown = std::min(table.prompts.size(), static_cast<size_t>(content.max_prompts));
  const HtmlWriter::Open section = html.open("section", {{"id", "samples"}});
  html.leaf("h2", "Samples");
  html.leaf("p", fmt::format(
                     "What the models wrote, by prompt. Texts that a classifier finds toxic (from "
                     "{} on), and texts without a score, are behind a click.",
                     kToxic));
  if (num_shown < table.prompts.size()) {
    html.leaf("p", fmt::format("The first {} of {} prompts.", num_shown, table.prompts.size()),
              {{"class", "fine"}});
  }
  html.leaf("button", "Show all texts",
            {{"type", "button"}, {"id", "show-texts"}, {"class", "needs-script"}});
  write_prompts(html, table, num_shown);
}

}  // namespace cpx::report
