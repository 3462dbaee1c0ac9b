// SPDX-License-Identifier: Apache-2.0
// Every source against plain attention over one text: kernels::packed_attention.
// Legend: T tokens, L places in all texts, H query heads, K key heads, E head size.
#include "cpx/nn/attention_source.h"

#include <gmock/gmock.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include "cpx/nn/forward_context.h"
#include "tests/support/gradient_check.h"
#include "tests/support/tensors.h"

namespace cpx::nn {
namespace attention_source_test {

using testing::ElementsAre;
using testing_support::is_close;
using testing_support::random_tensor;
using torch::Tensor;

constexpr kernels::AttentionOptions kOptions{.scale = 0.3, .window = 4};

// Queries, keys and values of some tokens.
struct Heads {
  Tensor q;  // [T, H, E]
  Tensor k;  // [T, K, E]
  Tensor v;  // [T, K, E]

  Heads rows(const std::vector<int64_t>& numbers) const {
    const auto index = at::tensor(numbers, at::kLong);
    return {q.index_select(0, index), k.index_select(0, index), v.index_select(0, index)};
  }
  Heads rows(int64_t begin, int64_t end) const {
    return {q.slice(0, begin, end), k.slice(0, begin, end), v.slice(0, begin, end)};
  }
};

Heads random_heads(int64_t num_tokens, uint64_t seed) {
  return {random_tensor({num_tokens, 4, 8}, seed).to(at::kFloat),
          random_tensor({num_tokens, 2, 8}, seed + 1).to(at::kFloat),
          random_tensor({num_tokens, 2, 8}, seed + 2).to(at::kFloat)};
}

Tensor read_by(const AttentionSource& source, const Heads& heads, int64_t layer = 0) {
  return source.attend(layer, heads.q, heads.k, heads.v, kOptions);
}

Tensor read_alone(const Heads& text) {
  return kernels::packed_attention(text.q, text.k, text.v,
                                   {0, static_cast<int32_t>(text.q.size(0))}, kOptions);
}

// Three texts behind the tokens 0 and 1: 0 1 2 3, 0 1 4 and 0 1 2 5.
PackedTokens three_texts() {
  return {.ids = at::arange(6, at::kLong),
          .cu_seqlens = {0, 4, 7, 11},
          .token_of_place = {0, 1, 2, 3, 0, 1, 4, 0, 1, 2, 5}};
}

KvCache small_cache() {
  return KvCache({.num_layers = 2,
                  .num_kv_heads = 2,
                  .head_dim = 8,
                  .window = kOptions.window,
                  .num_prompts = 2,
                  .prompt_capacity = 10,
                  .num_sequences = 2,
                  .sequence_capacity = 10,
                  .num_candidates = 2});
}

// ---- Texts --------------------------------------------------------------------------------------

TEST(PackedTexts, PositionsStartAgainInEveryText) {
  EXPECT_THAT(PackedTexts({0, 3, 3, 5}).positions(), ElementsAre(0, 1, 2, 0, 1));
}

TEST(PackedTexts, ATokenReadsItsOwnText) {
  const Heads heads = random_heads(9, 1);
  const auto read = read_by(PackedTexts({0, 2, 9}), heads);
  EXPECT_TRUE(is_close(read.slice(0, 0, 2), read_alone(heads.rows(0, 2))));
  EXPECT_TRUE(is_close(read.slice(0, 2, 9), read_alone(heads.rows(2, 9))));
}

TEST(SharedTexts, PositionsAreThoseInTheTexts) {
  EXPECT_THAT(SharedTexts(three_texts()).positions(), ElementsAre(0, 1, 2, 3, 2, 3));
}

TEST(SharedTexts, ATokenReadsTheSameInEachOfItsTexts) {
  const Heads heads = random_heads(6, 4);
  const auto read = read_by(SharedTexts(three_texts()), heads);  // [T, H, E]
  const std::vector<std::vector<int64_t>> texts = {{0, 1, 2, 3}, {0, 1, 4}, {0, 1, 2, 5}};
  for (const auto& text : texts) {
    EXPECT_TRUE(
        is_close(read.index_select(0, at::tensor(text, at::kLong)), read_alone(heads.rows(text))));
  }
}

// A shared key is read in three texts, but a shared query counts once.
TEST(SharedTexts, GradientsAreThoseOfEachTokenOnce) {
  const PackedTokens tokens = three_texts();
  const auto gradients = [&](const AttentionSource& source, const std::vector<int64_t>& rows,
                             const std::vector<int64_t>& counted) {
    Heads heads = random_heads(6, 7);
    for (Tensor* one : {&heads.q, &heads.k, &heads.v}) one->requires_grad_(true);
    const auto read = read_by(source, heads.rows(rows));
    const auto weights = random_tensor({6, 4, 8}, 11).to(at::kFloat);
    const auto loss = (read.index_select(0, at::tensor(counted, at::kLong)) * weights).sum();
    return torch::autograd::grad({loss}, {heads.q, heads.k, heads.v});
  };
  const auto shared = gradients(SharedTexts(tokens), {0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 5});
  const auto apart =
      gradients(PackedTexts(tokens.cu_seqlens), tokens.token_of_place, {0, 1, 2, 3, 6, 10});
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(is_close(shared[i], apart[i])) << i;
}

// ---- Behind a beginning -------------------------------------------------------------------------

// The tokens of `one`, then those of `other`.
Heads joined(const Heads& one, const Heads& other) {
  return {at::cat({one.q, other.q}), at::cat({one.k, other.k}), at::cat({one.v, other.v})};
}

// Two texts behind five tokens, longer than the window: apart, and with a token in common.
TEST(KeptBeginning, TextsBehindItReadIt) {
  const Heads beginning = random_heads(5, 40), added = random_heads(2, 50);
  const auto kept = std::make_shared<KeptBeginning>(5, /*num_layers=*/2);
  const BeginningToKeep source(kept, /*num_added=*/2);
  EXPECT_THAT(source.positions(), ElementsAre(0, 1, 2, 3, 4, 0, 1));
  const auto read = read_by(source, joined(beginning, added), /*layer=*/1);
  EXPECT_TRUE(is_close(read.slice(0, 0, 5), read_alone(beginning)));
  EXPECT_TRUE(is_close(read.slice(0, 5, 7), read_alone(added)));

  const Heads heads = random_heads(5, 60);
  const auto expect_texts = [&](const PackedTokens& tokens,
                                const std::vector<std::vector<int64_t>>& texts,
                                const std::vector<int64_t>& positions) {
    const auto behind = attention_source(tokens);
    EXPECT_EQ(behind->positions(), positions);
    const auto found = read_by(*behind, heads, /*layer=*/1);
    for (const auto& text : texts) {
      const auto whole = read_alone(joined(beginning, heads.rows(text)));
      EXPECT_TRUE(is_close(found.index_select(0, at::tensor(text, at::kLong)), whole.slice(0, 5)));
    }
  };
  PackedTokens tokens{.ids = at::arange(5, at::kLong), .cu_seqlens = {0, 3, 5}, .behind = kept};
  expect_texts(tokens, {{0, 1, 2}, {3, 4}}, {5, 6, 7, 5, 6});
  tokens.cu_seqlens = {0, 3, 6};
  tokens.token_of_place = {0, 1, 2, 0, 3, 4};
  expect_texts(tokens, {{0, 1, 2}, {0, 3, 4}}, {5, 6, 7, 6, 7});
}

TEST(AttentionSource, OfPackedTokensKnowsWhetherTheyShareSome) {
  EXPECT_THAT(attention_source(three_texts())->positions(), ElementsAre(0, 1, 2, 3, 2, 3));
  EXPECT_THAT(
      attention_source({.ids = at::arange(6, at::kLong), .cu_seqlens = {0, 4, 6}})->positions(),
      ElementsAre(0, 1, 2, 3, 0, 1));
}

// ---- With a cache -------------------------------------------------------------------------------

// Two texts continue prompts of 5 and 2 tokens: first by one token each, then by a candidate each.
TEST(CachedSources, PromptsThenNextTokensThenCandidatesReadTheWholeTexts) {
  const Heads one = random_heads(8, 20), other = random_heads(4, 30);
  const auto one_read = read_alone(one), other_read = read_alone(other);
  const std::vector<PromptSlot> prompts = {{.slot = 1, .num_tokens = 5},
                                           {.slot = 0, .num_tokens = 2}};
  KvCache cache = small_cache();
  cache.begin_prompts(prompts, 7);
  const CachedPrompts both(cache, prompts);
  EXPECT_THAT(both.positions(), ElementsAre(0, 1, 2, 3, 4, 0, 1));
  const auto read = read_by(both, joined(one.rows(0, 5), other.rows(0, 2)), /*layer=*/1);
  EXPECT_TRUE(is_close(read.slice(0, 0, 5), one_read.slice(0, 0, 5)));
  EXPECT_TRUE(is_close(read.slice(0, 5, 7), other_read.slice(0, 0, 2)));

  cache.begin_sequence(0, /*prompt=*/1);
  cache.begin_sequence(1, /*prompt=*/0);
  const NextTokens next(cache, {0, 1});
  EXPECT_THAT(next.positions(), ElementsAre(5, 2));
  const auto next_read = read_by(next, joined(one.rows(5, 6), other.rows(2, 3)), /*layer=*/1);
  EXPECT_TRUE(is_close(next_read[0], one_read[5]));
  EXPECT_TRUE(is_close(next_read[1], other_read[2]));
  cache.advance(std::vector<int64_t>{0, 1});

  const CandidateTokens candidates(cache,
                                   {{.sequence = 1, .number = 1}, {.sequence = 0, .number = 0}});
  EXPECT_THAT(candidates.positions(), ElementsAre(3, 6));
  const auto tried = read_by(candidates, joined(other.rows(3, 4), one.rows(6, 7)), /*layer=*/1);
  EXPECT_TRUE(is_close(tried[0], other_read[3]));
  EXPECT_TRUE(is_close(tried[1], one_read[6]));
}

TEST(CachedPrompts, AddedTokensAreATextOfTheirOwnAndAreNotStored) {
  const Heads heads = random_heads(6, 40);
  const Heads next = random_heads(1, 50);
  const auto next_read = [&](int64_t num_added) {
    KvCache cache = small_cache();
    cache.begin_prompts({{.slot = 0, .num_tokens = 3}}, 3);
    const CachedPrompts source(cache, {{.slot = 0, .num_tokens = 3}}, num_added);
    EXPECT_EQ(std::ssize(source.positions()), 3 + num_added);
    const auto read = read_by(source, heads.rows(0, 3 + num_added));
    EXPECT_TRUE(is_close(read.slice(0, 0, 3), read_alone(heads.rows(0, 3))));
    cache.begin_sequence(0, 0);
    EXPECT_EQ(cache.position(0), 3);
    return read_by(NextTokens(cache, {0}), next);
  };
  EXPECT_TRUE(at::equal(next_read(3), next_read(0)));
}

}  // namespace attention_source_test
}  // namespace cpx::nn
