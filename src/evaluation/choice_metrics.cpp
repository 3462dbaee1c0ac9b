// SPDX-License-Identifier: Apache-2.0
// Source: lm_eval/api/task.py (process_results) and lm_eval/api/metrics.py of
// EleutherAI/lm-evaluation-harness 0.4.13.
#include "cpx/evaluation/choice_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "cpx/core/error.h"
#include "cpx/evaluation/python_random.h"
#include "cpx/tensor/lanes.h"

namespace cpx::evaluation {

namespace {

using Scores = std::span<const RequestScore>;

std::vector<double> log_likelihoods(Scores scores) {
  std::vector<double> values;
  for (const RequestScore& score : scores) values.push_back(score.log_likelihood);
  return values;
}

double one_if(bool is_true) { return is_true ? 1.0 : 0.0; }

MetricValue accuracy(const ChoiceDocument& document, Scores scores) {
  return {one_if(first_largest(log_likelihoods(scores)) == document.gold)};
}

MetricValue normalized_accuracy(const ChoiceDocument& document, Scores scores) {
  std::vector<double> values = log_likelihoods(scores);
  for (size_t i = 0; i < values.size(); ++i) values[i] /= static_cast<double>(document.lengths[i]);
  return {one_if(first_largest(values) == document.gold)};
}

MetricValue true_probability(const ChoiceDocument& document, Scores scores) {
  const std::vector<double> values = log_likelihoods(scores);
  const double largest = *std::ranges::max_element(values);
  double sum = 0.0;
  double true_sum = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double probability = std::exp(values[i] - largest);
    sum += probability;
    if (document.is_true[i]) true_sum += probability;
  }
  return {true_sum / sum};
}

MetricValue greedy_accuracy(const ChoiceDocument& /*document*/, Scores scores) {
  return {one_if(scores[0].is_greedy)};
}

MetricValue likelihood_difference(const ChoiceDocument& /*document*/, Scores scores) {
  return {std::abs(scores[0].log_likelihood - scores[1].log_likelihood)};
}

MetricValue is_stereotype(const ChoiceDocument& /*document*/, Scores scores) {
  return {one_if(scores[0].log_likelihood > scores[1].log_likelihood)};
}

MetricValue by_document(const ChoiceDocument& /*document*/, Scores scores) {
  return {scores[0].log_likelihood};
}

MetricValue by_word(const ChoiceDocument& document, Scores scores) {
  return {scores[0].log_likelihood, static_cast<double>(document.num_words)};
}

MetricValue by_byte(const ChoiceDocument& document, Scores scores) {
  return {scores[0].log_likelihood, static_cast<double>(document.num_bytes)};
}

MetricValue by_token(const ChoiceDocument& /*document*/, Scores scores) {
  return {scores[0].log_likelihood, static_cast<double>(scores[0].num_tokens)};
}

double perplexity(double mean) { return std::exp(-mean); }
double bits(double mean) { return -mean / std::numbers::ln2; }

// The standard deviation of the figures of 100,000 resamples: block b of 1,000 comes from Python's
// Random(b).choices().
double harness_bootstrap(const ChoiceMetric& metric, std::span<const MetricValue> values) {
  constexpr int64_t kBlocks = 100;
  constexpr int64_t kBlockSize = 1000;
  std::vector<double> figures(kBlocks * kBlockSize);
  const auto n = static_cast<double>(values.size());
  tensor::run_in_lanes(kBlocks, [&](int64_t block) {
    PythonRandom random(static_cast<uint32_t>(block));
    for (int64_t i = 0; i < kBlockSize; ++i) {
      double sum = 0.0;
      for (size_t drawn = 0; drawn < values.size(); ++drawn) {
        sum += values[static_cast<size_t>(random.uniform() * n)].value;
      }
      figures[static_cast<size_t>(block * kBlockSize + i)] = metric.figure(sum / n);
    }
  });
  const double center = mean(figures);
  double sum = 0.0;
  for (const double figure : figures) sum += (figure - center) * (figure - center);
  return std::sqrt(sum / static_cast<double>(std::ssize(figures) - 1));
}

// The figure of the drawn documents.
double drawn_figure(const ChoiceMetric& metric, std::span<const MetricValue> values,
                    std::span<const int64_t> units) {
  double value = 0.0;
  double weight = 0.0;
  for (const int64_t unit : units) {
    value += values[static_cast<size_t>(unit)].value;
    weight += values[static_cast<size_t>(unit)].weight;
  }
  return metric.figure == nullptr ? value / weight : metric.figure(value / weight);
}

double mcnemar(std::span<const MetricValue> first, std::span<const MetricValue> second) {
  int64_t only_first = 0;
  int64_t only_second = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    if (first[i].value > second[i].value) ++only_first;
    if (first[i].value < second[i].value) ++only_second;
  }
  return mcnemar_p_value(only_first, only_second);
}

}  // namespace

