// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/preference_pairs.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"

namespace cpx::data {
namespace preference_pairs_test {

using testing::ElementsAre;
using testing_support::message_of;

PreferenceItem make_item(int num_chosen, int num_rejected) {
  PreferenceItem item{.prompt = "p"};
  for (int i = 0; i < num_chosen; ++i) item.chosen.push_back("chosen " + std::to_string(i));
  for (int i = 0; i < num_rejected; ++i) item.rejected.push_back("rejected " + std::to_string(i));
  return item;
}

// Ten items of three chosen and four rejected answers.
std::vector<PreferenceItem> ten_items() { return std::vector<PreferenceItem>(10, make_item(3, 4)); }

using Pair = std::tuple<int64_t, int64_t, std::vector<int64_t>>;

Pair as_tuple(const DrawnPair& drawn) { return {drawn.item, drawn.chosen, drawn.rejected}; }

std::vector<Pair> full_pass(const PreferencePairs& pairs, int64_t epoch) {
  std::vector<Pair> drawn;
  for (const int64_t pair : pairs.epoch_order(epoch)) {
    drawn.push_back(as_tuple(pairs.draw(pair, epoch)));
  }
  return drawn;
}

TEST(PreferencePairs, ItemsWithoutAPairAreSkippedAndCounted) {
  const std::vector<PreferenceItem> items = {make_item(1, 2), make_item(1, 1), make_item(0, 9),
                                             make_item(2, 5)};
  const PreferencePairs pairs(items, {.pairs_per_group = 0, .rejected_per_chosen = 2});
  EXPECT_EQ(pairs.num_items(), 2);
  EXPECT_EQ(pairs.num_skipped(), 2);
  EXPECT_EQ(pairs.num_pairs(), 1 + 2 * 2);
}

TEST(PreferencePairs, AnItemGivesAtMostItsPairings) {
  const std::vector<PreferenceItem> items = {make_item(1, 1), make_item(2, 3)};
  EXPECT_EQ(PreferencePairs(items, {.pairs_per_group = 4}).num_pairs(), 1 + 4);
  EXPECT_EQ(PreferencePairs(items, {.pairs_per_group = 1}).num_pairs(), 2);
  EXPECT_EQ(PreferencePairs(items, {.pairs_per_group = 0}).num_pairs(), 1 + 6);
}

TEST(PreferencePairs, AllPairingsComeOnceWhateverTheCounts) {
  for (int num_chosen = 1; num_chosen <= 6; ++num_chosen) {
    for (int num_rejected = 1; num_rejected <= 6; ++num_rejected) {
      const std::vector<PreferenceItem> items = {make_item(num_chosen, num_rejected)};
      for (const bool shuffle : {false, true}) {
        const PreferencePairs pairs(items, {.pairs_per_group = 0, .shuffle = shuffle, .seed = 3});
        const std::vector<Pair> drawn = full_pass(pairs, 2);
        EXPECT_EQ(drawn.size(), num_chosen * num_rejected);
        EXPECT_EQ(std::set<Pair>(drawn.begin(), drawn.end()).size(), drawn.size());
      }
    }
  }
}

// Four chosen and six rejected answers: in the first four pairs every chosen one comes once, in the
// first six every rejected one.
TEST(PreferencePairs, NoAnswerComesAgainBeforeAllOfItsSide) {
  const std::vector<PreferenceItem> items = {make_item(4, 6)};
  const PreferencePairs pairs(items, {.pairs_per_group = 0, .seed = 5});
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    std::set<int64_t> chosen, rejected;
    for (int64_t i = 0; i < 6; ++i) {
      const DrawnPair drawn = pairs.draw(i, epoch);
      if (i < 4) chosen.insert(drawn.chosen);
      rejected.insert(drawn.rejected.at(0));
    }
    EXPECT_EQ(chosen.size(), 4);
    EXPECT_EQ(rejected.size(), 6);
  }
}

TEST(PreferencePairs, RejectedAnswersAreDealtOutInBlocks) {
  const std::vector<PreferenceItem> items = {make_item(2, 7)};
  const PreferencePairs pairs(items, {.pairs_per_group = 0, .rejected_per_chosen = 3, .seed = 1});
  ASSERT_EQ(pairs.num_pairs(), 2 * 2);
  std::map<int64_t, std::vector<int64_t>> of_chosen;
  for (int64_t i = 0; i < 4; ++i) {
    const DrawnPair drawn = pairs.draw(i, 0);
    ASSERT_EQ(drawn.rejected.size(), 3);
    auto& seen = of_chosen[drawn.chosen];
    seen.insert(seen.end(), drawn.rejected.begin(), drawn.rejected.end());
  }
  for (auto& [chosen, rejected] : of_chosen) {
    std::ranges::sort(rejected);
    EXPECT_EQ(rejected.size(), 6);
    EXPECT_EQ(std::ranges::unique(rejected).size(), 0);
  }
}

TEST(PreferencePairs, ZeroRejectedPerChosenTakesAllOfTheItem) {
  const std::vector<PreferenceItem> items = {make_item(2, 3), make_item(1, 1), make_item(1, 0)};
  const PreferencePairs pairs(items,
                              {.pairs_per_group = 0, .rejected_per_chosen = 0, .shuffle = false});
  EXPECT_EQ(pairs.num_skipped(), 1);
  EXPECT_THAT(full_pass(pairs, 0),
              ElementsAre(Pair{0, 0, {0, 1, 2}}, Pair{0, 1, {0, 1, 2}}, Pair{1, 0, {0}}));
}

TEST(PreferencePairs, WithoutShufflingTheFirstAnswersComeFirst) {
  const std::vector<PreferenceItem> items = {make_item(2, 2), make_item(3, 3)};
  const PreferencePairs pairs(items, {.pairs_per_group = 3, .shuffle = false});
  const std::vector<Pair> drawn = full_pass(pairs, 4);
  EXPECT_THAT(drawn, ElementsAre(Pair{0, 0, {0}}, Pair{0, 1, {1}}, Pair{0, 0, {1}}, Pair{1, 0, {0}},
                                 Pair{1, 1, {1}}, Pair{1, 2, {2}}));
  EXPECT_EQ(drawn, full_pass(pairs, 9));
}

TEST(PreferencePairs, APositionAloneEqualsThatOfAFullPass) {
  const std::vector<PreferenceItem> items = ten_items();
  const PairOptions options = {.pairs_per_group = 5, .rejected_per_chosen = 2, .seed = 7};
  const PreferencePairs pairs(items, options);
  std::vector<Pair> passed;
  for (int64_t epoch = 0; epoch <= 6; ++epoch) passed = full_pass(pairs, epoch);
  ASSERT_EQ(passed.size(), 50);
  for (const int64_t position : {0, 17, 49}) {
    const PreferencePairs again(items, options);  // never saw another epoch or position
    EXPECT_EQ(as_tuple(again.draw(again.epoch_order(6)[position], 6)), passed[position]);
  }
}

TEST(PreferencePairs, OrderAndAnswersChangeWithEpochAndSeed) {
  const std::vector<PreferenceItem> items = ten_items();
  const PreferencePairs pairs(items, {.pairs_per_group = 2, .seed = 7});
  const PreferencePairs other(items, {.pairs_per_group = 2, .seed = 8});
  EXPECT_NE(pairs.epoch_order(0), pairs.epoch_order(1));
  EXPECT_NE(pairs.epoch_order(0), other.epoch_order(0));
  const auto in_turn = [](const PreferencePairs& source, int64_t epoch) {
    std::vector<Pair> drawn;
    for (int64_t i = 0; i < source.num_pairs(); ++i) {
      drawn.push_back(as_tuple(source.draw(i, epoch)));
    }
    return drawn;
  };
  EXPECT_NE(in_turn(pairs, 0), in_turn(pairs, 1));
  EXPECT_NE(in_turn(pairs, 0), in_turn(other, 0));
}

TEST(PreferencePairs, AnEpochVisitsEachPairOnce) {
  const std::vector<PreferenceItem> items = ten_items();
  const PreferencePairs pairs(items, {.pairs_per_group = 3, .seed = 1});
  std::vector<int64_t> order = pairs.epoch_order(1000000);
  EXPECT_FALSE(std::ranges::is_sorted(order));
  std::ranges::sort(order);
  for (int64_t i = 0; i < 30; ++i) EXPECT_EQ(order[i], i);
}

// Over 6000 epochs each of the 12 pairings is expected 500 times (standard deviation 21.4); the
// bounds are 5 of them.
TEST(PreferencePairs, EveryPairingIsDrawnEquallyOften) {
  const std::vector<PreferenceItem> items = ten_items();
  const PreferencePairs pairs(items, {.pairs_per_group = 1, .seed = 11});
  std::map<Pair, int> counts;
  for (int64_t epoch = 0; epoch < 6000; ++epoch) ++counts[as_tuple(pairs.draw(4, epoch))];
  EXPECT_EQ(counts.size(), 12);
  for (const auto& [pair, count] : counts) EXPECT_NEAR(count, 500, 107);
}

template <class Error>
std::string drawing_error(const std::vector<PreferenceItem>& items, const PairOptions& options,
                          int64_t pair = 0, int64_t epoch = 0) {
  return message_of<Error>([&] {
    const PreferencePairs pairs(items, options);
    pairs.draw(pair, epoch);
    pairs.epoch_order(epoch);
  });
}

TEST(PreferencePairs, NoUsableItemIsAnError) {
  EXPECT_EQ(
      drawing_error<DataError>({make_item(1, 2), make_item(0, 9)}, {.rejected_per_chosen = 3}),
      "[preference_pairs] no pair can be made: got 2 records, expected one with a chosen and "
      "3 rejected answers. Lower rejected_per_chosen, or check the data.");
  EXPECT_EQ(drawing_error<DataError>({}, {.rejected_per_chosen = 0}),
            "[preference_pairs] no pair can be made: got 0 records, expected one with a chosen and "
            "1 rejected answers. Lower rejected_per_chosen, or check the data.");
}

TEST(PreferencePairsErrors, PairsOfAGroupAreNotNegative) {
  EXPECT_EQ(drawing_error<std::invalid_argument>(ten_items(), {.pairs_per_group = -1}),
            "[preference_pairs] pairs_per_group: got -1, expected 0 or more.");
}

TEST(PreferencePairsErrors, RejectedAnswersAreNotNegative) {
  EXPECT_EQ(drawing_error<std::invalid_argument>(ten_items(), {.rejected_per_chosen = -1}),
            "[preference_pairs] rejected_per_chosen: got -1, expected 0 or more.");
}

TEST(PreferencePairsErrors, APairIsOneOfThePairs) {
  EXPECT_EQ(drawing_error<std::invalid_argument>(ten_items(), {}, 10),
            "[preference_pairs] pair: got 10, expected 0 to 9.");
}

TEST(PreferencePairsErrors, AnEpochOfADrawIsNotNegative) {
  EXPECT_EQ(drawing_error<std::invalid_argument>(ten_items(), {}, 0, -1),
            "[preference_pairs] epoch: got -1, expected 0 or more.");
}

TEST(PreferencePairsErrors, AnEpochOfAnOrderIsNotNegative) {
  const std::vector<PreferenceItem> items = ten_items();
  EXPECT_EQ(message_of<std::invalid_argument>([&] { PreferencePairs(items, {}).epoch_order(-1); }),
            "[preference_pairs] epoch: got -1, expected 0 or more.");
}

}  // namespace preference_pairs_test
}  // namespace cpx::data
