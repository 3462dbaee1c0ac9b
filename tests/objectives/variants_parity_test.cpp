// SPDX-License-Identifier: Apache-2.0
// Prototype, transfer and cycle equal the same formulas in plain PyTorch:
// scripts/fixtures/make_variants.py.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/objectives/cycle.h"
#include "cpx/objectives/prototype.h"
#include "cpx/objectives/transfer.h"

namespace cpx::objectives {
namespace variants_parity_test {

using Json = nlohmann::json;
constexpr double kTolerance = 1e-10;

Json read_fixture() {
  std::ifstream file(CPX_SOURCE_DIR "/tests/fixtures/objectives/variants.json");
  return Json::parse(file);
}

// One micro batch of a case: its texts as the fixture has them, laid end to end.
struct MicroBatch {
  int64_t num_groups = 0;
  std::vector<Json> texts = {};
  std::vector<TokenRange> ranges = {};
  std::vector<double> token_nll = {};
};

MicroBatch micro_batch_of(const Json& one, int64_t index) {
  MicroBatch result{.num_groups = one["micro_batches"][index]};
  for (const Json& text : one["texts"]) {
    if (text["micro_batch"] != index) continue;
    const auto nll = text["nll"].get<std::vector<double>>();
    result.texts.push_back(text);
    result.ranges.push_back({.first = std::ssize(result.token_nll), .count = std::ssize(nll)});
    result.token_nll.insert(result.token_nll.end(), nll.begin(), nll.end());
  }
  return result;
}

ObjectiveResult run_prototype(const MicroBatch& micro_batch, const Json& settings,
                              const StepCounts& step) {
  const std::map<std::string, TextRole> roles = {{"input", TextRole::kInput},
                                                 {"positive", TextRole::kPositive},
                                                 {"hard_negative", TextRole::kHardNegative}};
  std::vector<GroupText> texts;
  for (size_t i = 0; i < micro_batch.texts.size(); ++i) {
    const Json& text = micro_batch.texts[i];
    texts.push_back(
        {.group = text["group"], .role = roles.at(text["kind"]), .tokens = micro_batch.ranges[i]});
  }
  using Longest = PrototypeOptions::Longest;
  return prototype(
      {.texts = texts, .num_groups = micro_batch.num_groups, .token_nll = micro_batch.token_nll},
      {.longest = settings["longest"] == "group" ? Longest::kGroup : Longest::kBatch}, step);
}

ObjectiveResult run_transfer(const MicroBatch& micro_batch, const Json& settings,
                             const StepCounts& step) {
  const std::map<std::string, TransferPart> parts = {
      {"positive_reference", TransferPart::kPositiveReference},
      {"negative_reference", TransferPart::kNegativeReference},
      {"reference_negative", TransferPart::kReferenceNegative}};
  std::vector<TransferText> texts;
  for (size_t i = 0; i < micro_batch.texts.size(); ++i) {
    const Json& text = micro_batch.texts[i];
    texts.push_back(
        {.group = text["group"], .part = parts.at(text["kind"]), .tokens = micro_batch.ranges[i]});
  }
  return transfer(
      {.texts = texts, .num_groups = micro_batch.num_groups, .token_nll = micro_batch.token_nll},
      {.alpha = settings["alpha"]}, step);
}

CycleText cycle_text(const Json& text, const TokenRange& range) {
  const std::string kind = text["kind"];
  const std::string side = kind.substr(0, kind.find('/'));
  const std::string term = kind.substr(kind.find('/') + 1);
  CycleText result{.group = text["group"], .tokens = range};
  if (side != "-") {
    result.contrast = side == "positive" ? TextRole::kPositive : TextRole::kHardNegative;
  }
  if (term != "-") {
    result.term = term == "pairs"       ? CycleTerm::kPairs
                  : term == "positives" ? CycleTerm::kPositives
                                        : CycleTerm::kNegatives;
  }
  return result;
}

ObjectiveResult run_cycle(const MicroBatch& micro_batch, const Json& settings,
                          const StepCounts& step) {
  std::vector<CycleText> texts;
  for (size_t i = 0; i < micro_batch.texts.size(); ++i) {
    texts.push_back(cycle_text(micro_batch.texts[i], micro_batch.ranges[i]));
  }
  using Centroid = CycleOptions::Centroid;
  return cycle(
      {.texts = texts, .num_groups = micro_batch.num_groups, .token_nll = micro_batch.token_nll},
      {.alpha = settings["alpha"],
       .label_smoothing = settings["label_smoothing"],
       .centroid = settings["centroid"] == "group" ? Centroid::kGroup : Centroid::kBatch},
      step);
}

bool is_of_term(const Json& text, const std::string& transfer_kind, const std::string& term) {
  const std::string kind = text["kind"];
  return kind == transfer_kind || kind.ends_with("/" + term);
}

StepCounts counts_of(const Json& one) {
  StepCounts counts;
  for (const int64_t groups : one["micro_batches"]) counts.groups += groups;
  for (const Json& text : one["texts"]) {
    counts.pairs += is_of_term(text, "negative_reference", "pairs") ? 1 : 0;
    counts.positive_texts += is_of_term(text, "", "positives") ? 1 : 0;
    counts.negative_texts += is_of_term(text, "", "negatives") ? 1 : 0;
  }
  return counts;
}

TEST(Variants, EqualPlainPyTorch) {
  const std::map<std::string, decltype(&run_cycle)> objectives = {
      {"prototype", run_prototype}, {"transfer", run_transfer}, {"cycle", run_cycle}};
  const Json cases = read_fixture();
  ASSERT_GE(cases.size(), 14u);
  for (const Json& one : cases) {
    SCOPED_TRACE(one["name"].get<std::string>());
    double loss = 0.0;
    for (int64_t m = 0; m < std::ssize(one["micro_batches"]); ++m) {
      const MicroBatch micro_batch = micro_batch_of(one, m);
      const ObjectiveResult result =
          objectives.at(one["objective"])(micro_batch, one["settings"], counts_of(one));
      loss += result.loss;
      for (size_t i = 0; i < micro_batch.texts.size(); ++i) {
        const Json& expected = micro_batch.texts[i]["gradient"];
        for (int64_t t = 0; t < micro_batch.ranges[i].count; ++t) {
          EXPECT_NEAR(result.gradient[micro_batch.ranges[i].first + t], expected[t], kTolerance)
              << "text " << i << ", " << t;
        }
      }
    }
    EXPECT_NEAR(loss, one["loss"], kTolerance * one["loss"].get<double>());
  }
}

}  // namespace variants_parity_test
}  // namespace cpx::objectives
