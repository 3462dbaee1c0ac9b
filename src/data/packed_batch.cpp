// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/packed_batch.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "cpx/core/error.h"

namespace cpx::data {

namespace {

constexpr int64_t kPadMultiple = 8;  // pad_to_multiple_of of the published collator

void check_spans(const BatchText& text, size_t number) {
  if (text.predicted.empty()) return;
  CPX_CHECK(text.num_given == 0, "[pack] text {}: got {} given tokens beside spans, expected 0.",
            number, text.num_given);
  int64_t end = 0;
  for (const PredictedSpan& span : text.predicted) {
    CPX_CHECK(span.begin >= end && span.end > span.begin && span.end <= std::ssize(text.ids),
              "[pack] text {}: got the span {} to {}, expected one within {} to {}.", number,
              span.begin, span.end, end, text.ids.size());
    end = span.end;
  }
}

void check_texts(std::span<const BatchText> texts) {
  int64_t num_tokens = 1;  // a pad may be added
  for (size_t i = 0; i < texts.size(); ++i) {
    CPX_CHECK(!texts[i].ids.empty(), "[pack] text {}: got no tokens, expected 1 or more.", i);
    CPX_CHECK(texts[i].group >= 0, "[pack] text {}: got group {}, expected 0 or more.", i,
              texts[i].group);
    CPX_CHECK(texts[i].num_given >= 0 && texts[i].num_given <= std::ssize(texts[i].ids),
              "[pack] text {}: got {} given tokens, expected 0 to {}.", i, texts[i].num_given,
              texts[i].ids.size());
    check_spans(texts[i], i);
    num_tokens += std::ssize(texts[i].ids);
  }
  CPX_CHECK(num_tokens <= std::numeric_limits<int32_t>::max(),
            "[pack] got {} tokens in {} texts, expected at most {}.", num_tokens, texts.size(),
            std::numeric_limits<int32_t>::max());
}

// Which of the text's tokens are predicted. The first one follows none.
std::vector<PredictedSpan> predicted_spans(const BatchText& text) {
  std::vector<PredictedSpan> spans(text.predicted.begin(), text.predicted.end());
  if (spans.empty()) spans = {{.begin = text.num_given, .end = std::ssize(text.ids)}};
  spans.front().begin = std::max<int64_t>(spans.front().begin, 1);
  if (spans.front().begin >= spans.front().end) spans.erase(spans.begin());
  return spans;
}

int64_t longest_text(std::span<const BatchText> texts) {
  int64_t longest = 0;
  for (const BatchText& text : texts) longest = std::max(longest, std::ssize(text.ids));
  return longest;
}

void add_sequence(std::span<const tokenizer::TokenId> ids, PackedBatch& batch) {
  batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());
  batch.num_tokens = std::ssize(batch.ids);
  batch.cu_seqlens.push_back(static_cast<int32_t>(batch.num_tokens));
}

// Adds the prediction of `target` at the token `row`; its index.
int64_t add_prediction(int64_t row, int64_t target, PackedBatch& batch) {
  batch.rows.push_back(row);
  batch.targets.push_back(target);
  return std::ssize(batch.rows) - 1;
}

void add_text(const BatchText& text, PackedBatch& batch) {
  const int64_t begin = batch.num_tokens;
  add_sequence(text.ids, batch);
  PackedText packed{.group = text.group, .role = text.role, .first = std::ssize(batch.rows)};
  for (const PredictedSpan& span : predicted_spans(text)) {
    for (int64_t t = begin + span.begin; t < begin + span.end; ++t) {
      add_prediction(t - 1, batch.ids[t], batch);
    }
  }
  packed.count = std::ssize(batch.rows) - packed.first;
  batch.texts.push_back(packed);
  batch.num_groups = std::max(batch.num_groups, text.group + 1);
}

// Adds the one pad of the pack and what it predicts: itself, and the first token of each text
// that has pads in front.
void add_pad(std::span<const BatchText> texts, tokenizer::TokenId eos, PackedBatch& batch) {
  const int64_t row = batch.num_tokens;
  add_sequence({&eos, 1}, batch);
  const auto has_two_pads = [](const PackedText& text) { return text.num_pads > 1; };
  if (std::ranges::any_of(batch.texts, has_two_pads)) {
    batch.pad_repeat_prediction = add_prediction(row, eos, batch);
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    if (batch.texts[i].num_pads > 0) {
      batch.texts[i].pad_prediction = add_prediction(row, texts[i].ids.front(), batch);
    }
  }
}

// Builds a pack in which texts of a group share the tokens of their common beginnings.
class PrefixPack {
 public:
  void add(const BatchText& text) {
    const std::vector<PredictedSpan> spans = predicted_spans(text);
    auto span = spans.begin();  // the one that ends behind the token
    const int64_t length = std::ssize(text.ids);
    PackedText packed{.group = text.group, .role = text.role, .first = std::ssize(batch_.rows)};
    // The first token of a group's texts follows no token: its parent is the group.
    int64_t token = -1 - text.group;
    for (int64_t i = 0; i < length; ++i) {
      const tokenizer::TokenId id = text.ids[static_cast<size_t>(i)];
      if (span != spans.end() && i == span->end) ++span;
      if (span != spans.end() && i >= span->begin) add_prediction(token, id, batch_);
      if (i > 0 && i + 1 == length) break;  // it predicts nothing
      token = token_after(token, id);
      batch_.token_of_place.push_back(token);
    }
    packed.count = std::ssize(batch_.rows) - packed.first;
    batch_.texts.push_back(packed);
    batch_.cu_seqlens.push_back(static_cast<int32_t>(batch_.token_of_place.size()));
    batch_.num_groups = std::max(batch_.num_groups, text.group + 1);
  }

