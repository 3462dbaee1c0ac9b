// SPDX-License-Identifier: Apache-2.0
// Attention over cached keys against the same text at once (packed_attention).
// Legend: T tokens, H query heads, K key heads, E head size.
#include "cpx/nn/kv_cache.h"

#include <stdexcept>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/kernels/attention.h"
#include "tests/support/errors.h"
#include "tests/support/gradient_check.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::nn {
namespace kv_cache_test {

using testing_support::is_close;
using testing_support::message_of;
using testing_support::random_tensor;
using torch::Tensor;

struct Case {
  int64_t num_heads;
  int64_t num_kv_heads;
  int64_t head_dim;
  int64_t window;
  torch::Dtype dtype;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.num_heads << "/" << one.num_kv_heads << " x " << one.head_dim << ", window "
       << one.window << ", " << one.dtype;
}

// A text's queries, keys and values in one layer.
struct Text {
  Tensor q, k, v;

  Text(const Case& one, int64_t length, uint64_t seed)
      : q(random_tensor({length, one.num_heads, one.head_dim}, seed).to(one.dtype)),
        k(random_tensor({length, one.num_kv_heads, one.head_dim}, seed + 1).to(one.dtype)),
        v(random_tensor({length, one.num_kv_heads, one.head_dim}, seed + 2).to(one.dtype)) {}

  // The first `own` tokens of `prompt`, then this text's.
  void begin_with(const Text& prompt, int64_t own) {
    for (auto [mine, theirs] :
         {std::pair(&q, &prompt.q), std::pair(&k, &prompt.k), std::pair(&v, &prompt.v)}) {
      *mine = at::cat({theirs->narrow(0, 0, own), *mine});
    }
  }
};

class CachedAttention : public testing::TestWithParam<Case> {
 protected:
  static constexpr double kScale = 0.3;

  static KvCacheOptions options() {
    return {.num_layers = 2,
            .num_kv_heads = GetParam().num_kv_heads,
            .head_dim = GetParam().head_dim,
            .window = GetParam().window,
            .num_prompts = 2,
            .prompt_capacity = 50,
            .num_sequences = 3,
            .sequence_capacity = 70,
            .num_candidates = 3,
            .tensor_options = torch::TensorOptions().dtype(GetParam().dtype)};
  }

