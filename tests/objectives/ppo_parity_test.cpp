// SPDX-License-Identifier: Apache-2.0
// Equal to TRL's classic PPOTrainer on the same numbers: scripts/fixtures/make_ppo.py.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/objectives/ppo.h"
#include "cpx/objectives/ppo_rewards.h"

namespace cpx::objectives {
namespace ppo_parity_test {

using Json = nlohmann::json;
using Doubles = std::vector<double>;
constexpr double kTolerance = 1e-10;
constexpr double kFloatTolerance = 1e-5;  // where TRL computes in float32

Json read_fixture(const std::string& part) {
  std::ifstream file(CPX_SOURCE_DIR "/tests/fixtures/objectives/ppo.json");
  return Json::parse(file).at(part);
}

// Lists of numbers laid end to end.
struct Rows {
  Doubles values = {};
  std::vector<TokenRange> ranges = {};
};

Rows rows_of(const Json& lists) {
  Rows rows;
  for (const Json& list : lists) {
    rows.ranges.push_back({.first = std::ssize(rows.values), .count = std::ssize(list)});
    for (const double value : list) rows.values.push_back(value);
  }
  return rows;
}

void expect_near(double value, double expected, double tolerance, const std::string& what) {
  EXPECT_NEAR(value, expected, tolerance * std::max(1.0, std::abs(expected))) << what;
}

void expect_rows(const Doubles& values, const Json& expected, const std::string& what) {
  const Rows rows = rows_of(expected);
  ASSERT_EQ(values.size(), rows.values.size()) << what;
  for (size_t i = 0; i < values.size(); ++i) {
    expect_near(values[i], rows.values[i], kTolerance, what);
  }
}

TEST(Ppo, RewardsEqualTrl) {
  const std::map<std::string, KlPenalty> penalties = {{"kl", KlPenalty::kKl},
                                                      {"abs", KlPenalty::kAbs},
                                                      {"mse", KlPenalty::kMse},
                                                      {"k3", KlPenalty::kK3},
                                                      {"full", KlPenalty::kFull}};
  for (const Json& one : read_fixture("rewards")) {
    SCOPED_TRACE(one["kl_penalty"].get<std::string>());
    const Rows nll = rows_of(one["nll"]);
    const Rows reference = rows_of(one["reference_nll"]);
    const Rows kl = rows_of(one["kl"]);
    const TokenRewards result = token_rewards({.responses = nll.ranges,
                                               .token_nll = nll.values,
                                               .reference_token_nll = reference.values,
                                               .full_kl = kl.values},
                                              one["scores"].get<Doubles>(),
                                              penalties.at(one["kl_penalty"]), one["kl_coef"]);
    expect_rows(result.rewards, one["rewards"], "rewards");
    expect_rows(result.kl, one["kl"], "kl");
    expect_near(result.mean_kl, one["mean_kl"], kTolerance, "mean_kl");
    expect_near(result.mean_non_score_reward, one["mean_non_score_reward"], kTolerance,
                "mean_non_score_reward");
  }
}

TEST(Ppo, AdvantagesAndReturnsEqualTrl) {
  for (const Json& one : read_fixture("advantages")) {
    SCOPED_TRACE(one["options"].dump());
    const Rows values = rows_of(one["values"]);
    const Json& options = one["options"];
    const Advantages result =
        compute_advantages(values.ranges, values.values, rows_of(one["rewards"]).values,
                           {.gamma = options["gamma"],
                            .lam = options["lam"],
                            .whiten_rewards = options["whiten_rewards"]});
    expect_rows(result.advantages, one["advantages"], "advantages");
    expect_rows(result.returns, one["returns"], "returns");
  }
}

// The numbers of a loss case, and the responses that look into them.
struct LossCase {
  explicit LossCase(const Json& one)
      : nll(rows_of(one["nll"])),
        values(rows_of(one["values"])),
        entropy(rows_of(one["entropy"])),
        old_nll(rows_of(one["old_nll"])),
        old_values(rows_of(one["old_values"])),
        advantages(rows_of(one["advantages"])),
        returns(rows_of(one["returns"])) {
    for (const TokenRange& tokens : nll.ranges) {
      const auto cut = [&](const Rows& rows) {
        return std::span(rows.values).subspan(tokens.first, tokens.count);
      };
      responses.push_back({.tokens = tokens,
                           .old_nll = cut(old_nll),
                           .old_values = cut(old_values),
                           .advantages = cut(advantages),
                           .returns = cut(returns)});
    }
  }

