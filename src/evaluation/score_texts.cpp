// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/score_texts.h"

#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>

#include "cpx/core/error.h"

namespace cpx::evaluation {

namespace {

// A window of a text and the tokens that are predicted in it.
struct Piece {
  size_t text;
  int64_t begin;
  int64_t end;
  int64_t first_target;  // tokens [first_target, end) are predicted

  int64_t num_tokens() const { return end - begin; }
  int64_t num_targets() const { return end - first_target; }
};

std::vector<Piece> pieces_of(size_t text, int64_t length, int64_t window, int64_t stride) {
  std::vector<Piece> pieces;
  if (length < 2) return pieces;
  if (window == 0) window = length;
  // Windows side by side would leave the first token of each with nothing to predict it from.
  const int64_t step = std::min(stride, window - 1);
  int64_t done = 1;  // the first token is predicted by nothing
  for (int64_t begin = 0; done < length; begin += step) {
    const int64_t end = begin + std::min(window, length - begin);
    pieces.push_back({text, begin, end, done});
    done = end;
  }
  return pieces;
}

// The NLL of a batch of pieces, one sum each.
std::vector<double> run_batch(nn::CausalLm& model, std::span<const TokenSpan> texts,
                              std::span<const Piece> batch) {
  std::vector<int64_t> ids, rows, targets;
  std::vector<int32_t> cu_seqlens = {0};
  for (const Piece& piece : batch) {
    const auto start = static_cast<int64_t>(ids.size());
    const TokenSpan text = texts[piece.text];
    ids.insert(ids.end(), text.begin() + piece.begin, text.begin() + piece.end);
    cu_seqlens.push_back(static_cast<int32_t>(ids.size()));
    for (int64_t target = piece.first_target; target < piece.end; ++target) {
      rows.push_back(start + target - piece.begin - 1);
      targets.push_back(text[static_cast<size_t>(target)]);
    }
  }
  const nn::Predictions predictions{
      .ids = ids, .cu_seqlens = cu_seqlens, .rows = rows, .targets = targets};
  const std::vector<double> nll = nn::to_doubles(nn::token_nll(model, predictions, {}));
  std::vector<double> sums;
  auto first = nll.begin();
  for (const Piece& piece : batch) {
    sums.push_back(std::accumulate(first, first + piece.num_targets(), 0.0));
    first += piece.num_targets();
  }
  return sums;
}

}  // namespace

std::vector<TextScore> score_texts(nn::CausalLm& model, std::span<const TokenSpan> texts,
                                   const TextScoreOptions& options) {
  const int64_t stride =
      options.stride > 0 ? options.stride : std::max<int64_t>(1, options.window / 2);
  CPX_CHECK(options.window == 0 || (options.window >= 2 && stride <= options.window),
            "[score_texts] got window {} and stride {}, expected a window of 2 or more and no "
            "larger stride.",
            options.window, stride);
  std::vector<Piece> pieces;
  for (size_t text = 0; text < texts.size(); ++text) {
    const auto length = static_cast<int64_t>(texts[text].size());
    const auto more = pieces_of(text, length, options.window, stride);
    pieces.insert(pieces.end(), more.begin(), more.end());
  }
  // Like lengths go together: attention works on equal blocks, and the longest come first, so that
  // memory is at its highest at once.
  std::stable_sort(pieces.begin(), pieces.end(),
                   [](const Piece& a, const Piece& b) { return a.num_tokens() > b.num_tokens(); });

  const torch::NoGradGuard no_grad;
  std::vector<TextScore> scores(texts.size());
  int64_t done = 0;
  for (size_t begin = 0; begin < pieces.size();) {
    size_t end = begin;
    int64_t num_tokens = 0;
    while (end < pieces.size() &&
           (end == begin || num_tokens + pieces[end].num_tokens() <= options.batch_tokens)) {
      num_tokens += pieces[end++].num_tokens();
    }
    const std::span<const Piece> batch(pieces.data() + begin, end - begin);
    const std::vector<double> sums = run_batch(model, texts, batch);
    for (size_t i = 0; i < batch.size(); ++i) {
      scores[batch[i].text].nll_sum += sums[i];
      scores[batch[i].text].tokens += batch[i].num_targets();
    }
    begin = end;
    done += num_tokens;
    if (options.on_progress && !options.on_progress(done)) return {};
  }
  return scores;
}

TextScore score_published(nn::CausalLm& model, TokenSpan text, int64_t window, int64_t stride,
                          const std::function<bool(int64_t)>& on_progress) {
  CPX_CHECK(window >= 2 && stride >= 1 && stride <= window,
            "[score_published] got window {} and stride {}, expected a window of 2 or more and no "
            "larger stride.",
            window, stride);
  const torch::NoGradGuard no_grad;
  const auto length = static_cast<int64_t>(text.size());
  double sum_of_means = 0.0;
  TextScore score;
  const std::vector<Piece> pieces = pieces_of(0, length, window, stride);
  for (const Piece& piece : pieces) {
    const double sum = run_batch(model, std::span(&text, 1), std::span(&piece, 1)).front();
    sum_of_means += sum / static_cast<double>(piece.num_targets());
    score.tokens += piece.num_targets();
    if (on_progress && !on_progress(score.tokens)) return {};
  }
  if (pieces.empty()) return score;
  score.nll_sum =
      sum_of_means / static_cast<double>(pieces.size()) * static_cast<double>(score.tokens);
  return score;
}

}  // namespace cpx::evaluation