const ChoiceMetric kAccuracy{.name = "acc", .value = accuracy, .is_right_or_wrong = true};
const ChoiceMetric kNormalizedAccuracy{
    .name = "acc_norm", .value = normalized_accuracy, .is_right_or_wrong = true};
const ChoiceMetric kTrueProbability{.name = "acc", .value = true_probability};
const ChoiceMetric kGreedyAccuracy{
    .name = "acc", .value = greedy_accuracy, .is_right_or_wrong = true};
const ChoiceMetric kPerplexity{.name = "perplexity",
                               .value = by_document,
                               .figure = perplexity,
                               .error = ErrorRule::kHarnessBootstrap};
const ChoiceMetric kLikelihoodDifference{.name = "likelihood_diff", .value = likelihood_difference};
const ChoiceMetric kStereotypeShare{
    .name = "pct_stereotype", .value = is_stereotype, .is_right_or_wrong = true};
const ChoiceMetric kWordPerplexity{
    .name = "word_perplexity", .value = by_word, .figure = perplexity, .error = ErrorRule::kNone};
const ChoiceMetric kBytePerplexity{
    .name = "byte_perplexity", .value = by_byte, .figure = perplexity, .error = ErrorRule::kNone};
const ChoiceMetric kBitsPerByte{
    .name = "bits_per_byte", .value = by_byte, .figure = bits, .error = ErrorRule::kNone};
const ChoiceMetric kTokenPerplexity{
    .name = "token_perplexity", .value = by_token, .figure = perplexity, .error = ErrorRule::kNone};

int64_t first_largest(std::span<const double> values) {
  size_t best = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) return static_cast<int64_t>(i);
    if (values[i] > values[best]) best = i;
  }
  return static_cast<int64_t>(best);
}

double metric_figure(const ChoiceMetric& metric, std::span<const MetricValue> values) {
  std::vector<int64_t> all(values.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  return drawn_figure(metric, values, all);
}

std::optional<double> metric_error(const ChoiceMetric& metric,
                                   std::span<const MetricValue> values) {
  if (metric.error == ErrorRule::kNone || values.size() < 2) return std::nullopt;
  if (metric.error == ErrorRule::kHarnessBootstrap) return harness_bootstrap(metric, values);
  std::vector<double> numbers;
  for (const MetricValue& value : values) numbers.push_back(value.value);
  return standard_error(numbers);
}

double group_mean(std::span<const GroupPart> parts) {
  double sum = 0.0;
  double num_documents = 0.0;
  for (const GroupPart& part : parts) {
    sum += static_cast<double>(part.num_documents) * part.accuracy;
    num_documents += static_cast<double>(part.num_documents);
  }
  return sum / num_documents;
}

std::optional<double> group_error(std::span<const GroupPart> parts) {
  double sum = 0.0;
  double num_documents = 0.0;
  for (const GroupPart& part : parts) {
    if (!part.error) return std::nullopt;
    const auto n = static_cast<double>(part.num_documents);
    sum += n * (n - 1.0) * *part.error * *part.error;
    num_documents += n;
  }
  if (parts.empty()) return std::nullopt;
  return std::sqrt(sum / (num_documents - static_cast<double>(parts.size())) / num_documents);
}

MetricComparison compare_metric(const ChoiceMetric& metric, std::span<const MetricValue> first,
                                std::span<const MetricValue> second) {
  CPX_CHECK(first.size() == second.size(),
            "[compare_metric] got {} and {} documents, expected the same ones.", first.size(),
            second.size());
  MetricComparison comparison{.difference =
                                  metric_figure(metric, second) - metric_figure(metric, first)};
  comparison.interval = bootstrap_interval(std::ssize(first), [&](std::span<const int64_t> units) {
    return drawn_figure(metric, second, units) - drawn_figure(metric, first, units);
  });
  if (metric.is_right_or_wrong) comparison.p_value = mcnemar(first, second);
  return comparison;
}

}  // namespace cpx::evaluation
