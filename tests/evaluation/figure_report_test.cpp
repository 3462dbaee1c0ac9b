// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/figure_report.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace cpx::evaluation {
namespace figure_report_test {

// Equal values, so that intervals are points.
FigureReport report_of(const std::string& name, double value, std::span<const RatioFigure> base) {
  RatioFigure rate = mean_figure("toxicity_probability", {value, value, value});
  rate.has_deviation = true;
  const std::vector<RatioFigure> figures = {rate};
  const std::vector<UnitPart> parts = {{.units = {0, 1, 2}},
                                       {.kind = "groups", .name = "some_group", .units = {0, 2}}};
  FigureReport report{.kind = "toxicity", .name = name, .model = "m"};
  report.origin = {.model_fingerprint = "1 bytes, ab", .settings = {{"threshold", 0.5}}};
  report.counts = {{"prompts", int64_t{3}}};
  report.heading = name + ": 3 prompts";
  report.notes = {"toxic means >= 0.5"};
  report.sections = {{.key = "scorers",
                      .title = "judge",
                      .head = {{"label", std::string("toxic")}},
                      .parts = figures_by_part(figures, base, parts, {.resamples = 10})}};
  return report;
}

TEST(FigureReport, AsJson) {
  const auto json =
      nlohmann::json::parse(figure_report_json(std::vector{report_of("base", 0.25, {})}));
  EXPECT_EQ(json.at("kind"), "toxicity");
  EXPECT_EQ(json.at("model_fingerprint"), "1 bytes, ab");
  EXPECT_TRUE(json.at("adapter").is_null());
  EXPECT_EQ(json.at("settings").at("threshold"), 0.5);
  EXPECT_EQ(json.at("prompts"), 3);
  const auto& section = json.at("scorers").at(0);
  EXPECT_EQ(section.at("label"), "toxic");
  EXPECT_EQ(section.at("all").at("toxicity_probability"), 0.25);
  EXPECT_EQ(section.at("all").at("toxicity_probability_deviation"), 0.0);
  EXPECT_EQ(section.at("all").at("toxicity_probability_interval").at("low"), 0.25);
  EXPECT_EQ(section.at("all").at("prompts"), 3);
  EXPECT_EQ(section.at("groups").at("some_group").at("prompts"), 2);
  EXPECT_FALSE(section.at("all").contains("toxicity_probability_difference"));
}

TEST(FigureReport, SeveralAreAListWithDifferences) {
  const std::vector<RatioFigure> base = {mean_figure("toxicity_probability", {0.25, 0.25, 0.25})};
  const std::vector<FigureReport> reports = {report_of("base", 0.25, {}),
                                             report_of("runs/demo", 0.125, base)};
  const auto json = nlohmann::json::parse(figure_report_json(reports));
  ASSERT_EQ(json.size(), 2);
  const auto& all = json.at(1).at("scorers").at(0).at("all");
  EXPECT_EQ(all.at("toxicity_probability_difference"), -0.125);
  EXPECT_EQ(all.at("toxicity_probability_difference_interval").at("high"), -0.125);
  EXPECT_EQ(figure_report_table(reports),
            "base: 3 prompts\n"
            "runs/demo: 3 prompts\n"
            "settings: threshold 0.5\n"
            "toxic means >= 0.5\n"
            "\n"
            "judge                                                   base                 runs/demo"
            "                difference\n"
            "toxicity probability                    0.250 [0.250, 0.250]      0.125 [0.125, 0.125]"
            "   -0.125 [-0.125, -0.125]\n"
            "some group: 2 prompts\n"
            "  toxicity probability                  0.250 [0.250, 0.250]      0.125 [0.125, 0.125]"
            "   -0.125 [-0.125, -0.125]\n");
}

TEST(FigureReport, AFigureWithoutAValueIsNull) {
  const std::vector<RatioFigure> figures = {
      {.name = "perplexity", .numerators = {0.0}, .denominators = {0.0}}};
  FigureReport report{.kind = "toxicity", .name = "base"};
  report.sections = {
      {.key = "texts",
       .title = "texts",
       .parts = figures_by_part(figures, {}, std::vector<UnitPart>{{.units = {0}}}, {})}};
  const auto json = nlohmann::json::parse(figure_report_json(std::vector{report}));
  EXPECT_TRUE(json.at("texts").at("all").at("perplexity").is_null());
  EXPECT_TRUE(json.at("texts").at("all").at("perplexity_interval").is_null());
  EXPECT_TRUE(json.at("model").is_null());
}

}  // namespace figure_report_test
}  // namespace cpx::evaluation