  PackedBatch take() {
    batch_.num_tokens = std::ssize(batch_.ids);
    return std::move(batch_);
  }

 private:
  // The token `id` behind `parent`, which other texts may have there too.
  int64_t token_after(int64_t parent, tokenizer::TokenId id) {
    const auto [found, is_new] = tokens_.try_emplace({parent, id}, std::ssize(batch_.ids));
    if (is_new) batch_.ids.push_back(id);
    return found->second;
  }

  PackedBatch batch_{.cu_seqlens = {0}};
  std::map<std::pair<int64_t, tokenizer::TokenId>, int64_t> tokens_;
};

}  // namespace

PackedBatch pack_sharing_prefixes(std::span<const BatchText> texts) {
  check_texts(texts);
  PrefixPack pack;
  int64_t num_whole_tokens = 0;
  for (const BatchText& text : texts) {
    pack.add(text);
    num_whole_tokens += std::ssize(text.ids);
  }
  PackedBatch batch = pack.take();
  batch.num_padded_tokens = longest_text(texts) * std::ssize(texts) - num_whole_tokens;
  return batch;
}

PackedBatch pack(std::span<const BatchText> texts) {
  check_texts(texts);
  PackedBatch batch{.cu_seqlens = {0}};
  for (const BatchText& text : texts) add_text(text, batch);
  batch.num_padded_tokens = longest_text(texts) * std::ssize(texts) - batch.num_tokens;
  return batch;
}

PackedBatch pack_with_published_padding(std::span<const BatchText> texts, tokenizer::TokenId eos) {
  PackedBatch batch = pack(texts);
  const int64_t num_blocks = (longest_text(texts) + kPadMultiple - 1) / kPadMultiple;
  batch.padded_length = num_blocks * kPadMultiple;
  batch.num_padded_tokens = batch.padded_length * std::ssize(texts) - batch.num_tokens;
  for (size_t i = 0; i < texts.size(); ++i) {
    batch.texts[i].num_pads = batch.padded_length - std::ssize(texts[i].ids);
  }
  if (batch.num_padded_tokens > 0) add_pad(texts, eos, batch);
  return batch;
}

std::vector<std::vector<int64_t>> differing_predictions(const PackedBatch& batch) {
  const auto targets_of = [&](const PackedText& text) {
    return std::span(batch.targets)
        .subspan(static_cast<size_t>(text.first), static_cast<size_t>(text.count));
  };
  std::map<int64_t, std::set<int64_t>> neutral_targets;  // by group
  for (const PackedText& text : batch.texts) {
    if (text.role != TextRole::kPositive) continue;
    const auto targets = targets_of(text);
    neutral_targets[text.group].insert(targets.begin(), targets.end());
  }
  std::vector<std::vector<int64_t>> differing(batch.texts.size());
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    const PackedText& text = batch.texts[i];
    if (text.role == TextRole::kPositive) continue;
    const auto targets = targets_of(text);
    for (int64_t k = 0; k < text.count; ++k) {
      const bool is_shared = neutral_targets[text.group].contains(targets[static_cast<size_t>(k)]);
      if (!is_shared) differing[i].push_back(text.first + k);
    }
  }
  return differing;
}

}  // namespace cpx::data
