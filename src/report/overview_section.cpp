// SPDX-License-Identifier: Apache-2.0
#include <array>

#include <fmt/format.h>

#include "numbers.h"
#include "run_facts.h"
#include "sections.h"
#include "svg_chart.h"

namespace cpx::report {

namespace {

// A figure of the table of runs: the mean over the last steps, or the last value.
struct Summary {
  const char* key;
  const char* title;
  bool is_mean;
};

constexpr size_t kStepsOfAMean = 20;

constexpr std::array<Summary, 9> kSummaries = {{
    {"loss", "loss", true},
    {"contrast", "contrast", true},
    {"positive_perplexity", "perplexity, neutral", true},
    {"hard_negative_perplexity", "perplexity, toxic", true},
    {"reward_accuracy", "preference accuracy", true},
    {"reward_mean", "reward", true},
    {"eval_loss", "evaluation loss", false},
    {"eval_separation", "evaluation separation", false},
    {"eval_score", "evaluation score", false},
}};

std::string text_of(const Summary& summary, const RunRecord& run) {
  const MetricSeries* const series = run.find_series(summary.key);
  if (series == nullptr) return "-";
  if (!summary.is_mean) return shown(series->values.back());
  const size_t count = std::min(kStepsOfAMean, series->values.size());
  double sum = 0.0;
  for (size_t i = series->values.size() - count; i < series->values.size(); ++i) {
    sum += series->values[i];
  }
  return shown(sum / static_cast<double>(count));
}

bool any_run_has(const PageContent& content, const Summary& summary) {
  for (const RunRecord& run : content.runs) {
    if (run.find_series(summary.key) != nullptr) return true;
  }
  return false;
}

// The name of a run with its colour; with several runs a switch that hides its curves.
void write_run_name(HtmlWriter& html, const PageContent& content, size_t run) {
  const HtmlWriter::Open cell = html.open("th", {{"scope", "row"}});
  const std::string number = std::to_string(run);
  if (content.runs.size() > 1) {
    const HtmlWriter::Open label = html.open("label");
    html.empty("input",
               {{"type", "checkbox"}, {"checked", ""}, {"class", "switch"}, {"data-run", number}});
    write_swatch(html, static_cast<int>(run), 0);
    html.leaf("b", letter_of(run));
    html.text(content.runs[run].name);
    return;
  }
  html.text(content.runs[run].name);
}

void write_run_table(HtmlWriter& html, const PageContent& content) {
  const HtmlWriter::Open scroll = html.open("div", {{"class", "scroll"}});
  const HtmlWriter::Open table = html.open("table", {{"class", "figures"}});
  html.leaf("caption",
            fmt::format("How each run ended: training figures are means over its last {} "
                        "steps, those of evaluations the last ones.",
                        kStepsOfAMean));
  {
    const HtmlWriter::Open head = html.open("thead");
    const HtmlWriter::Open row = html.open("tr");
    html.leaf("th", "run", {{"scope", "col"}});
    for (const char* const name : {"objective", "steps", "time"}) {
      html.leaf("th", name, {{"scope", "col"}, {"class", "value"}});
    }
    for (const Summary& summary : kSummaries) {
      if (any_run_has(content, summary)) {
        html.leaf("th", summary.title, {{"scope", "col"}, {"class", "value"}});
      }
    }
  }
  const HtmlWriter::Open body = html.open("tbody");
  for (size_t i = 0; i < content.runs.size(); ++i) {
    const RunRecord& run = content.runs[i];
    const HtmlWriter::Open row = html.open("tr");
    write_run_name(html, content, i);
    html.leaf("td", run.setting("objective.name"));
    const MetricSeries* const loss = run.find_series("loss");
    html.leaf("td", loss == nullptr ? "-" : shown(static_cast<double>(loss->steps.back())));
    const double seconds = training_seconds(run);
    html.leaf("td", seconds > 0.0 ? shown_seconds(seconds) : "-");
    for (const Summary& summary : kSummaries) {
      if (any_run_has(content, summary)) html.leaf("td", text_of(summary, run));
    }
  }
}

}  // namespace

std::string letter_of(size_t run) {
  constexpr size_t kLetters = 26;
  return run < kLetters ? std::string(1, static_cast<char>('A' + run)) : std::to_string(run + 1);
}

void write_overview(HtmlWriter& html, const PageContent& content) {
  if (content.runs.empty()) return;
  const HtmlWriter::Open section = html.open("section", {{"id", "runs"}});
  html.leaf("h2", content.runs.size() == 1 ? "The run" : "The runs");
  write_run_table(html, content);
  write_differences(html, content);
}

}  // namespace cpx::report