  PpoResult run(const Json& options) const {
    return ppo({.responses = responses,
                .token_nll = nll.values,
                .values = values.values,
                .token_entropy = entropy.values},
               {.cliprange = options["cliprange"],
                .cliprange_value = options["cliprange_value"],
                .vf_coef = options["vf_coef"],
                .ratio_threshold = options["ratio_threshold"]},
               std::ssize(nll.values));
  }

  Rows nll, values, entropy, old_nll, old_values, advantages, returns;
  std::vector<PpoResponse> responses = {};
};

void expect_stats(const PpoSums& sums, const Json& one) {
  const auto tokens = static_cast<double>(sums.tokens);
  const Json& stats = one["stats"];
  const auto expect_mean = [&](double sum, const std::string& key) {
    expect_near(sum / tokens, stats.at(key), kTolerance, key);
  };
  expect_mean(sums.policy_loss, "loss/policy");
  expect_mean(sums.value_loss, "loss/value");
  expect_mean(sums.entropy, "policy/entropy");
  expect_mean(0.5 * sums.squared_change, "policy/approxkl");
  expect_mean(sums.change, "policy/policykl");
  expect_mean(sums.advantage, "policy/advantages_mean");
  expect_mean(sums.value, "val/vpred");
  expect_mean(sums.squared_error, "val/error");
  expect_mean(sums.returns, "returns/mean");
  expect_mean(static_cast<double>(sums.num_clipped), "policy/clipfrac");
  expect_mean(static_cast<double>(sums.num_clipped_values), "val/clipfrac");
  expect_near(*explained_variance(sums), stats["var_explained"], kTolerance, "var_explained");
  expect_near(sums.ratio / tokens, one["mean_ratio"], kTolerance, "mean_ratio");
}

TEST(Ppo, LossesGradientsAndStatsEqualTrl) {
  size_t num_skipped = 0;
  for (const Json& one : read_fixture("losses")) {
    SCOPED_TRACE(one["options"].dump());
    const PpoResult result = LossCase(one).run(one["options"]);
    expect_near(result.loss, one["loss"], kTolerance, "loss");
    expect_rows(result.gradient, one["gradient"], "gradient");
    expect_rows(result.value_gradient, one["value_gradient"], "value_gradient");
    expect_stats(result.sums, one);
    num_skipped += result.is_skipped ? 1 : 0;
  }
  EXPECT_EQ(num_skipped, 1u);
}

ScoreOptions score_options(const Json& options) {
  ScoreOptions result{.use_score_scaling = options.value("use_score_scaling", false),
                      .use_score_norm = options.value("use_score_norm", false)};
  if (options.contains("score_clip")) result.score_clip = options["score_clip"].get<double>();
  return result;
}

std::vector<ResponseScore> response_scores(const Json& values) {
  std::vector<ResponseScore> scores;
  for (const double value : values) scores.push_back({.score = value});
  return scores;
}

// Three batches one after the other, the state carried on as a checkpoint would.
TEST(Ppo, ScoresAndKlCoefficientFollowTrlStepByStep) {
  for (const Json& one : read_fixture("steps")) {
    SCOPED_TRACE(one["options"].dump());
    const KlOptions kl{.init_kl_coef = one["init_kl_coef"],
                       .adap_kl_ctrl = one["kl"]["adap_kl_ctrl"],
                       .target = one["kl"]["target"],
                       .horizon = one["kl"]["horizon"]};
    RunningMoments moments;
    double kl_coef = kl.init_kl_coef;
    for (const Json& step : one["steps"]) {
      const ProcessedScores scores =
          process_scores(response_scores(step["scores"]), score_options(one["options"]), moments);
      moments = scores.moments;
      for (size_t i = 0; i < scores.scores.size(); ++i) {
        expect_near(scores.scores[i], step["processed"][i], kFloatTolerance, "score");
      }
      expect_near(moments.mean, step["moments"]["mean"], kFloatTolerance, "mean");
      expect_near(moments.std, step["moments"]["std"], kFloatTolerance, "std");
      expect_near(moments.var, step["moments"]["var"], kFloatTolerance, "var");
      EXPECT_EQ(moments.count, step["moments"]["count"].get<double>());
      kl_coef = updated_kl_coef(kl_coef, kl, step["mean_kl"], std::ssize(scores.scores));
      expect_near(kl_coef, step["kl_coef"], kTolerance, "kl_coef");
    }
  }
}

}  // namespace ppo_parity_test
}  // namespace cpx::objectives
