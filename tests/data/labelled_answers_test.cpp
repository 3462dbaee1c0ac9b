// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/labelled_answers.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "cpx/core/error.h"

namespace cpx::data {
namespace labelled_answers_test {

using testing::ElementsAre;

std::vector<PreferenceItem> some_items() {
  return {{.prompt = "p", .chosen = {"a", "b", "c"}, .rejected = {"x", "y"}},
          {.prompt = "q"},
          {.prompt = "r", .rejected = {"z"}}};
}

std::vector<std::string> texts_of(const LabelledAnswers& answers, int64_t epoch) {
  std::vector<std::string> texts;
  for (const int64_t number : answers.epoch_order(epoch)) {
    const DrawnAnswer drawn = answers.draw(number, epoch);
    texts.push_back((drawn.is_desirable ? "+" : "-") + answers.text(drawn));
  }
  return texts;
}

TEST(LabelledAnswers, WithoutShufflingTheyComeItemByItem) {
  const auto items = some_items();
  const LabelledAnswers all(
      items, {.desirable_per_prompt = 0, .undesirable_per_prompt = 0, .shuffle = false});
  EXPECT_THAT(texts_of(all, 0), ElementsAre("+a", "+b", "+c", "-x", "-y", "-z"));
  EXPECT_EQ(all.num_items(), 2);
  EXPECT_EQ(all.num_skipped(), 1);
  EXPECT_EQ(all.num_desirable(), 3);
  const LabelledAnswers first(items, {.desirable_per_prompt = 2, .shuffle = false});
  EXPECT_THAT(texts_of(first, 3), ElementsAre("+a", "+b", "-x", "-z"));
}

// Over the epochs each of an item's answers comes, none twice in one.
TEST(LabelledAnswers, AnEpochDrawsAFewOfEachSide) {
  const auto items = some_items();
  const LabelledAnswers answers(items, {.desirable_per_prompt = 2, .seed = 3});
  std::set<std::string> seen;
  bool is_another_order = false;
  for (int64_t epoch = 0; epoch < 12; ++epoch) {
    const auto texts = texts_of(answers, epoch);
    ASSERT_EQ(texts.size(), 4);
    EXPECT_EQ(std::set(texts.begin(), texts.end()).size(), 4);
    EXPECT_EQ(std::ranges::count(texts, "-z"), 1);
    is_another_order = is_another_order || texts != texts_of(answers, 0);
    seen.insert(texts.begin(), texts.end());
  }
  EXPECT_EQ(seen.size(), 6);
  EXPECT_TRUE(is_another_order);
}

TEST(LabelledAnswers, TheSeedAndTheEpochAloneSayWhichCome) {
  const auto items = some_items();
  const LabelledAnswers one(items, {.seed = 3});
  const LabelledAnswers same(items, {.seed = 3});
  const LabelledAnswers other(items, {.seed = 4});
  bool is_different = false;
  for (int64_t epoch = 0; epoch < 12; ++epoch) {
    EXPECT_EQ(texts_of(one, epoch), texts_of(same, epoch));
    is_different = is_different || texts_of(one, epoch) != texts_of(other, epoch);
  }
  EXPECT_TRUE(is_different);
}

TEST(LabelledAnswers, NoAnswerAtAllIsAnError) {
  const std::vector<PreferenceItem> items = {{.prompt = "p"}};
  try {
    const LabelledAnswers answers(items, {});
    FAIL() << "nothing was thrown";
  } catch (const DataError& error) {
    EXPECT_STREQ(error.what(),
                 "[labelled_answers] got 1 records without an answer, expected one with an answer. "
                 "Check the data.");
  }
}

}  // namespace labelled_answers_test
}  // namespace cpx::data