  static Tensor at_once(const Text& text) {
    return kernels::packed_attention(text.q, text.k, text.v,
                                     {0, static_cast<int32_t>(text.q.size(0))},
                                     {.scale = kScale, .window = GetParam().window});
  }
};

// The kernel's head sizes and the operators'; groups of 1 to 5; windows shorter than the prompt,
// than the text, and none.
INSTANTIATE_TEST_SUITE_P(
    Cases, CachedAttention,
    testing::Values(Case{3, 1, 16, 0, torch::kFloat32}, Case{4, 4, 8, 0, torch::kFloat32},
                    Case{10, 2, 72, 0, torch::kFloat32}, Case{3, 1, 64, 20, torch::kFloat32},
                    Case{4, 2, 8, 1, torch::kFloat32}, Case{2, 2, 8, 60, torch::kFloat32},
                    Case{4, 2, 6, 0, torch::kFloat32}, Case{4, 2, 8, 20, torch::kFloat64}),
    testing_support::by_value);

// Two prompts, three sequences that begin at different times, two of them with the same prompt.
TEST_P(CachedAttention, EqualsTheWholeText) {
  const std::vector<int64_t> prompt_lengths = {37, 5};
  const std::vector<int64_t> prompt_of = {0, 1, 0};
  std::vector<Text> prompts, texts;
  for (uint64_t i = 0; i < 2; ++i) prompts.emplace_back(GetParam(), prompt_lengths[i], 10 * i + 1);
  for (uint64_t i = 0; i < 3; ++i) {
    texts.emplace_back(GetParam(), 60, 100 * i + 50);
    texts[i].begin_with(prompts[static_cast<size_t>(prompt_of[i])],
                        prompt_lengths[static_cast<size_t>(prompt_of[i])]);
  }
  KvCache cache(options());
  for (int64_t i = 0; i < 2; ++i) {
    cache.begin_prompt(i, prompt_lengths[i]);
    cache.store_prompt(/*layer=*/1, i, prompts[i].k, prompts[i].v);
  }
  std::vector<Tensor> expected;
  for (const Text& text : texts) expected.push_back(at_once(text));

  cache.begin_sequence(0, prompt_of[0]);
  cache.begin_sequence(1, prompt_of[1]);
  for (int64_t step = 0; step < 60; ++step) {
    std::vector<int64_t> sequences = {0, 1};
    if (step == 7) cache.begin_sequence(2, prompt_of[2]);
    if (step >= 7) sequences.insert(sequences.begin(), 2);  // the rows' order is free
    std::vector<Tensor> q, k, v;
    for (const int64_t sequence : sequences) {
      const int64_t position = cache.position(sequence);
      q.push_back(texts[sequence].q.narrow(0, position, 1));
      k.push_back(texts[sequence].k.narrow(0, position, 1));
      v.push_back(texts[sequence].v.narrow(0, position, 1));
    }
    const auto rows =
        cache.attend(/*layer=*/1, sequences, at::cat(q), at::cat(k), at::cat(v), kScale);
    for (size_t i = 0; i < sequences.size(); ++i) {
      const int64_t position = cache.position(sequences[i]);
      ASSERT_TRUE(is_close(rows[static_cast<int64_t>(i)], expected[sequences[i]][position]))
          << "sequence " << sequences[i] << ", position " << position;
    }
    cache.advance(sequences);
  }
}

// Three tokens are tried at each step, the text's own and two of other texts, each time in another
// order; each reads what the text with it as its last token reads.
TEST_P(CachedAttention, CandidatesSeeTheTextAndThemselves) {
  const Text prompt(GetParam(), 9, 1);
  std::vector<Text> texts;
  for (uint64_t i = 0; i < 3; ++i) {
    texts.emplace_back(GetParam(), 45, 100 * i + 50);
    texts[i].begin_with(prompt, 9);
  }
  KvCache cache(options());
  cache.begin_prompt(0, 9);
  cache.store_prompt(/*layer=*/1, 0, prompt.k, prompt.v);
  cache.begin_sequence(2, 0);
  for (int64_t position = 9; position < 54; ++position) {
    std::vector<Tensor> q, k, v, expected;
    for (int64_t number = 0; number < 3; ++number) {
      const Text& other = texts[static_cast<size_t>((position + number) % 3)];
      Text whole = other;
      whole.q = at::cat({texts[0].q.narrow(0, 0, position), other.q.narrow(0, position, 1)});
      whole.k = at::cat({texts[0].k.narrow(0, 0, position), other.k.narrow(0, position, 1)});
      whole.v = at::cat({texts[0].v.narrow(0, 0, position), other.v.narrow(0, position, 1)});
      expected.push_back(at_once(whole)[position]);
      q.push_back(other.q.narrow(0, position, 1));
      k.push_back(other.k.narrow(0, position, 1));
      v.push_back(other.v.narrow(0, position, 1));
    }
    const std::vector<CandidateRow> rows = {{2, 0}, {2, 1}, {2, 2}};
    const auto read =
        cache.attend_candidates(/*layer=*/1, rows, at::cat(q), at::cat(k), at::cat(v), kScale);
    for (int64_t number = 0; number < 3; ++number) {
      ASSERT_TRUE(is_close(read[number], expected[static_cast<size_t>(number)]))
          << "position " << position << ", candidate " << number;
    }
    cache.keep_candidate({2, (3 - position % 3) % 3});  // the text's own
    ASSERT_EQ(cache.position(2), position + 1);
  }
}

TEST_P(CachedAttention, ARowsBitsDoNotDependOnTheOthers) {
  const Text prompt(GetParam(), 30, 1), next(GetParam(), 3, 5);
  const auto first_rows = [&](const std::vector<int64_t>& sequences) {
    KvCache cache(options());
    cache.begin_prompt(1, 30);
    cache.store_prompt(0, 1, prompt.k, prompt.v);
    for (int64_t sequence = 0; sequence < 3; ++sequence) cache.begin_sequence(sequence, 1);
    const auto count = static_cast<int64_t>(sequences.size());
    return cache.attend(0, sequences, next.q.narrow(0, 0, count), next.k.narrow(0, 0, count),
                        next.v.narrow(0, 0, count), kScale)[0];
  };
  const auto alone = first_rows({2});
  EXPECT_TRUE(at::equal(first_rows({2, 0, 1}), alone));
  EXPECT_TRUE(at::equal(first_rows({1, 2}), alone));
}

TEST_P(CachedAttention, ACandidatesBitsDoNotDependOnTheOthers) {
  const Text prompt(GetParam(), 30, 1), next(GetParam(), 3, 5);
  const auto first_row = [&](const std::vector<CandidateRow>& rows) {
    KvCache cache(options());
    cache.begin_prompt(1, 30);
    cache.store_prompt(0, 1, prompt.k, prompt.v);
    for (int64_t sequence = 0; sequence < 3; ++sequence) cache.begin_sequence(sequence, 1);
    const auto count = std::ssize(rows);
    return cache.attend_candidates(0, rows, next.q.narrow(0, 0, count), next.k.narrow(0, 0, count),
                                   next.v.narrow(0, 0, count), kScale)[0];
  };
  const auto alone = first_row({{2, 1}});
  EXPECT_TRUE(at::equal(first_row({{2, 1}, {2, 0}, {2, 2}}), alone));
  EXPECT_TRUE(at::equal(first_row({{2, 1}, {0, 1}, {1, 0}}), alone));
}

TEST(KvCache, CountsItsBytes) {
  // 3 layers * 2 heads * 8 * 4 bytes * 2 (keys, values) * (2 * 32 + 5 * 16) places.
  KvCacheOptions options{.num_layers = 3,
                         .num_kv_heads = 2,
                         .head_dim = 8,
                         .num_prompts = 2,
                         .prompt_capacity = 20,
                         .num_sequences = 5,
                         .sequence_capacity = 16};
  EXPECT_EQ(KvCache(options).num_bytes(), 3 * 2 * 8 * 4 * 2 * (2 * 32 + 5 * 16));
  // Candidates: 16 places a sequence for up to 16 of them.
  options.num_candidates = 4;
  EXPECT_EQ(KvCache(options).num_bytes(), 3 * 2 * 8 * 4 * 2 * (2 * 32 + 5 * 16 + 5 * 16));
}

// A prompt of up to four tokens, and one new token of two candidates.
class KvCacheErrors : public testing::Test {
 protected:
  KvCacheErrors() {
    cache_.begin_prompt(0, 2);
    cache_.begin_sequence(0, 0);
  }

