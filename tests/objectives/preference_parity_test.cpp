// SPDX-License-Identifier: Apache-2.0
// Equal to TRL on the same log-probabilities: scripts/fixtures/make_preference.py.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/objectives/cpo.h"
#include "cpx/objectives/npo.h"
#include "cpx/objectives/orpo.h"
#include "tests/objectives/preference_case.h"

namespace cpx::objectives {
namespace preference_parity_test {

using Json = nlohmann::json;
constexpr double kTolerance = 1e-10;  // of the expected value

Json read_fixture() {
  std::ifstream file(CPX_SOURCE_DIR "/tests/fixtures/objectives/preference.json");
  return Json::parse(file);
}

// The enum's value of that name.
template <class E>
E named(const std::string& name) {
  const auto names = enum_names(E{});
  const auto found = std::ranges::find(names, name);
  EXPECT_NE(found, names.end()) << name;
  return static_cast<E>(found - names.begin());
}

DpoOptions dpo_options(const Json& settings) {
  return {.loss = named<DpoOptions::Loss>(settings.at("loss")),
          .beta = settings.at("beta"),
          .label_smoothing = settings.at("label_smoothing"),
          .discopop_tau = settings.at("discopop_tau"),
          .rpo_alpha = settings.at("rpo_alpha")};
}

CpoOptions cpo_options(const Json& settings) {
  return {.loss = named<CpoOptions::Loss>(settings.at("loss")),
          .beta = settings.at("beta"),
          .label_smoothing = settings.at("label_smoothing"),
          .cpo_alpha = settings.at("cpo_alpha")};
}

SimpoOptions simpo_options(const Json& settings) {
  return {.loss = settings.at("loss") == "hinge" ? SimpoOptions::Loss::kHinge
                                                 : SimpoOptions::Loss::kSigmoid,
          .beta = settings.at("beta"),
          .gamma_beta_ratio = settings.at("gamma_beta_ratio"),
          .label_smoothing = settings.at("label_smoothing"),
          .sft_weight = settings.at("sft_weight")};
}

void add_pair(const Json& pair, PreferenceCase& result) {
  const auto answer = [&](const Json& one) {
    return result.answer(one.at("nll"), one.at("reference_nll"));
  };
  Preference preference{.chosen = answer(pair.at("chosen"))};
  for (const Json& one : pair.at("rejected")) preference.rejected.push_back(answer(one));
  result.preferences.push_back(preference);
}

ObjectiveResult run_case(const Json& one, const PreferenceCase& micro_batch,
                         const StepCounts& step) {
  const Json& settings = one["settings"];
  const PreferenceBatch batch = micro_batch.batch();
  const std::string name = one["objective"];
  if (name == "simpo") return simpo(batch, simpo_options(settings), step);
  if (name == "orpo") return orpo(batch, {.beta = settings.at("beta")}, step);
  if (name == "cpo") return cpo(batch, cpo_options(settings), step);
  if (name == "npo") {
    return npo(batch, {.beta = settings.at("beta"), .sft_weight = settings.at("sft_weight")}, step);
  }
  return dpo(batch, dpo_options(settings), step);
}

void expect_near(double value, const Json& expected, const std::string& what) {
  const double number = expected;
  EXPECT_NEAR(value, number, kTolerance * std::abs(number) + 1e-15) << what;
}

void expect_gradient(const Json& pair, const ObjectiveResult& result, int64_t first) {
  const auto expect_answer = [&](const Json& answer) {
    for (const Json& expected : answer.at("gradient")) {
      expect_near(result.gradient.at(first), expected, "gradient");
      ++first;
    }
  };
  expect_answer(pair.at("chosen"));
  std::ranges::for_each(pair.at("rejected"), expect_answer);
}

void expect_whole(const Json& one, const ObjectiveResult& result) {
  const PreferenceSums& sums = result.preferences;
  const auto pairs = static_cast<double>(sums.pairs);
  expect_near(result.loss, one["loss"], "loss");
  expect_near(sums.chosen_reward_sum / pairs, one["rewards_chosen"], "rewards_chosen");
  expect_near(sums.rejected_reward_sum / pairs, one["rewards_rejected"], "rewards_rejected");
  EXPECT_EQ(sums.num_correct, one["num_correct"].get<int64_t>());
}

TEST(Preference, EqualsTrl) {
  const Json cases = read_fixture();
  ASSERT_GE(cases.size(), 46u);
  for (const Json& one : cases) {
    SCOPED_TRACE(one["name"].get<std::string>());
    PreferenceCase whole;
    for (const Json& pair : one["pairs"]) add_pair(pair, whole);
    const ObjectiveResult result = run_case(one, whole, whole.counts());
    expect_whole(one, result);
    for (size_t i = 0; i < one["pairs"].size(); ++i) {
      expect_gradient(one["pairs"][i], result, whole.preferences[i].chosen.tokens.first);
    }
  }
}

TEST(Preference, MicroBatchesOfOnePairAddUpToTrlsMean) {
  for (const Json& one : read_fixture()) {
    SCOPED_TRACE(one["name"].get<std::string>());
    PreferenceCase whole;
    for (const Json& pair : one["pairs"]) add_pair(pair, whole);
    ObjectiveResult sum;
    for (const Json& pair : one["pairs"]) {
      PreferenceCase micro_batch;
      add_pair(pair, micro_batch);
      const ObjectiveResult result = run_case(one, micro_batch, whole.counts());
      expect_gradient(pair, result, 0);
      sum.loss += result.loss;
      sum.preferences += result.preferences;
    }
    expect_whole(one, sum);
  }
}

}  // namespace preference_parity_test
}  // namespace cpx::objectives
