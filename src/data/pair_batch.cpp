// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/pair_batch.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpx/core/error.h"

namespace cpx::data {

namespace {

using tokenizer::TokenId;

TextRole role_of(size_t answer) {
  return answer == 0 ? TextRole::kPositive : TextRole::kHardNegative;
}

PackedBatch pack_apart(std::span<const EncodedPair> pairs) {
  std::vector<std::vector<TokenId>> ids;
  for (const EncodedPair& pair : pairs) {
    for (int64_t i = 0; i < std::ssize(pair.answers); ++i) ids.push_back(pair.whole_text(i));
  }
  std::vector<BatchText> texts;
  for (size_t pair = 0; pair < pairs.size(); ++pair) {
    for (size_t answer = 0; answer < pairs[pair].answers.size(); ++answer) {
      texts.push_back({.ids = ids[texts.size()],
                       .group = static_cast<int64_t>(pair),
                       .role = role_of(answer),
                       .num_given = std::ssize(pairs[pair].prompt)});
    }
  }
  return pack(texts);
}

// Builds the pack in which prompts stand once.
class SharedPack {
 public:
  void add(const EncodedPair& pair) {
    const int64_t prompt = std::ssize(batch_.ids);
    batch_.ids.insert(batch_.ids.end(), pair.prompt.begin(), pair.prompt.end());
    for (size_t i = 0; i < pair.answers.size(); ++i) add_answer(pair, i, prompt);
    batch_.num_groups += 1;
  }

  PackedBatch take() {
    batch_.num_tokens = std::ssize(batch_.ids);
    batch_.num_padded_tokens = longest_ * std::ssize(batch_.texts) - num_whole_tokens_;
    return std::move(batch_);
  }

 private:
  void add_answer(const EncodedPair& pair, size_t number, int64_t prompt) {
    const std::vector<TokenId>& ids = pair.answers[number].ids;
    const int64_t num_given = std::ssize(pair.prompt);
    const int64_t length = num_given + std::ssize(ids);
    CPX_CHECK(!ids.empty(), "[pack] answer {} of pair {}: got no tokens, expected 1 or more.",
              number, batch_.num_groups);
    for (int64_t i = 0; i < num_given; ++i) batch_.token_of_place.push_back(prompt + i);
    PackedText text{
        .group = batch_.num_groups, .role = role_of(number), .first = std::ssize(batch_.rows)};
    // Each token but the last predicts the next one.
    for (size_t i = 0; i < ids.size(); ++i) {
      const bool is_predicted = num_given + static_cast<int64_t>(i) > 0;
      if (is_predicted) predict(ids[i]);
      if (i + 1 < ids.size() || !is_predicted) add_token(ids[i]);
    }
    text.count = std::ssize(batch_.rows) - text.first;
    batch_.texts.push_back(text);
    batch_.cu_seqlens.push_back(static_cast<int32_t>(batch_.token_of_place.size()));
    longest_ = std::max(longest_, length);
    num_whole_tokens_ += length;
  }

  void add_token(TokenId id) {
    batch_.token_of_place.push_back(std::ssize(batch_.ids));
    batch_.ids.push_back(id);
  }

  void predict(TokenId target) {
    batch_.rows.push_back(batch_.token_of_place.back());
    batch_.targets.push_back(target);
  }

  PackedBatch batch_{.cu_seqlens = {0}};
  int64_t longest_ = 0;
  int64_t num_whole_tokens_ = 0;
};

}  // namespace

PackedBatch pack_pairs(std::span<const EncodedPair> pairs, bool shares_prompts) {
  if (!shares_prompts) return pack_apart(pairs);
  SharedPack shared;
  for (const EncodedPair& pair : pairs) shared.add(pair);
  return shared.take();
}

}  // namespace cpx::data
