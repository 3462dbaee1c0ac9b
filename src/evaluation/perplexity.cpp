// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/perplexity.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "cpx/evaluation/windows.h"
#include "segment_nll.h"

namespace cpx::evaluation {

namespace {

using objectives::PerplexitySummary;
using objectives::Side;
using objectives::SideSummary;
using tokenizer::TokenId;

struct WindowSize {
  int64_t window;
  int64_t stride;
};

int64_t longest(std::span<const data::EncodedText> texts) {
  int64_t length = 0;
  for (const data::EncodedText& text : texts) {
    length = std::max(length, std::ssize(text.ids));
  }
  return length;
}

WindowSize resolve_window(const ScoreOptions& options, const nn::CausalLm& model,
                          std::span<const data::EncodedText> texts) {
  int64_t window = options.window;
  if (window == 0) window = model.shape().max_position;
  if (window == 0) window = std::max<int64_t>(longest(texts), 2);  // the model knows no limit
  return {window, options.stride == 0 ? window / 2 : options.stride};
}

Segment make_segment(std::span<const TokenId> ids, const Window& window) {
  return {.ids = ids.subspan(window.begin, window.end - window.begin),
          .first_target = window.first_target - window.begin};
}

std::vector<data::EncodedText> encode_all(const data::TextEncoder& encoder,
                                          std::span<const EvaluationText> texts) {
  std::vector<data::EncodedText> encoded;
  encoded.reserve(texts.size());
  for (const EvaluationText& text : texts) {
    encoded.push_back(encoder.encode(text.text));
  }
  return encoded;
}

PublishedScore published_score(std::span<const Segment> segments, std::span<const double> sums) {
  PublishedScore score{.windows = std::ssize(segments)};
  double sum_of_means = 0.0;
  for (size_t s = 0; s < segments.size(); ++s) {
    sum_of_means += sums[s] / static_cast<double>(segments[s].num_targets());
    score.tokens += segments[s].num_targets();
  }
  if (segments.empty()) return score;
  const double perplexity = std::exp(sum_of_means / static_cast<double>(segments.size()));
  if (std::isfinite(perplexity)) score.perplexity = perplexity;
  return score;
}

std::vector<std::string> texts_of_side(std::span<const EvaluationText> texts, Side side) {
  std::vector<std::string> selected;
  for (const EvaluationText& text : texts) {
    if (text.side == side) selected.push_back(text.text);
  }
  return selected;
}

std::string join_by_blank_lines(std::span<const std::string> texts) {
  std::string joined;
  for (size_t i = 0; i < texts.size(); ++i) {
    joined += (i == 0 ? "" : "\n\n") + texts[i];
  }
  return joined;
}

std::optional<SideSummary> evaluate_published_side(nn::CausalLm& model,
                                                   const data::TextEncoder& encoder,
                                                   std::span<const std::string> texts,
                                                   const PublishedOptions& options) {
  SideSummary summary{.texts = std::ssize(texts)};
  if (texts.empty()) return summary;
  const data::EncodedText joined = encoder.encode(join_by_blank_lines(texts));
  const auto score = score_published(model, joined.ids, options);
  if (!score) return std::nullopt;
  summary.tokens = score->tokens;
  summary.perplexity = score->perplexity;
  return summary;
}

}  // namespace

std::optional<std::vector<TextScore>> score_texts(nn::CausalLm& model,
                                                  std::span<const data::EncodedText> texts,
                                                  const ScoreOptions& options) {
  const auto [window, stride] = resolve_window(options, model, texts);
  std::vector<Segment> segments;
  std::vector<size_t> text_of_segment;
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const Window& piece : plan_windows(std::ssize(texts[i].ids), window, stride)) {
      segments.push_back(make_segment(texts[i].ids, piece));
      text_of_segment.push_back(i);
    }
  }
  const auto sums = segment_nll_sums(model, segments, options.tokens_per_batch, options.keep_going);
  if (!sums) return std::nullopt;
  std::vector<TextScore> scores(texts.size());
  for (size_t s = 0; s < segments.size(); ++s) {
    scores[text_of_segment[s]].nll_sum += (*sums)[s];
    scores[text_of_segment[s]].tokens += segments[s].num_targets();
  }
  return scores;
}

std::optional<PerplexitySummary> evaluate_perplexity(nn::CausalLm& model,
                                                     const data::TextEncoder& encoder,
                                                     std::span<const EvaluationText> texts,
                                                     const ScoreOptions& options) {
  const auto scores = score_texts(model, encode_all(encoder, texts), options);
  if (!scores) return std::nullopt;
  std::vector<objectives::ScoredText> scored;
  for (size_t i = 0; i < texts.size(); ++i) {
    scored.push_back({.side = texts[i].side,
                      .group = texts[i].group,
                      .nll_sum = (*scores)[i].nll_sum,
                      .tokens = (*scores)[i].tokens});
  }
  return objectives::summarize_perplexity(scored);
}

std::optional<PublishedScore> score_published(nn::CausalLm& model, std::span<const TokenId> ids,
                                              const PublishedOptions& options) {
  std::vector<Segment> segments;
  for (const Window& window : plan_windows(std::ssize(ids), options.window, options.stride)) {
    segments.push_back(make_segment(ids, window));
  }
  const auto sums = segment_nll_sums(model, segments, options.tokens_per_batch, options.keep_going);
  if (!sums) return std::nullopt;
  return published_score(segments, *sums);
}

std::optional<PerplexitySummary> evaluate_published(nn::CausalLm& model,
                                                    const data::TextEncoder& encoder,
                                                    std::span<const EvaluationText> texts,
                                                    const PublishedOptions& options) {
  const auto toxic =
      evaluate_published_side(model, encoder, texts_of_side(texts, Side::kToxic), options);
  if (!toxic) return std::nullopt;
  const auto neutral =
      evaluate_published_side(model, encoder, texts_of_side(texts, Side::kNeutral), options);
  if (!neutral) return std::nullopt;
  PerplexitySummary summary{.all = {.toxic = *toxic, .neutral = *neutral}};
  if (toxic->perplexity && neutral->perplexity) {
    summary.all.ratio = *toxic->perplexity / *neutral->perplexity;
  }
  return summary;
}

}  // namespace cpx::evaluation
