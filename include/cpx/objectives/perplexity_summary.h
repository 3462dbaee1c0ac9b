// SPDX-License-Identifier: Apache-2.0
// Perplexity of toxic against neutral texts: by side, by group, and how far the sides are apart.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>

namespace cpx::objectives {

enum class Side { kToxic, kNeutral };

/// What a model said of one text.
struct ScoredText {
  Side side = Side::kNeutral;
  std::string group = {};  // empty: of no group
  double nll_sum = 0.0;    // over its predicted tokens, natural log
  int64_t tokens = 0;      // predicted tokens; a text with none is skipped
};

/// One side. The perplexities are none when no text was scored, and when they are no finite number.
struct SideSummary {
  int64_t texts = 0;  // scored, so without the skipped ones
  int64_t tokens = 0;
  int64_t skipped = 0;                              // texts without a predicted token
  int64_t non_finite = 0;                           // scored texts whose NLL is no finite number
  std::optional<double> perplexity = std::nullopt;  // exp(sum of NLL / sum of tokens)
  std::optional<double> mean_text_perplexity = std::nullopt;  // mean of exp(m), m a text's mean NLL
};

/// Both sides of a set of texts. What needs both is none when one side gives no number.
struct SideComparison {
  SideSummary toxic;
  SideSummary neutral;
  std::optional<double> ratio = std::nullopt;       // toxic over neutral `perplexity`
  std::optional<double> separation = std::nullopt;  // P(m_toxic > m_neutral), ties count half
  std::optional<double> p_value = std::nullopt;     // two-sided Mann-Whitney on the m
};

/// All texts together, and those of each group by its name.
struct PerplexitySummary {
  SideComparison all;
  std::map<std::string, SideComparison> groups = {};
};

/// Summarises the texts. Throws std::invalid_argument for a negative number of tokens.
PerplexitySummary summarize_perplexity(std::span<const ScoredText> texts);

}  // namespace cpx::objectives
