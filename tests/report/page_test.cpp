// SPDX-License-Identifier: Apache-2.0
// The page as a whole: what stands on it, and what never does.
#include "cpx/report/page.h"

#include <cmath>
#include <gmock/gmock.h>
#include <regex>
#include <string>

#include <gtest/gtest.h>

#include "cpx/core/version.h"

namespace cpx::report {
namespace page_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

RunRecord small_run(const std::string& name, double loss) {
  RunRecord run{
      .name = name,
      .folder = "runs/" + name,
      .metrics = {{.key = "loss", .steps = {1, 2, 3}, .values = {loss, 2.5, 1.125}},
                  {.key = "skipped_steps", .steps = {1, 2, 3}, .values = {0, 0, 0}}},
      .settings = {{"model.path", "models/small.gguf"}, {"training.output", "runs/" + name}},
      .facts = {{"Base model", "models/small.gguf"}},
      .samples = {},
      .notes = {}};
  run.samples = {{.prompt = "A kettle", .text = " sings of " + name, .row = "step 0"}};
  return run;
}

EvaluationRecord report_of(const std::string& json, const std::string& source = "a.json") {
  return evaluation_of(JsonValue::parse("[" + source + "]", json), source);
}

PageContent small_content() {
  PageContent content{.title = "Small page",
                      .runs = {small_run("one", 4.0), small_run("two", 3.0)}};
  content.evaluations = {
      report_of(R"({"model":"m","adapter":null,"sides":{"toxic":{"texts":3,"perplexity":20.5}},)"
                R"("separation":0.625,"groups":{"a":{"ratio":1.5},"b":{"ratio":2.5}}})"),
      report_of(R"({"model":"m","adapter":"runs/one/final","sides":{"toxic":{"texts":3,)"
                R"("perplexity":41.0}},"separation":0.75,"separation_interval":{"low":0.7,)"
                R"("high":0.8},"groups":{"a":{"ratio":3.0},"b":{"ratio":2.5}}})"),
  };
  content.samples = {
      {.name = "base.jsonl",
       .texts = {{.prompt = "A lid", .text = " falls", .row = "sample 0", .toxicity = 0.125},
                 {.prompt = "A lid", .text = " cracks", .row = "sample 1", .toxicity = 0.875}}}};
  content.notes = {"[c.json] something was left out."};
  return content;
}

// Headings, summaries and captions in their order.
std::vector<std::string> outline_of(const std::string& page) {
  std::vector<std::string> outline;
  const std::regex heading("<(h[1-4]|summary|caption)[^>]*>([\\s\\S]*?)</\\1>");
  for (std::sregex_iterator it(page.begin(), page.end(), heading), end; it != end; ++it) {
    const std::string text = std::regex_replace(it->str(2), std::regex("<[^>]*>|\n"), "");
    outline.push_back(it->str(1) + " " + text);
  }
  return outline;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Page, HasThisOutline) {
  EXPECT_THAT(
      outline_of(page_html(small_content())),
      ElementsAre("h1 Small page", "h2 The runs",
                  "caption How each run ended: training figures are means over its last 20 steps, "
                  "those of evaluations the last ones.",
                  "h3 Settings that differ", "h2 Evaluation",
                  "h3 Perplexity of toxic and neutral text", "h4 By target group",
                  "summary All other figures (1)", "h4 Sides", "summary How it was measured",
                  "h4 What differs", "h4 All settings", "h2 Curves", "h3 Loss", "summary Numbers",
                  "caption Loss", "h2 Samples", "summary A kettle", "summary A lid",
                  "summary toxic: 0.875", "h2 Settings", "summary 2 settings",
                  "h2 Facts for a model card", "summary As Markdown, to copy of A",
                  "summary As Markdown, to copy of B", "h2 What was left out"));
}

TEST(Page, TheSameContentGivesTheSameBytes) {
  EXPECT_EQ(page_html(small_content()), page_html(small_content()));
}

TEST(Page, NumbersOfTheReportsStandOnItWithAllDigits) {
  PageContent content = small_content();
  content.evaluations[0] =
      report_of(R"({"kind":"perplexity","model":"m","adapter":null,"ratio":6.9067415741912646})");
  EXPECT_THAT(
      page_html(content),
      HasSubstr("<data value=\"6.9067415741912646\" title=\"6.9067415741912646\">6.907</data>"));
}

TEST(Page, ChangesAndIntervalsStandBesideTheirFigures) {
  const std::string page = page_html(small_content());
  EXPECT_THAT(page, HasSubstr(">41</data>\n<small class=\"change\">+100.0 %</small>"));
  EXPECT_THAT(page, HasSubstr(">0.75</data>\n<small>[0.7, 0.8]</small>\n<small "
                              "class=\"change\">+0.125</small>"));
  EXPECT_THAT(page, HasSubstr(">2.5</data>\n<small class=\"change\">unchanged</small>"));
  // From 0.625 to 0.8 on 150 units with 5 % of room at each end: 0.7 stands at 65.2, 0.8 at 143.2.
  EXPECT_THAT(page, HasSubstr("<path class=\"line s0 r0\" d=\"M65.3 18H143.2\"/>"));
  EXPECT_THAT(page, HasSubstr("<th scope=\"col\" class=\"value\">A final</th>"));
}

TEST(Page, ReportsOfOtherMeasurementsStandApart) {
  PageContent content = small_content();
  content.evaluations[1] = report_of(
      R"({"model":"m","adapter":"x","sides":{"toxic":{"texts":4,"perplexity":41.0}},"separation":1})");
  EXPECT_EQ(count_of(page_html(content), "Perplexity of toxic and neutral text</h3>"), 2U);
}

TEST(Page, EachKindOfReportHasItsTables) {
  PageContent content{.title = "Kinds"};
  content.evaluations = {
      report_of(
          R"({"kind":"choice","model":"m","tasks":[{"task":"piqa","documents":9,"acc":0.7125,)"
          R"("acc_stderr":0.01},{"task":"mmlu","acc":0.25,"groups":[{"group":"stem","acc":0.2,)"
          R"("subjects":[{"subject":"anatomy","acc":0.15625}]}]}]})"),
      report_of(R"({"kind":"toxicity","model":"m","name":"base","notes":["toxic: >= 0.5"],)"
                R"("scorers":[{"scorer":"models/judge","label":"toxic","all":{"prompts":4,)"
                R"("expected_maximum_toxicity":0.40625},"groups":{"g":{"toxic_share":0.3125}}}],)"
                R"("texts":{"all":{"distinct_2":0.84375}}})"),
      report_of(R"({"kind":"rewrite","model":"m","scorers":[{"scorer":"s","all":{)"
                R"("toxicity_rate":0.21875}}],"texts":{"all":{"similarity":0.90625}}})"),
      report_of(R"({"kind":"safety","model":"m","average":0.53125,"groups":{"g":{"score":0.59375,)"
                R"("p_value":0.02,"left_out":null}}})"),
      report_of(R"({"kind":"brand_new","model":"m","odd":0.71875,"parts":{"x":{"y":0.65625}}})")};
  const std::string page = page_html(content);
  for (const char* const part : {"Multiple-choice tasks</h3>",
                                 ">0.7125</data>\n<small>\xC2\xB1 0.01</small>",
                                 "By category</h4>",
                                 "By subject</h4>",
                                 ">0.1562</data>",
                                 "Toxicity of continuations</h3>",
                                 "toxic: &gt;= 0.5",
                                 "Expected maximum toxicity",
                                 ">0.4062</data>",
                                 ">0.3125</data>",
                                 ">0.8438</data>",
                                 "Rewriting toxic text</h3>",
                                 ">0.2188</data>",
                                 ">0.9062</data>",
                                 "Safety score</h3>",
                                 ">0.5312</data>",
                                 ">0.5938</data>",
                                 "Brand new</h3>",
                                 ">0.7188</data>",
                                 ">0.6562</data>"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
}

TEST(Page, ToxicTextsAndThoseWithoutAScoreAreBehindAClick) {
  const std::string page = page_html(small_content());
  EXPECT_THAT(page, HasSubstr("<details class=\"toxic\"><summary>toxic: 0.875</summary>\n<div "
                              "class=\"text\"> cracks</div>"));
  EXPECT_THAT(page, HasSubstr("<details class=\"prompt unscored\"><summary><span "
                              "class=\"text\">A kettle</span>"));
  EXPECT_THAT(page, HasSubstr("<details class=\"prompt\" open=\"\"><summary><span "
                              "class=\"text\">A lid</span>"));
}

TEST(Page, MorePromptsAndTextsThanAreShownAreCounted) {
  PageContent content{.title = "Many", .max_prompts = 2};
  SampleSet set{.name = "a", .texts = {}};
  for (int i = 0; i < 3; ++i) {
    for (int k = 0; k < 12; ++k) {
      set.texts.push_back(
          {.prompt = "p" + std::to_string(i), .text = "t", .row = "step " + std::to_string(k)});
    }
  }
  set.texts.push_back({.prompt = "p0", .text = std::string(2000, 'x'), .row = "step 12"});
  content.samples = {set};
  const std::string page = page_html(content);
  EXPECT_THAT(page, HasSubstr("The first 2 of 3 prompts."));
  EXPECT_THAT(page, HasSubstr("8 of 13 texts a column, evenly chosen."));
  EXPECT_THAT(page, HasSubstr("<small>cut: 700 of 2000 bytes</small>"));
  EXPECT_THAT(page, Not(HasSubstr(">p2<")));
}

// ---- What never stands on it --------------------------------------------------------------------

constexpr const char* kEvil = "</script></style><img src=x onerror=alert(1)>\"'";

TEST(Page, NoTextCanBecomeMarkup) {
  PageContent content{.title = kEvil};
  RunRecord run = small_run(kEvil, 4.0);
  run.folder = kEvil;
  run.metrics[0].key = kEvil;
  run.settings = {{kEvil, kEvil}};
  run.facts = {{kEvil, kEvil}};
  run.samples = {{.prompt = kEvil, .text = kEvil, .row = kEvil, .side = kEvil}};
  run.notes = {kEvil};
  content.runs = {run, run};
  content.samples = {
      {.name = kEvil, .texts = {{.prompt = kEvil, .text = kEvil, .row = kEvil, .toxicity = 0.9}}}};
  EvaluationRecord report = report_of("{\"kind\":\"x\"}", kEvil);
  report.kind = kEvil;
  report.model = kEvil;
  report.adapter = kEvil;
  report.notes = {kEvil};
  report.settings = {{kEvil, kEvil}};
  report.figures.set({kEvil}, {.text = kEvil});
  report.figures.set({kEvil, kEvil, kEvil}, {.text = kEvil});
  content.evaluations = {report};
  content.notes = {kEvil};
  const std::string page = page_html(content);
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_EQ(count_of(page, "<script"), 2U);
  EXPECT_EQ(count_of(page, "</script>"), 2U);
  EXPECT_EQ(count_of(page, "</style>"), 1U);
  EXPECT_EQ(count_of(page, "<style"), 1U);
}

TEST(Page, LoadsNothingFromElsewhere) {
  const std::string page = page_html(small_content());
  for (const char* const part :
       {" src=", "@import", "url(h", "<link", "fetch(", "XMLHttpRequest"}) {
    EXPECT_THAT(page, Not(HasSubstr(part)));
  }
  const std::regex address("https?://[^\"' ]*");
  for (std::sregex_iterator it(page.begin(), page.end(), address), end; it != end; ++it) {
    EXPECT_EQ(it->str(), "http://www.w3.org/2000/svg");  // the name of a format
  }
  EXPECT_THAT(page, HasSubstr("content=\"default-src &#39;none&#39;; style-src &#39;sha256-"));
}

// 5,000 steps of 15 keys, noisy as real ones.
TEST(Page, OfALongRunStaysBelowTwoMegabytes) {
  RunRecord run = small_run("long", 1.0);
  run.metrics.clear();
  for (int key = 0; key < 15; ++key) {
    MetricSeries series{.key = "figure_" + std::to_string(key), .steps = {}, .values = {}};
    for (int64_t step = 1; step <= 5000; ++step) {
      series.steps.push_back(step);
      series.values.push_back(1.0 + std::sin(static_cast<double>(step * (key + 1)) * 1.7));
    }
    run.metrics.push_back(series);
  }
  const std::string page = page_html({.title = "Long", .runs = {run}});
  EXPECT_LT(page.size(), 2U * 1000 * 1000);
  EXPECT_THAT(page,
              HasSubstr("5000 values were thinned: a point is the mean of 17, the band reaches "
                        "from their least to their greatest."));
}

TEST(Page, NamesTheVersionThatMadeIt) {
  EXPECT_THAT(page_html(small_content()),
              HasSubstr("<footer>Made by cpx-report " + std::string(version()) + ".</footer>"));
}

}  // namespace page_test
}  // namespace cpx::report
