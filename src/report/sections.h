// SPDX-License-Identifier: Apache-2.0
// The sections of the page, in its order. Each writes nothing where it has nothing to show.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cpx/report/page.h"
#include "html.h"

namespace cpx::report {

/// The letter that stands for a run in charts and tables: A, B, ...
std::string letter_of(size_t run);

/// The runs with their colours, and how each ended.
void write_overview(HtmlWriter& html, const PageContent& content);

/// The reports of the cpx-eval tools: a table for those that measure the same.
void write_evaluations(HtmlWriter& html, const PageContent& content);

/// The curves of the runs; returns the data from which the page's script draws them anew, as JSON.
std::string write_curves(HtmlWriter& html, const PageContent& content);

/// The texts that the models wrote.
void write_samples(HtmlWriter& html, const PageContent& content);

/// The settings that differ between the runs; a part of the overview.
void write_differences(HtmlWriter& html, const PageContent& content);

/// All settings of the runs.
void write_settings(HtmlWriter& html, const PageContent& content);

/// The facts for a model card.
void write_facts(HtmlWriter& html, const PageContent& content);

/// What was left out of the page, and why.
void write_notes(HtmlWriter& html, const PageContent& content);

/// Named texts of several runs or reports, in a table with a column each.
struct TextColumns {
  std::string rows;  // what a row is: "setting"
  std::vector<std::string> names;
  std::vector<std::span<const NamedText>> columns;
};

/// Writes a table of all names, or only of those whose texts differ; returns how many rows it has.
/// Without rows it writes nothing.
size_t write_text_table(HtmlWriter& html, const TextColumns& table, bool only_differences);

}  // namespace cpx::report
