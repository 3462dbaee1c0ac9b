// SPDX-License-Identifier: Apache-2.0
// Legend: T tokens, N predictions, D model.
#include "segment_nll.h"

#include <algorithm>
#include <numeric>

#include <torch/types.h>

#include "cpx/core/error.h"
#include "cpx/data/packed_batch.h"

namespace cpx::evaluation {

namespace {

using Members = std::span<const size_t>;  // indices of segments

int64_t num_tokens(const Segment& segment) { return std::ssize(segment.ids); }

int64_t num_tokens(Members members, std::span<const Segment> segments) {
  const auto add = [&](int64_t sum, size_t i) { return sum + num_tokens(segments[i]); };
  return std::accumulate(members.begin(), members.end(), int64_t{0}, add);
}

/// The segments by length, the longest first: what needs the most memory fails at once.
std::vector<size_t> longest_first(std::span<const Segment> segments) {
  std::vector<size_t> order(segments.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater(),
                           [&](size_t i) { return num_tokens(segments[i]); });
  return order;
}

/// `order` cut into packs of at most `tokens_per_batch` tokens, or of one longer segment.
std::vector<Members> cut_into_packs(Members order, std::span<const Segment> segments,
                                    int64_t tokens_per_batch) {
  std::vector<Members> packs;
  while (!order.empty()) {
    size_t count = 1;
    int64_t tokens = num_tokens(segments[order[0]]);
    while (count < order.size() &&
           tokens + num_tokens(segments[order[count]]) <= tokens_per_batch) {
      tokens += num_tokens(segments[order[count++]]);
    }
    packs.push_back(order.first(count));
    order = order.subspan(count);
  }
  return packs;
}

data::PackedBatch pack_segments(Members members, std::span<const Segment> segments) {
  std::vector<data::BatchText> texts;
  for (const size_t i : members) {
    texts.push_back({.ids = segments[i].ids});
  }
  return data::pack(texts);
}

/// The predictions of a pack that are asked for, segment after segment.
struct Predictions {
  std::vector<int64_t> rows;     // [N] token whose hidden state makes the prediction
  std::vector<int64_t> targets;  // [N]
};

Predictions select_predictions(const data::PackedBatch& batch, Members members,
                               std::span<const Segment> segments) {
  Predictions selected;
  for (size_t i = 0; i < members.size(); ++i) {
    const data::PackedText& text = batch.texts[i];
    const int64_t num_context_only = segments[members[i]].first_target - 1;
    for (int64_t n = text.first + num_context_only; n < text.first + text.count; ++n) {
      selected.rows.push_back(batch.rows[n]);
      selected.targets.push_back(batch.targets[n]);
    }
  }
  return selected;
}

torch::Tensor to_device(const std::vector<int64_t>& values, const nn::CausalLm& model) {
  return torch::tensor(values, torch::kInt64).to(model.device());
}

/// [N] token NLLs of the predictions, float64 on the CPU.
torch::Tensor predict(nn::CausalLm& model, const data::PackedBatch& batch,
                      const Predictions& predictions) {
  const nn::ForwardOptions options;
  const torch::Tensor hidden = model.hidden_states(
      {.ids = to_device(batch.ids, model), .cu_seqlens = batch.cu_seqlens}, options);  // [T, D]
  const torch::Tensor predicting =
      hidden.index_select(0, to_device(predictions.rows, model));  // [N, D]
  return model.token_nll(predicting, to_device(predictions.targets, model), options)
      .to(torch::kCPU, torch::kFloat64)
      .contiguous();
}

void add_pack(nn::CausalLm& model, Members members, std::span<const Segment> segments,
              std::vector<double>& sums) {
  const data::PackedBatch batch = pack_segments(members, segments);
  const torch::Tensor nll =
      predict(model, batch, select_predictions(batch, members, segments));  // [N]
  const double* next = nll.const_data_ptr<double>();
  for (const size_t i : members) {
    const double* end = next + segments[i].num_targets();
    sums[i] = std::accumulate(next, end, 0.0);
    next = end;
  }
}

void check(std::span<const Segment> segments, int64_t tokens_per_batch) {
  CPX_CHECK(tokens_per_batch >= 1,
            "[segment_nll_sums] tokens_per_batch: got {}, expected 1 or more.", tokens_per_batch);
  for (const Segment& segment : segments) {
    CPX_CHECK(segment.first_target >= 1 && segment.num_targets() >= 1,
              "[segment_nll_sums] first_target: got {} in {} tokens, expected 1 or more and below.",
              segment.first_target, segment.ids.size());
  }
}

}  // namespace

std::optional<std::vector<double>> segment_nll_sums(
    nn::CausalLm& model, std::span<const Segment> segments, int64_t tokens_per_batch,
    const std::function<bool(int64_t done, int64_t total)>& keep_going) {
  check(segments, tokens_per_batch);
  const torch::NoGradGuard no_grad;
  const std::vector<size_t> order = longest_first(segments);
  const int64_t total = num_tokens(order, segments);
  int64_t done = 0;
  std::vector<double> sums(segments.size(), 0.0);
  for (const Members members : cut_into_packs(order, segments, tokens_per_batch)) {
    if (keep_going && !keep_going(done, total)) return std::nullopt;
    add_pack(model, members, segments, sums);
    done += num_tokens(members, segments);
  }
  if (keep_going) keep_going(done, total);
  return sums;
}

}  // namespace cpx::evaluation
