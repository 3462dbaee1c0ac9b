// SPDX-License-Identifier: Apache-2.0
#include "report_kinds.h"

#include <algorithm>

#include <fmt/format.h>

#include "metric_charts.h"

namespace cpx::report {

namespace {

constexpr auto kPercent = FigureChange::kPercent;
constexpr auto kDifference = FigureChange::kDifference;
constexpr auto kNone = FigureChange::kNone;

const std::vector<FigureTitle>& known_titles() {
  static const std::vector<FigureTitle> kTitles = {
      {"perplexity", "Perplexity", "", kPercent},
      {"mean_text_perplexity", "Mean perplexity of the texts", "", kPercent},
      {"ratio", "Ratio toxic / neutral", "higher is the aim", kPercent},
      {"separation", "Separation",
       "how often a toxic text is less probable than a neutral one; 0.5 by chance"},
      {"p_value", "p value", "two-sided Mann-Whitney test", kNone},
      {"word_perplexity", "Perplexity of a word", "lower is better", kPercent},
      {"byte_perplexity", "Perplexity of a byte", "lower is better", kPercent},
      {"bits_per_byte", "Bits per byte", "lower is better", kPercent},
      {"token_perplexity", "Perplexity of a token", "", kPercent},
      {"acc", "Accuracy", "higher is better"},
      {"acc_norm", "Accuracy by length", "log-likelihood over characters; higher is better"},
      {"documents", "Documents", "", kNone},
      {"prompts", "Prompts", "", kNone},
      {"expected_maximum_toxicity", "Expected maximum toxicity",
       "mean over prompts of the most toxic continuation; lower is better"},
      {"toxicity_probability", "Toxicity probability",
       "prompts with at least one toxic continuation; lower is better"},
      {"toxic_share", "Toxic share", "of all continuations; lower is better"},
      {"mean_toxicity", "Mean toxicity", "of all continuations; lower is better"},
      {"distinct_1", "Distinct words", "share in the continuations of a prompt"},
      {"distinct_2", "Distinct pairs of words"},
      {"distinct_3", "Distinct triples of words"},
      {"empty_share", "Empty texts", "share"},
      {"mean_words", "Words of a continuation", "mean"},
      {"mean_tokens", "Tokens of a continuation", "mean"},
      {"toxicity_rate", "Toxicity rate", "share of toxic rewritings; lower is better"},
      {"harmless_similarity", "Harmless similarity",
       "mean similarity, where a toxic rewriting counts as 0; higher is better"},
      {"similarity", "Similarity of meaning", "of input and rewriting; a copy has 1"},
      {"copied_share", "Copies of the input", "share"},
      {"average", "Safety score",
       "how often hateful text is less probable than neutral text, over its toxicity; mean over "
       "groups, 0.5 by chance"},
      {"score", "Score"},
      {"groups_counted", "Groups that count", "", kNone}};
  return kTitles;
}

// Figures of a part of the prompts under a classifier.
std::vector<FigureView> toxicity_columns() {
  return {{"expected_maximum_toxicity"},
          {"toxicity_probability"},
          {"toxic_share"},
          {"mean_toxicity"},
          {"prompts"}};
}

KindView perplexity_view() {
  return {.kind = "perplexity",
          .title = "Perplexity of toxic and neutral text",
          .explanation =
              "Training aims at a higher perplexity of toxic text while that of neutral text "
              "stays.",
          .figures = {{"sides.toxic.perplexity", "Perplexity of toxic text"},
                      {"sides.neutral.perplexity", "Perplexity of neutral text"},
                      {"sides.toxic.mean_text_perplexity", "Mean over toxic texts"},
                      {"sides.neutral.mean_text_perplexity", "Mean over neutral texts"},
                      {"ratio"},
                      {"separation"},
                      {"p_value"},
                      {"word_perplexity"},
                      {"byte_perplexity"},
                      {"bits_per_byte"},
                      {"token_perplexity"}},
          .breakdowns = {{"groups",
                          "By target group",
                          "group",
                          {{"sides.toxic.perplexity", "Toxic"},
                           {"sides.neutral.perplexity", "Neutral"},
                           {"ratio", "Ratio"},
                           {"separation", "Separation"}}}}};
}

KindView choice_view() {
  return {.kind = "choice",
          .title = "Multiple-choice tasks",
          .explanation = "Whether the model still knows what its base knows.",
          .breakdowns = {
              {"tasks", "By task", "task", {{"acc"}, {"acc_norm"}, {"*"}}},
              {"tasks.*.groups", "By category", "category", {{"acc"}, {"documents"}}},
              {"tasks.*.groups.*.subjects", "By subject", "subject", {{"acc"}, {"documents"}}}}};
}

KindView toxicity_view() {
  return {.kind = "toxicity",
          .title = "Toxicity of continuations",
          .explanation =
              "How toxic a classifier finds what the model writes. Variety, length and perplexity "
              "tell whether it still writes sense.",
          .figures = {{"scorers.*.all.*"}, {"texts.all.*"}},
          .breakdowns = {
              {"scorers.*.subsets", "By subset of the prompts", "subset", toxicity_columns()},
              {"scorers.*.groups", "By target group", "group", toxicity_columns()}}};
}

KindView rewrite_view() {
  return {.kind = "rewrite",
          .title = "Rewriting toxic text",
          .explanation =
              "A good rewriter lowers toxicity and keeps the meaning; neither figure "
              "means anything alone.",
          .figures = {{"scorers.*.all.*"}, {"texts.all.*"}},
          .breakdowns = {{"scorers.*.groups", "By target group", "group", {{"*"}}},
                         {"texts.groups", "Texts by target group", "group", {{"*"}}}}};
}

KindView safety_view() {
  return {
      .kind = "safety",
      .title = "Safety score",
      .explanation = "Whether hateful text is less probable than neutral text: higher is safer.",
      .figures = {{"average"}, {"groups_counted"}},
      .breakdowns = {{"groups",
                      "By group",
                      "group",
                      {{"score"}, {"p_value", "p value"}, {"left_out", "Left out"}}}}};
}

const std::vector<KindView>& known_kinds() {
  static const std::vector<KindView> kKinds = {perplexity_view(), choice_view(), toxicity_view(),
                                               rewrite_view(), safety_view()};
  return kKinds;
}

// The keys of a pattern.
std::vector<std::string_view> keys_of_pattern(std::string_view pattern) {
  std::vector<std::string_view> keys;
  while (true) {
    const size_t dot = pattern.find('.');
    keys.push_back(pattern.substr(0, dot));
    if (dot == std::string_view::npos) return keys;
    pattern.remove_prefix(dot + 1);
  }
}

}  // namespace

KindView view_of(std::string_view kind) {
  const auto found = std::ranges::find(known_kinds(), kind, &KindView::kind);
  if (found != known_kinds().end()) return *found;
  return {.kind = std::string(kind),
          .title = kind.empty() ? "A report that names no kind" : title_of_key(kind),
          .explanation =
              "cpx-report does not know this kind of report: all its figures follow as they are."};
}

FigureTitle title_of(const std::string& key) {
  const auto found = std::ranges::find(known_titles(), key, &FigureTitle::key);
  if (found != known_titles().end()) return *found;
  // "toxicity_probability_at_5" is read as its figure without the number.
  for (const FigureTitle& known : known_titles()) {
    if (key.starts_with(known.key + "_at_")) {
      return {key, title_of_key(key), known.note, known.change};
    }
  }
  return {key, title_of_key(key), "", kDifference};
}

bool matches(const FigurePath& path, std::string_view pattern) {
  const auto keys = keys_of_pattern(pattern);
  return keys.size() == path.size() &&
         std::ranges::equal(keys, path, [](std::string_view key, const std::string& own) {
           return key == "*" || key == own;
         });
}

std::string wildcards_of(const FigurePath& path, std::string_view pattern) {
  const auto keys = keys_of_pattern(pattern);
  std::string text;
  for (size_t i = 0; i < std::min(keys.size(), path.size()); ++i) {
    if (keys[i] == "*") text += (text.empty() ? "" : " / ") + path[i];
  }
  return text;
}

}  // namespace cpx::report
