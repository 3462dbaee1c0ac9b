// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/score_texts.h"

#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/nn/kv_cache.h"

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

torch::Tensor to_ids(const std::vector<int64_t>& values, const torch::Device& device) {
  return at::tensor(values, at::kLong).to(device);
}

// nn::token_nll() as decoding computes it: the texts are prompts of a cache.
std::vector<double> decoded_nll(nn::CausalLm& model, const nn::Predictions& predictions) {
  const auto num_texts = std::ssize(predictions.cu_seqlens) - 1;
  std::vector<nn::PromptSlot> prompts;
  int64_t longest = 0;
  for (int64_t i = 0; i < num_texts; ++i) {
    const int64_t length = predictions.cu_seqlens[i + 1] - predictions.cu_seqlens[i];
    prompts.push_back({.slot = i, .num_tokens = length});
    longest = std::max(longest, length);
  }
  const nn::ModelShape& shape = model.shape();
  const torch::Device device = model.device();
  nn::KvCache cache({.num_layers = shape.num_layers,
                     .num_kv_heads = shape.num_kv_heads,
                     .head_dim = shape.head_dim,
                     .window = shape.sliding_window,
                     .num_prompts = num_texts,
                     .prompt_capacity = longest,
                     .num_sequences = 1,
                     .sequence_capacity = 1,
                     .tensor_options = torch::TensorOptions().device(device).dtype(
                         device.is_cpu() ? torch::kFloat32 : model.dtype())});
  const std::vector<int64_t> ids(predictions.ids.begin(), predictions.ids.end());
  const std::vector<int64_t> rows(predictions.rows.begin(), predictions.rows.end());
  const auto states = model.prefill(cache, to_ids(ids, device), prompts)
                          .index_select(0, to_ids(rows, device));  // [N, D]
  const std::vector<int64_t> targets(predictions.targets.begin(), predictions.targets.end());
  const auto all_targets = to_ids(targets, device).split(nn::rows_in_a_piece(shape));
  const auto pieces = states.split(nn::rows_in_a_piece(shape));
  std::vector<double> nll;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto log_probs =
        model.logits(pieces[i], {.is_by_row = true}).to(at::kFloat).log_softmax(-1);  // [n, V]
    const auto own = log_probs.gather(1, all_targets[i].unsqueeze(1)).squeeze(1).neg();
    for (const double value : nn::to_doubles(own)) nll.push_back(value);
  }
  return nll;
}

// The NLL of a batch of pieces, one sum each.
std::vector<double> run_batch(nn::CausalLm& model, std::span<const TokenSpan> texts,
                              std::span<const Piece> batch, bool is_decoded) {
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
  const std::vector<double> nll = is_decoded
                                      ? decoded_nll(model, predictions)
                                      : nn::to_doubles(nn::token_nll(model, predictions, {}));
  std::vector<double> sums;
  auto first = nll.begin();
  for (const Piece& piece : batch) {
    sums.push_back(std::accumulate(first, first + piece.num_targets(), 0.0));
    first += piece.num_targets();
  }
  return sums;
}

// The pieces of all texts, the longest first. Like lengths go together, because attention works on
// equal blocks, and memory is at its highest at once.
std::vector<Piece> all_pieces(std::span<const TokenSpan> texts, int64_t window, int64_t stride) {
  std::vector<Piece> pieces;
  for (size_t text = 0; text < texts.size(); ++text) {
    const auto length = static_cast<int64_t>(texts[text].size());
    const auto more = pieces_of(text, length, window, stride);
    pieces.insert(pieces.end(), more.begin(), more.end());
  }
  std::stable_sort(pieces.begin(), pieces.end(),
                   [](const Piece& a, const Piece& b) { return a.num_tokens() > b.num_tokens(); });
  return pieces;
}

// The pieces from `begin` on that are computed together: up to `batch_tokens`, at least one.
std::span<const Piece> batch_at(const std::vector<Piece>& pieces, size_t begin,
                                int64_t batch_tokens) {
  size_t end = begin;
  int64_t num_tokens = 0;
  while (end < pieces.size() &&
         (end == begin || num_tokens + pieces[end].num_tokens() <= batch_tokens)) {
    num_tokens += pieces[end++].num_tokens();
  }
  return {pieces.data() + begin, end - begin};
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
  const std::vector<Piece> pieces = all_pieces(texts, options.window, stride);
  const torch::NoGradGuard no_grad;
  std::vector<TextScore> scores(texts.size());
  const auto num_known = options.known_sums.size();
  int64_t done = 0;
  for (size_t begin = 0; begin < pieces.size();) {
    const auto batch = batch_at(pieces, begin, options.batch_tokens);
    const size_t end = begin + batch.size();
    CPX_CHECK(end <= num_known || begin >= num_known,
              "[score_texts] got {} known sums, expected them to end with a batch ({} or {}).",
              num_known, begin, end);
    std::vector<double> sums(options.known_sums.begin() + std::min(begin, num_known),
                             options.known_sums.begin() + std::min(end, num_known));
    if (end > num_known) {
      sums = run_batch(model, texts, batch, options.is_decoded);
      if (options.on_batch) options.on_batch(sums);
    }
    for (size_t i = 0; i < batch.size(); ++i) {
      scores[batch[i].text].nll_sum += sums[i];
      scores[batch[i].text].tokens += batch[i].num_targets();
      done += batch[i].num_tokens();
    }
    begin = end;
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
    const double sum = run_batch(model, std::span(&text, 1), std::span(&piece, 1),
                                 /*is_decoded=*/false)
                           .front();
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
