// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/random.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace cpx {
namespace random_test {

// Known answers of philox4x32-10 published with the Random123 library (kat_vectors).
TEST(Philox, MatchesPublishedKnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(CounterRng, DependsOnSeedAndEveryPartOfTheKey) {
  const auto first = [](uint64_t seed, std::initializer_list<uint64_t> key) {
    return CounterRng(seed, key).next_u64();
  };
  EXPECT_EQ(first(1, {2, 3}), first(1, {2, 3}));
  EXPECT_NE(first(1, {2, 3}), first(2, {2, 3}));
  EXPECT_NE(first(1, {2, 3}), first(1, {3, 2}));
  EXPECT_NE(first(1, {2, 3}), first(1, {2, 3, 0}));
}

TEST(CounterRng, UniformHasTheMomentsOfTheUnitInterval) {
  CounterRng rng(7, {});
  double sum = 0.0;
  double sum_of_squares = 0.0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
    sum_of_squares += value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.01);
  EXPECT_NEAR(sum_of_squares / kDraws, 1.0 / 3.0, 0.01);
}

TEST(CounterRng, NormalHasZeroMeanAndUnitVariance) {
  CounterRng rng(7, {1});
  double sum = 0.0;
  double sum_of_squares = 0.0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.normal();
    sum += value;
    sum_of_squares += value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.03);
  EXPECT_NEAR(sum_of_squares / kDraws, 1.0, 0.04);
}

TEST(CounterRng, BelowRejectsAnEmptyRange) {
  EXPECT_THROW(CounterRng(0, {}).below(0), std::invalid_argument);
}

TEST(RandomPermutation, HoldsEveryNumberOnceAndEveryOrderOccurs) {
  std::set<std::vector<int64_t>> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    auto order = random_permutation(3, CounterRng(seed, {}));
    seen.insert(order);
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, (std::vector<int64_t>{0, 1, 2}));
  }
  EXPECT_EQ(seen.size(), 6u);
}

TEST(SampleWithoutReplacement, DrawsDifferentNumbersInRange) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto drawn = sample_without_replacement(10, 7, CounterRng(seed, {}));
    const std::set<int64_t> different(drawn.begin(), drawn.end());
    EXPECT_EQ(different.size(), 7u);
    EXPECT_GE(*different.begin(), 0);
    EXPECT_LT(*different.rbegin(), 10);
  }
  EXPECT_THROW(sample_without_replacement(2, 3, CounterRng(0, {})), std::invalid_argument);
}

}  // namespace random_test
}  // namespace cpx
