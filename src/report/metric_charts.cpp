// SPDX-License-Identifier: Apache-2.0
#include "metric_charts.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "numbers.h"

namespace cpx::report {

namespace {

// The charts of known keys, as include/cpx/training/metrics.h and the objectives name them.

// What training makes smaller, and what that does to its texts.
std::vector<MetricChart> loss_charts() {
  return {
      {.title = "Loss", .explanation = "What a step makes smaller.", .keys = {{"loss"}}},
      {.title = "Contrast",
       .explanation = "The loss without its constant, which hides the contrast at a large alpha.",
       .keys = {{"contrast"}}},
      {.title = "Perplexity of the training texts",
       .explanation = "Neutral texts should stay where they are, toxic ones should rise.",
       .keys = {{"positive_perplexity", "neutral"},
                {"hard_negative_perplexity", "toxic"},
                {"random_negative_perplexity", "toxic, another target"}},
       .is_logarithmic = true}};
}

// Evaluations during the run.
std::vector<MetricChart> evaluation_charts() {
  return {
      {.title = "Evaluation: loss", .keys = {{"eval_loss"}}},
      {.title = "Evaluation: contrast", .keys = {{"eval_contrast"}}},
      {.title = "Evaluation: perplexity",
       .explanation = "Of texts that are not trained on.",
       .keys = {{"eval_neutral_perplexity", "neutral"}, {"eval_toxic_perplexity", "toxic"}},
       .is_logarithmic = true},
      {.title = "Evaluation: ratio",
       .unit = "toxic / neutral perplexity",
       .keys = {{"eval_ratio"}}},
      {.title = "Evaluation: separation",
       .unit = "probability",
       .explanation = "That a toxic text is less probable than a neutral one; 0.5: no difference.",
       .keys = {{"eval_separation"}}},
      {.title = "Evaluation: score", .keys = {{"eval_score"}}},
      {.title = "Evaluation: perplexity of the texts", .keys = {{"eval_perplexity"}}}};
}

// What single objectives tell.
std::vector<MetricChart> objective_charts() {
  return {
      {.title = "Preference accuracy",
       .unit = "share of pairs",
       .explanation = "Pairs whose chosen answer has the higher reward.",
       .keys = {{"reward_accuracy"}}},
      {.title = "Rewards", .keys = {{"reward_chosen", "chosen"}, {"reward_rejected", "rejected"}}},
      {.title = "Reward margin", .unit = "chosen - rejected", .keys = {{"reward_margin"}}},
      {.title = "Reward",
       .explanation = "Mean score of the sampled texts.",
       .keys = {{"reward_mean"}}},
      {.title = "KL divergence to the reference", .unit = "nats a text", .keys = {{"kl"}}},
      {.title = "Distance of the retained texts from the base", .keys = {{"retain_distance"}}}};
}

// Steps, and what they cost.
std::vector<MetricChart> optimizer_charts() {
  return {
      {.title = "Learning rate", .keys = {{"learning_rate"}}},
      {.title = "Gradient norm",
       .unit = "before clipping",
       .keys = {{"grad_norm"}},
       .is_logarithmic = true},
      {.title = "Speed",
       .unit = "tokens a second",
       .keys = {{"tokens_per_second"}},
       .is_of_machine = true},
      {.title = "Memory",
       .unit = "MiB, the peak so far",
       .keys = {{"peak_memory_mib"}},
       .is_of_machine = true},
      {.title = "Tokens of a step",
       .unit = "tokens",
       .explanation = "Padding would have added more; cpx does not compute it.",
       .keys = {{"tokens", "computed"}, {"padded_tokens", "padding left out"}},
       .is_of_machine = true},
      {.title = "CPU time of a step",
       .unit = "s, all threads together",
       .keys = {{"cpu_seconds"}},
       .is_of_machine = true},
      {.title = "Use of the peak",
       .unit = "share of the machine's fastest matrix products",
       .keys = {{"mfu"}},
       .is_of_machine = true},
      {.title = "Skipped steps",
       .unit = "in the run so far",
       .explanation = "Steps whose loss or gradient was not finite.",
       .keys = {{"skipped_steps"}},
       .is_of_machine = true},
      {.title = "Evaluation: time", .unit = "s", .keys = {{"eval_seconds"}}, .is_of_machine = true},
      {.title = "Epochs", .keys = {{"epoch"}}, .is_of_machine = true}};
}

const std::vector<MetricChart>& known_charts() {
  static const std::vector<MetricChart> kCharts = [] {
    std::vector<MetricChart> charts;
    for (auto* const some : {loss_charts, evaluation_charts, objective_charts, optimizer_charts}) {
      std::ranges::move(some(), std::back_inserter(charts));
    }
    return charts;
  }();
  return kCharts;
}

// All keys of the runs, in the order in which they appear.
std::vector<std::string> keys_of(std::span<const RunRecord> runs) {
  std::vector<std::string> keys;
  for (const RunRecord& run : runs) {
    for (const MetricSeries& series : run.metrics) {
      if (std::ranges::find(keys, series.key) == keys.end()) keys.push_back(series.key);
    }
  }
  return keys;
}

// The value that a key has everywhere, or nothing.
std::optional<double> constant_of(std::span<const RunRecord> runs, std::string_view key) {
  std::optional<double> constant;
  for (const RunRecord& run : runs) {
    const MetricSeries* const series = run.find_series(key);
    if (series == nullptr) continue;
    for (const double value : series->values) {
      if (constant && *constant != value) return std::nullopt;
      constant = value;
    }
  }
  return constant;
}

}  // namespace

bool is_evaluation_key(std::string_view key) { return key.starts_with("eval_"); }

std::string title_of_key(std::string_view key) {
  std::string title(key);
  std::ranges::replace(title, '_', ' ');
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z') {
    title[0] = static_cast<char>(title[0] - 'a' + 'A');
  }
  return title;
}

std::vector<NamedText> constant_keys(std::span<const RunRecord> runs) {
  std::vector<NamedText> constants;
  for (const std::string& key : keys_of(runs)) {
    if (const auto value = constant_of(runs, key)) {
      constants.push_back({.name = title_of_key(key), .text = shown(*value)});
    }
  }
  return constants;
}

std::vector<MetricChart> charts_of(std::span<const RunRecord> runs) {
  std::vector<std::string> keys = keys_of(runs);
  std::erase_if(keys, [&](const std::string& key) { return constant_of(runs, key).has_value(); });
  std::set<std::string> placed;
  std::vector<MetricChart> charts;
  for (MetricChart chart : known_charts()) {
    std::erase_if(chart.keys, [&](const ChartKey& one) {
      return std::ranges::find(keys, one.key) == keys.end();
    });
    if (chart.keys.empty()) continue;
    for (const ChartKey& one : chart.keys) placed.insert(one.key);
    charts.push_back(std::move(chart));
  }
  // Others stand behind what is known of learning, in front of what is known of the machine.
  const auto machine = std::ranges::find(charts, true, &MetricChart::is_of_machine);
  std::vector<MetricChart> others;
  for (const std::string& key : keys) {
    if (placed.contains(key)) continue;
    others.push_back({.title = title_of_key(key), .keys = {{key}}});
  }
  charts.insert(machine, others.begin(), others.end());
  return charts;
}

}  // namespace cpx::report