  const std::vector<int64_t> sequences_ = {0};
  const Tensor row_ = at::ones({1, 1, 8});
  KvCache cache_{{.num_layers = 1,
                  .num_kv_heads = 1,
                  .head_dim = 8,
                  .prompt_capacity = 4,
                  .sequence_capacity = 1,
                  .num_candidates = 2}};
};

TEST_F(KvCacheErrors, APromptOverItsCapacityIsRefused) {
  EXPECT_EQ(message_of<std::invalid_argument>([&] { cache_.begin_prompt(0, 5); }),
            "[kv cache] got a prompt of 5 tokens, expected 1 to 4.");
}

TEST(KvCache, ASequenceNeedsAPrompt) {
  KvCache cache({.num_layers = 1,
                 .num_kv_heads = 1,
                 .head_dim = 8,
                 .prompt_capacity = 4,
                 .sequence_capacity = 1});
  EXPECT_EQ(message_of<std::invalid_argument>([&] { cache.begin_sequence(0, 0); }),
            "[kv cache] there is no prompt at place 0.");
}

TEST_F(KvCacheErrors, ACandidateOverTheirNumberIsRefused) {
  const std::vector<CandidateRow> beyond = {{0, 2}};
  EXPECT_EQ(message_of<std::invalid_argument>(
                [&] { cache_.attend_candidates(0, beyond, row_, row_, row_, 1.0); }),
            "[kv cache] got the candidate 2 of sequence 0, expected 0 to 1.");
}

TEST_F(KvCacheErrors, CandidatesOfAFullSequenceAreRefused) {
  cache_.advance(sequences_);
  const std::vector<CandidateRow> candidates = {{0, 1}};
  EXPECT_EQ(message_of<std::invalid_argument>(
                [&] { cache_.attend_candidates(0, candidates, row_, row_, row_, 1.0); }),
            "[kv cache] sequence 0 is full: it has 1 new tokens.");
}

TEST_F(KvCacheErrors, ATokenOfAFullSequenceIsRefused) {
  cache_.advance(sequences_);
  EXPECT_EQ(message_of<std::invalid_argument>(
                [&] { cache_.attend(0, sequences_, row_, row_, row_, 1.0); }),
            "[kv cache] sequence 0 is full: it has 1 new tokens.");
}

TEST_F(KvCacheErrors, PromptsNeedABoundEach) {
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              cache_.begin_prompts({{0, 3}, {1, 1}}, 5);
            }),
            "[kv cache] got 5 ids for 2 prompts, expected 4: one for each of their tokens.");
}

TEST(KvCache, SizesArePositive) {
  EXPECT_EQ(message_of<std::invalid_argument>([] { KvCache({.num_layers = 1}); }),
            "[kv cache] got a size that is not positive.");
}

}  // namespace kv_cache_test
}  // namespace cpx::nn
