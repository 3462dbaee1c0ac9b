// SPDX-License-Identifier: Apache-2.0
// How probable texts are to a model: text by text, or joined as the published script does it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "cpx/data/text_encoder.h"
#include "cpx/evaluation/evaluation_texts.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/objectives/perplexity_summary.h"

namespace cpx::evaluation {

/// Told the tokens that are done and those of the whole job, before each pack and at the end (with
/// `done` = `total`, where the answer is not asked for); returning false stops the job.
using KeepGoing = std::function<bool(int64_t done, int64_t total)>;

struct ScoreOptions {
  /// Tokens that are computed at once, in as many texts as they make; a longer text, or window of
  /// one, is computed by itself.
  int64_t tokens_per_batch = 4096;
  /// Longest piece of a text that the model sees; longer texts go in windows (see windows.h).
  /// 0: the longest that the model was made for.
  int64_t window = 0;
  /// Tokens from one window to the next; 0: half a window.
  int64_t stride = 0;
  KeepGoing keep_going = {};
};

/// What a model said of one text.
struct TextScore {
  double nll_sum = 0.0;  // over its predicted tokens, natural log
  int64_t tokens = 0;    // predicted tokens; 0 for a text of one token or none
};

/// Scores each text by itself, in the order given, without gradient; nothing when the job was
/// stopped.
std::optional<std::vector<TextScore>> score_texts(nn::CausalLm& model,
                                                  std::span<const data::EncodedText> texts,
                                                  const ScoreOptions& options = {});

/// Encodes and scores the texts and summarises both sides; texts without a predicted token are
/// counted as skipped. Nothing when the job was stopped.
std::optional<objectives::PerplexitySummary> evaluate_perplexity(
    nn::CausalLm& model, const data::TextEncoder& encoder, std::span<const EvaluationText> texts,
    const ScoreOptions& options = {});

struct PublishedOptions {
  int64_t window = 4096;
  int64_t stride = 512;
  int64_t tokens_per_batch = 4096;
  KeepGoing keep_going = {};
};

struct PublishedScore {
  int64_t windows = 0;
  int64_t tokens = 0;  // predicted tokens
  /// exp of the unweighted mean of the windows' mean NLLs; none when nothing was predicted, and
  /// when it is no finite number.
  std::optional<double> perplexity = std::nullopt;
};

/// The published perplexity of one long text. The first window has more predicted tokens than the
/// others and the last one fewer, yet all weigh the same: so the published figures were computed.
/// Source: scripts/compute_perplexity.py of SAP-samples/acl2025-contrastive-perplexity (597f745).
std::optional<PublishedScore> score_published(nn::CausalLm& model,
                                              std::span<const tokenizer::TokenId> ids,
                                              const PublishedOptions& options = {});

/// Joins each side's texts by a blank line, in the order given, and scores them so. What needs
/// single texts (mean_text_perplexity, separation, p_value, groups) is none. `keep_going` counts
/// each side by itself. Nothing when the job was stopped.
std::optional<objectives::PerplexitySummary> evaluate_published(
    nn::CausalLm& model, const data::TextEncoder& encoder, std::span<const EvaluationText> texts,
    const PublishedOptions& options = {});

}  // namespace cpx::evaluation
