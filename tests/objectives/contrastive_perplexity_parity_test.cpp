// SPDX-License-Identifier: Apache-2.0
// Equal to the same objective in plain PyTorch: scripts/fixtures/make_objectives.py.
#include <fstream>
#include <map>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/objectives/contrastive_perplexity.h"
#include "tests/objectives/contrast_case.h"

namespace cpx::objectives {
namespace contrastive_perplexity_parity_test {

using Json = nlohmann::json;
constexpr double kTolerance = 1e-10;

Json read_fixture() {
  std::ifstream file(CPX_SOURCE_DIR "/tests/fixtures/objectives/contrastive_perplexity.json");
  return Json::parse(file);
}

ContrastiveOptions options_of(const Json& settings) {
  using Centroid = ContrastiveOptions::Centroid;
  const std::map<std::string, Centroid> centroids = {
      {"batch", Centroid::kBatch}, {"group", Centroid::kGroup}, {"base", Centroid::kBase}};
  return {.form = settings.at("form") == "paper" ? ContrastiveOptions::Form::kPaper
                                                 : ContrastiveOptions::Form::kCode,
          .alpha = settings.at("alpha"),
          .beta = settings.at("beta"),
          .tau = settings.at("tau"),
          .label_smoothing = settings.at("label_smoothing"),
          .centroid = centroids.at(settings.at("centroid")),
          .distance = settings.at("distance") == "signed" ? ContrastiveOptions::Distance::kSigned
                                                          : ContrastiveOptions::Distance::kAbsolute,
          .padding = settings.at("padding") == "published" ? ContrastiveOptions::Padding::kPublished
                                                           : ContrastiveOptions::Padding::kExclude,
          .negative_weight = settings.at("negative_weight"),
          .phi = settings.at("phi") == "perplexity" ? ContrastiveOptions::Phi::kPerplexity
                                                    : ContrastiveOptions::Phi::kMeanNll,
          .anchor = settings.at("anchor"),
          .hold = settings.at("hold")};
}

TextRole role_of(int code) {
  constexpr TextRole kRoles[] = {TextRole::kPositive, TextRole::kHardNegative,
                                 TextRole::kRandomNegative};
  return kRoles[code];
}

// One micro batch of a case, and which of the case's texts it holds.
struct MicroBatch {
  ContrastCase contrast_case;
  std::vector<size_t> texts;
};

Json chosen(const Json& values, const std::vector<size_t>& texts) {
  Json result = Json::array();
  for (const size_t i : texts) result.push_back(values.at(i));
  return result;
}

void add_pads(const Json& one, MicroBatch& micro_batch) {
  ContrastCase& result = micro_batch.contrast_case;
  const int64_t pads = one["pads"][micro_batch.texts[0]];
  const bool has_base = one.contains("base_token_nll");
  result.pad(pads + result.texts[0].count + 1, one["eos_nll"],
             chosen(one["first_nll"], micro_batch.texts),
             has_base ? one["base_eos_nll"].get<double>() : 0.0,
             has_base ? chosen(one["base_first_nll"], micro_batch.texts) : Json::array());
  for (size_t i = 0; i < micro_batch.texts.size(); ++i) {
    EXPECT_EQ(result.texts[i].num_pads, one["pads"][micro_batch.texts[i]]);
  }
}

MicroBatch micro_batch_of(const Json& one, int64_t index) {
  MicroBatch result;
  std::map<int64_t, int64_t> groups;
  for (size_t i = 0; i < one["role"].size(); ++i) {
    if (one["micro_batch"][i] != index) continue;
    const int64_t group = groups.try_emplace(one["group"][i], std::ssize(groups)).first->second;
    const Json base = one.contains("base_token_nll") ? one["base_token_nll"][i] : Json::array();
    result.contrast_case.add(group, role_of(one["role"][i]), one["token_nll"][i], base);
    result.texts.push_back(i);
  }
  result.contrast_case.num_groups = std::ssize(groups);
  if (one["settings"]["padding"] == "published") add_pads(one, result);
  return result;
}

void expect_gradient(const Json& one, const MicroBatch& micro_batch,
                     const std::vector<double>& gradient) {
  const ContrastCase& contrast_case = micro_batch.contrast_case;
  for (size_t i = 0; i < micro_batch.texts.size(); ++i) {
    const ContrastText& text = contrast_case.texts[i];
    const Json& expected = one["gradient"][micro_batch.texts[i]];
    ASSERT_EQ(std::ssize(expected), text.count);
    for (int64_t t = 0; t < text.count; ++t) {
      EXPECT_NEAR(gradient[text.first + t], expected[t], kTolerance) << "text " << i << ", " << t;
    }
    if (one.contains("first_gradient")) {
      EXPECT_NEAR(gradient[text.pad_prediction], one["first_gradient"][micro_batch.texts[i]],
                  kTolerance);
    }
  }
  if (one.contains("eos_gradient")) {
    EXPECT_NEAR(gradient[contrast_case.pad_repeat_prediction], one["eos_gradient"], kTolerance);
  }
}

void expect_case(const Json& one) {
  const size_t num_micro_batches = one["micro_batch_loss"].size();
  std::vector<MicroBatch> micro_batches;
  StepCounts step;
  for (size_t i = 0; i < num_micro_batches; ++i) {
    micro_batches.push_back(micro_batch_of(one, std::ssize(micro_batches)));
    const StepCounts counts = micro_batches.back().contrast_case.counts();
    step.groups += counts.groups;
    step.positive_texts += counts.positive_texts;
    step.positive_tokens += counts.positive_tokens;
  }
  double loss = 0.0;
  double contrast = 0.0;
  for (size_t i = 0; i < num_micro_batches; ++i) {
    const ObjectiveResult result = contrastive_perplexity(micro_batches[i].contrast_case.batch(),
                                                          options_of(one["settings"]), step);
    EXPECT_NEAR(result.loss, one["micro_batch_loss"][i], kTolerance);
    EXPECT_EQ(result.contrast.has_value(), !one["contrast"].is_null());
    loss += result.loss;
    contrast += result.contrast.value_or(0.0);
    expect_gradient(one, micro_batches[i], result.gradient);
  }
  EXPECT_NEAR(loss, one["loss"], kTolerance);
  if (!one["contrast"].is_null()) {
    EXPECT_NEAR(contrast, one["contrast"], kTolerance);
  }
}

TEST(ContrastivePerplexity, EqualsPlainPyTorch) {
  const Json cases = read_fixture();
  ASSERT_GE(cases.size(), 20u);
  for (const Json& one : cases) {
    SCOPED_TRACE(one["name"].get<std::string>());
    expect_case(one);
  }
}

}  // namespace contrastive_perplexity_parity_test
}  // namespace cpx::objectives
