// SPDX-License-Identifier: Apache-2.0
// The metrics of choice tasks and of rolling perplexity, as lm-evaluation-harness 0.4.13 has them.
// A metric gives each document a value and a weight; the figure of a task is a function of the sum
// of the values over the sum of the weights.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cpx/evaluation/choice_document.h"
#include "cpx/evaluation/statistics.h"

namespace cpx::evaluation {

/// A document's part of a figure.
struct MetricValue {
  double value = 0.0;
  double weight = 1.0;
};

/// How a figure's standard error is computed.
enum class ErrorRule {
  kNone,
  kOfMean,            // standard_error() of the values
  kHarnessBootstrap,  // the standard deviation of 100,000 resamples, drawn as the harness draws
};

/// One metric: its name and what makes it.
struct ChoiceMetric {
  std::string_view name;
  /// A document's part.
  MetricValue (*value)(const ChoiceDocument& document, std::span<const RequestScore> scores);
  /// From the mean value to the figure; null: the mean itself.
  double (*figure)(double mean) = nullptr;
  ErrorRule error = ErrorRule::kOfMean;
  /// The values are 0 (wrong) and 1 (right), so that two models are compared by McNemar's test.
  bool is_right_or_wrong = false;
};

// The choices' log-likelihoods, the first of equals wins.
extern const ChoiceMetric kAccuracy;            // "acc"
extern const ChoiceMetric kNormalizedAccuracy;  // "acc_norm": by code points
// Of what is asked otherwise than for one right choice.
extern const ChoiceMetric kTrueProbability;       // "acc" of truthfulqa_mc2
extern const ChoiceMetric kGreedyAccuracy;        // "acc" of lambada
extern const ChoiceMetric kPerplexity;            // "perplexity" of lambada
extern const ChoiceMetric kLikelihoodDifference;  // "likelihood_diff"
extern const ChoiceMetric kStereotypeShare;       // "pct_stereotype"
// Of rolling perplexity.
extern const ChoiceMetric kWordPerplexity;   // "word_perplexity"
extern const ChoiceMetric kBytePerplexity;   // "byte_perplexity"
extern const ChoiceMetric kBitsPerByte;      // "bits_per_byte"
extern const ChoiceMetric kTokenPerplexity;  // "token_perplexity"; the harness does not print it

/// The place of the largest value; the first of equals, and the first that is no number.
int64_t first_largest(std::span<const double> values);

/// The figure over `values`; NaN without any.
double metric_figure(const ChoiceMetric& metric, std::span<const MetricValue> values);

/// Its standard error; none for one document, and for metrics without one.
std::optional<double> metric_error(const ChoiceMetric& metric, std::span<const MetricValue> values);

/// Documents of one task in a group of tasks.
struct GroupPart {
  int64_t num_documents = 0;
  double accuracy = 0.0;
  std::optional<double> error = {};
};

/// The mean of a group, weighted by its tasks' documents; NaN without a document.
double group_mean(std::span<const GroupPart> parts);

/// The standard error of that mean, from the tasks' pooled variance; none if a task has none.
std::optional<double> group_error(std::span<const GroupPart> parts);

/// How a second model differs from a first one on the same documents.
struct MetricComparison {
  double difference = 0.0;                // second minus first
  std::optional<Interval> interval = {};  // bootstrap over documents, 95 %
  std::optional<double> p_value = {};     // McNemar's, for metrics that are right or wrong
};

/// Throws std::invalid_argument for lists of different lengths.
MetricComparison compare_metric(const ChoiceMetric& metric, std::span<const MetricValue> first,
                                std::span<const MetricValue> second);

}  // namespace cpx::evaluation
