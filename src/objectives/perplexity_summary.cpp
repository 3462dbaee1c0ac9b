// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/perplexity_summary.h"

#include <cmath>
#include <vector>

#include "cpx/core/error.h"
#include "cpx/objectives/mann_whitney.h"

namespace cpx::objectives {

namespace {

std::optional<double> if_finite(double value) {
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

// Collects one side text by text.
struct SideCollector {
  SideSummary summary;
  double nll_sum = 0.0;
  double perplexity_sum = 0.0;
  std::vector<double> text_means;  // m of the scored texts

  void add(const ScoredText& text) {
    if (text.tokens == 0) {
      ++summary.skipped;
      return;
    }
    const double mean = text.nll_sum / static_cast<double>(text.tokens);
    ++summary.texts;
    summary.tokens += text.tokens;
    summary.non_finite += std::isfinite(mean) ? 0 : 1;
    nll_sum += text.nll_sum;
    perplexity_sum += std::exp(mean);
    text_means.push_back(mean);
  }

  SideSummary finish() const {
    SideSummary result = summary;
    if (result.texts > 0) {
      result.perplexity = if_finite(std::exp(nll_sum / static_cast<double>(result.tokens)));
      result.mean_text_perplexity = if_finite(perplexity_sum / static_cast<double>(result.texts));
    }
    return result;
  }
};

struct ComparisonCollector {
  SideCollector toxic;
  SideCollector neutral;

  void add(const ScoredText& text) { (text.side == Side::kToxic ? toxic : neutral).add(text); }

  SideComparison finish() const {
    SideComparison result{.toxic = toxic.finish(), .neutral = neutral.finish()};
    if (result.toxic.perplexity && result.neutral.perplexity) {
      result.ratio = if_finite(*result.toxic.perplexity / *result.neutral.perplexity);
    }
    if (result.toxic.non_finite + result.neutral.non_finite > 0) return result;
    if (const auto test = mann_whitney(toxic.text_means, neutral.text_means)) {
      result.separation = test->separation;
      result.p_value = test->p_value;
    }
    return result;
  }
};

}  // namespace

PerplexitySummary summarize_perplexity(std::span<const ScoredText> texts) {
  ComparisonCollector all;
  std::map<std::string, ComparisonCollector> groups;
  for (const ScoredText& text : texts) {
    CPX_CHECK(text.tokens >= 0,
              "[summarize_perplexity] a text's tokens: got {}, expected 0 or more.", text.tokens);
    all.add(text);
    if (!text.group.empty()) groups[text.group].add(text);
  }
  PerplexitySummary summary{.all = all.finish()};
  for (const auto& [name, group] : groups) summary.groups.emplace(name, group.finish());
  return summary;
}

}  // namespace cpx::objectives
