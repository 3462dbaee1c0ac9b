// SPDX-License-Identifier: Apache-2.0
// The contrast of a group: scores that fall with the distance from a centre, and a cross entropy
// whose targets are class weights, as torch's CrossEntropyLoss takes class probabilities.
#pragma once

#include <span>
#include <vector>

namespace cpx::objectives {

/// A score with its derivative by the difference that it was made of.
struct Score {
  double value = 0.0;
  double slope = 0.0;
};

/// exp(-rate * |difference|); the derivative of |x| at 0 is 0.
Score closeness(double difference, double rate);

/// One class: its logit is score - lag, its target weight 1 or 0.
struct ClassScore {
  double score = 0.0;
  double lag = 0.0;
  bool is_target = false;
};

/// -sum_i y_i log softmax(score - lag)_i in two parts that add up to it.
struct CrossEntropy {
  double margin = 0.0;         // the part that the scores decide
  double constant = 0.0;       // sum_i y_i lag_i; no gradient
  std::vector<double> slopes;  // [classes] d / d score
};

/// Label smoothing e makes a target y (1 - e) + e / classes.
CrossEntropy cross_entropy(std::span<const ClassScore> classes, double label_smoothing);

/// A text of a group that is compared with a centre.
struct CentredText {
  double mean_nll = 0.0;
  bool is_target = false;
};

/// The cross entropy over the scores 2^-|mean_nll - centre|.
struct CentredCrossEntropy {
  double value = 0.0;
  std::vector<double> slopes;  // [texts] d / d mean_nll
  double centre_slope = 0.0;   // d / d centre
};

CentredCrossEntropy centred_cross_entropy(std::span<const CentredText> texts, double centre,
                                          double label_smoothing);

}  // namespace cpx::objectives
