// SPDX-License-Identifier: Apache-2.0
#include "group_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace cpx::objectives {

Score closeness(double difference, double rate) {
  const double value = std::exp(-rate * std::abs(difference));
  const double sign = difference > 0.0 ? 1.0 : (difference < 0.0 ? -1.0 : 0.0);
  return {.value = value, .slope = -rate * value * sign};
}

CrossEntropy cross_entropy(std::span<const ClassScore> classes, double label_smoothing) {
  const double floor = label_smoothing / static_cast<double>(classes.size());
  const auto target = [&](const ClassScore& one) {
    return (one.is_target ? 1.0 - label_smoothing : 0.0) + floor;
  };

  double max_logit = -std::numeric_limits<double>::infinity();
  for (const ClassScore& one : classes) max_logit = std::max(max_logit, one.score - one.lag);
  double exp_sum = 0.0;
  double target_sum = 0.0;
  for (const ClassScore& one : classes) {
    exp_sum += std::exp(one.score - one.lag - max_logit);
    target_sum += target(one);
  }
  const double log_sum_exp = max_logit + std::log(exp_sum);

  CrossEntropy result;
  for (const ClassScore& one : classes) {
    result.margin += target(one) * (log_sum_exp - one.score);
    result.constant += target(one) * one.lag;
    const double probability = std::exp(one.score - one.lag - log_sum_exp);
    result.slopes.push_back(target_sum * probability - target(one));
  }
  return result;
}

CentredCrossEntropy centred_cross_entropy(std::span<const CentredText> texts, double centre,
                                          double label_smoothing) {
  std::vector<ClassScore> classes;
  std::vector<double> score_slopes;
  for (const CentredText& text : texts) {
    const Score score = closeness(text.mean_nll - centre, /*rate=*/std::numbers::ln2);
    classes.push_back({.score = score.value, .is_target = text.is_target});
    score_slopes.push_back(score.slope);
  }
  CrossEntropy loss = cross_entropy(classes, label_smoothing);
  CentredCrossEntropy result{.value = loss.margin, .slopes = std::move(loss.slopes)};
  for (size_t i = 0; i < texts.size(); ++i) {
    result.slopes[i] *= score_slopes[i];
    result.centre_slope -= result.slopes[i];
  }
  return result;
}

}  // namespace cpx::objectives
