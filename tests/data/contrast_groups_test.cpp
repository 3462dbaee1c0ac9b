// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/contrast_groups.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"
#include "tests/support/names.h"

namespace cpx::data {
namespace contrast_groups_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::message_of;

Record make_record(const std::string& id, const std::string& group, int num_neutral,
                   int num_toxic) {
  Record record{.group = group, .id = id, .where = "f.json: record '" + id + "'"};
  for (int i = 0; i < num_neutral; ++i) {
    record.neutral.push_back(id + " neutral " + std::to_string(i));
  }
  for (int i = 0; i < num_toxic; ++i) record.toxic.push_back(id + " toxic " + std::to_string(i));
  return record;
}

// Records 0 to 11 in turn of the groups a, b, c; five neutral and six toxic texts each.
std::vector<Record> twelve_records() {
  std::vector<Record> records;
  for (int i = 0; i < 12; ++i) {
    records.push_back(make_record(std::to_string(i), std::string(1, "abc"[i % 3]), 5, 6));
  }
  return records;
}

const GroupOptions kThreeTwoFour = {
    .num_positives = 3, .num_hard_negatives = 2, .num_random_negatives = 4, .seed = 7};

std::vector<int64_t> texts_of(const DrawnGroup& group, TextRole role) {
  std::vector<int64_t> texts;
  for (const DrawnText& drawn : group.texts) {
    if (drawn.role == role) texts.push_back(drawn.text);
  }
  return texts;
}

bool same(const DrawnGroup& a, const DrawnGroup& b) {
  return a.record == b.record &&
         std::ranges::equal(a.texts, b.texts, [](const DrawnText& x, const DrawnText& y) {
           return x.role == y.role && x.record == y.record && x.text == y.text;
         });
}

TEST(ContrastGroups, RecordsWithTooFewTextsAreSkippedAndCounted) {
  const std::vector<Record> records = {make_record("0", "a", 3, 2), make_record("1", "a", 2, 9),
                                       make_record("2", "a", 9, 1), make_record("3", "a", 4, 4)};
  const ContrastGroups groups(records, {.num_positives = 3, .num_hard_negatives = 2});
  EXPECT_EQ(groups.num_groups(), 2);
  EXPECT_EQ(groups.num_skipped(), 2);
  EXPECT_THAT(groups.usable_records(), ElementsAre(0, 3));
}

TEST(ContrastGroups, AnEpochVisitsEachUsableRecordOnce) {
  std::vector<Record> records = twelve_records();
  records[4].neutral.clear();
  const ContrastGroups groups(records, kThreeTwoFour);
  for (const int64_t epoch : {0, 1, 1000000}) {
    std::vector<int64_t> order = groups.epoch_order(epoch);
    std::ranges::sort(order);
    EXPECT_EQ(order, groups.usable_records());
  }
}

TEST(ContrastGroups, OrderIsAFunctionOfSeedAndEpoch) {
  const std::vector<Record> records = twelve_records();
  const ContrastGroups groups(records, kThreeTwoFour);
  const ContrastGroups again(records, kThreeTwoFour);
  GroupOptions other_seed = kThreeTwoFour;
  other_seed.seed = 8;
  EXPECT_EQ(groups.epoch_order(5), again.epoch_order(5));  // `again` never saw epochs 0 to 4
  EXPECT_NE(groups.epoch_order(5), groups.epoch_order(6));
  EXPECT_NE(groups.epoch_order(5), ContrastGroups(records, other_seed).epoch_order(5));
  EXPECT_NE(groups.epoch_order(5), groups.usable_records());
}

TEST(ContrastGroups, DrawIsAFunctionOfSeedEpochAndRecord) {
  const std::vector<Record> records = twelve_records();
  const ContrastGroups groups(records, kThreeTwoFour);
  const ContrastGroups again(records, kThreeTwoFour);
  GroupOptions other_seed = kThreeTwoFour;
  other_seed.seed = 8;
  groups.draw(0, 0);  // what was drawn before makes no difference
  EXPECT_TRUE(same(groups.draw(3, 9), again.draw(3, 9)));
  EXPECT_FALSE(same(groups.draw(3, 9), groups.draw(3, 10)));
  EXPECT_FALSE(same(groups.draw(3, 9), ContrastGroups(records, other_seed).draw(3, 9)));
  EXPECT_NE(texts_of(groups.draw(0, 0), TextRole::kRandomNegative),
            texts_of(groups.draw(3, 0), TextRole::kRandomNegative));
}

TEST(ContrastGroups, OneRolesDrawDoesNotDependOnTheNumberOfAnother) {
  const std::vector<Record> records = twelve_records();
  GroupOptions fewer = kThreeTwoFour;
  fewer.num_positives = 1;
  fewer.num_random_negatives = 0;
  const DrawnGroup group = ContrastGroups(records, kThreeTwoFour).draw(2, 3);
  const DrawnGroup smaller = ContrastGroups(records, fewer).draw(2, 3);
  EXPECT_EQ(texts_of(group, TextRole::kHardNegative), texts_of(smaller, TextRole::kHardNegative));
}

TEST(ContrastGroups, TextsOfAGroupAreDrawnWithoutReplacementInTurnOfTheirRoles) {
  const std::vector<Record> records = twelve_records();
  const ContrastGroups groups(records, kThreeTwoFour);
  for (int64_t epoch = 0; epoch < 50; ++epoch) {
    for (int64_t record = 0; record < 12; ++record) {
      const DrawnGroup group = groups.draw(record, epoch);
      ASSERT_EQ(group.texts.size(), 9);
      std::set<std::string> texts;
      for (size_t i = 0; i < group.texts.size(); ++i) {
        const TextRole expected = i < 3   ? TextRole::kPositive
                                  : i < 5 ? TextRole::kHardNegative
                                          : TextRole::kRandomNegative;
        EXPECT_EQ(group.texts[i].role, expected);
        texts.insert(groups.text(group.texts[i]));
      }
      EXPECT_EQ(texts.size(), 9);
    }
  }
}

TEST(ContrastGroups, RandomNegativesAreToxicTextsOfOtherTargets) {
  const std::vector<Record> records = twelve_records();
  const ContrastGroups groups(records, kThreeTwoFour);
  for (int64_t record = 0; record < 12; ++record) {
    for (const DrawnText& drawn : groups.draw(record, 0).texts) {
      if (drawn.role != TextRole::kRandomNegative) {
        EXPECT_EQ(drawn.record, record);
        continue;
      }
      EXPECT_NE(records[drawn.record].group, records[record].group);
      EXPECT_EQ(groups.text(drawn), records[drawn.record].toxic.at(drawn.text));
    }
  }
}

// Over 4000 epochs each of the 5 neutral texts is expected 2400 times (standard deviation 31),
// each of the 48 foreign toxic texts 333.3 times (17.5); the bounds are 5 of them.
TEST(ContrastGroups, EveryTextIsDrawnEquallyOften) {
  const std::vector<Record> records = twelve_records();
  const ContrastGroups groups(records, kThreeTwoFour);
  std::map<int64_t, int> neutral;
  std::map<std::string, int> foreign;
  for (int64_t epoch = 0; epoch < 4000; ++epoch) {
    const DrawnGroup group = groups.draw(1, epoch);
    for (const DrawnText& drawn : group.texts) {
      if (drawn.role == TextRole::kPositive) ++neutral[drawn.text];
      if (drawn.role == TextRole::kRandomNegative) ++foreign[groups.text(drawn)];
    }
  }
  EXPECT_EQ(neutral.size(), 5);
  for (const auto& [text, count] : neutral) EXPECT_NEAR(count, 2400, 155) << text;
  EXPECT_EQ(foreign.size(), 48);
  for (const auto& [text, count] : foreign) EXPECT_NEAR(count, 333.3, 88) << text;
}

// 12 records over 4800 epochs: each record opens an epoch 400 times on average (deviation 19).
TEST(ContrastGroups, EveryRecordOpensAnEpochEquallyOften) {
  const std::vector<Record> records = twelve_records();
  const ContrastGroups groups(records, kThreeTwoFour);
  std::map<int64_t, int> first;
  for (int64_t epoch = 0; epoch < 4800; ++epoch) ++first[groups.epoch_order(epoch).front()];
  EXPECT_EQ(first.size(), 12);
  for (const auto& [record, count] : first) EXPECT_NEAR(count, 400, 96) << record;
}

TEST(ContrastGroups, WithoutShufflingTheFirstTextsComeInFileOrder) {
  const std::vector<Record> records = twelve_records();
  GroupOptions options = kThreeTwoFour;
  options.shuffle = false;
  const ContrastGroups groups(records, options);
  EXPECT_EQ(groups.epoch_order(3), groups.usable_records());
  const DrawnGroup group = groups.draw(2, 3);
  EXPECT_THAT(texts_of(group, TextRole::kPositive), ElementsAre(0, 1, 2));
  EXPECT_THAT(texts_of(group, TextRole::kHardNegative), ElementsAre(0, 1));
  EXPECT_TRUE(same(group, groups.draw(2, 0)));  // random negatives stay as well
  EXPECT_NE(texts_of(group, TextRole::kRandomNegative),
            texts_of(groups.draw(5, 3), TextRole::kRandomNegative));
}

TEST(ContrastGroups, SkippedRecordsStillGiveRandomNegatives) {
  const std::vector<Record> records = {make_record("0", "a", 3, 2), make_record("1", "b", 0, 4)};
  const ContrastGroups groups(records, kThreeTwoFour);
  EXPECT_EQ(groups.num_skipped(), 1);
  std::vector<int64_t> texts = texts_of(groups.draw(0, 0), TextRole::kRandomNegative);
  std::ranges::sort(texts);
  EXPECT_THAT(texts, ElementsAre(0, 1, 2, 3));
}

TEST(ContrastGroups, TextOfAnInputIsTheRecordsInput) {
  std::vector<Record> records = twelve_records();
  records[2].input = "the input";
  const ContrastGroups groups(records, kThreeTwoFour);
  EXPECT_EQ(groups.text({.role = TextRole::kInput, .record = 2}), "the input");
}

TEST(ContrastGroups, AnInputIsTheFirstTextWhereAskedFor) {
  std::vector<Record> records = twelve_records();
  records[2].input = "the input";
  records[3].input = " \n";
  GroupOptions options = kThreeTwoFour;
  options.with_input = true;
  const ContrastGroups groups(records, options);
  EXPECT_THAT(groups.usable_records(), ElementsAre(2));
  EXPECT_EQ(groups.num_skipped(), 11);
  const DrawnGroup group = groups.draw(2, 3);
  ASSERT_EQ(group.texts.size(), 10);
  EXPECT_EQ(group.texts[0].role, TextRole::kInput);
  EXPECT_EQ(groups.text(group.texts[0]), "the input");
  const DrawnGroup without = ContrastGroups(records, kThreeTwoFour).draw(2, 3);
  EXPECT_EQ(texts_of(group, TextRole::kPositive), texts_of(without, TextRole::kPositive));
}

template <class Error>
std::string drawing_error(const std::vector<Record>& records, const GroupOptions& options) {
  return message_of<Error>([&] { ContrastGroups(records, options).draw(99, 0); });
}

TEST(ContrastGroups, NoUsableRecordIsAnError) {
  EXPECT_EQ(drawing_error<DataError>({make_record("0", "a", 2, 6)}, {.num_positives = 3}),
            "[contrast_groups] no record can be used: got 1 records, expected one with at least 3 "
            "neutral and 6 toxic texts. Lower num_positives or num_hard_negatives, or check the "
            "data.");
  EXPECT_THAT(drawing_error<DataError>({}, {}), HasSubstr("no record can be used: got 0 records"));
  EXPECT_THAT(drawing_error<DataError>({make_record("0", "a", 6, 6)}, {.with_input = true}),
              HasSubstr("with at least 6 neutral and 6 toxic texts, and an input. Lower"));
}

TEST(ContrastGroups, OneTargetGroupGivesNoRandomNegatives) {
  EXPECT_EQ(drawing_error<DataError>({make_record("0", "a", 6, 6), make_record("1", "a", 6, 6)},
                                     {.num_random_negatives = 1}),
            "[contrast_groups] random negatives come from records of another group: got 2 records, "
            "all of the group 'a', expected two groups or more. Add data or set "
            "num_random_negatives to 0.");
}

TEST(ContrastGroups, TooFewRandomNegativesAreAnError) {
  EXPECT_EQ(drawing_error<DataError>({make_record("0", "a", 6, 6), make_record("1", "b", 6, 3)},
                                     {.num_random_negatives = 4}),
            "[contrast_groups] f.json: record '0': too few random negatives: got 3 toxic texts "
            "outside its group 'a', expected 4 (num_random_negatives).");
}

// What a call on the groups of twelve records says.
template <class Call>
testing_support::Mistake wrong(const char* name, const GroupOptions& options, Call call,
                               const char* message) {
  return {name,
          [=] {
            const std::vector<Record> records = twelve_records();
            call(ContrastGroups(records, options));
          },
          message};
}

class WrongArgument : public testing::TestWithParam<testing_support::Mistake> {};

TEST_P(WrongArgument, IsAnError) {
  EXPECT_EQ(message_of<std::invalid_argument>(GetParam().input), GetParam().message);
}

const auto kNoCall = [](const ContrastGroups&) {};

INSTANTIATE_TEST_SUITE_P(
    ContrastGroups, WrongArgument,
    testing::Values(wrong("NoPositives", {.num_positives = 0}, kNoCall,
                          "[contrast_groups] num_positives: got 0, expected 1 or more."),
                    wrong("NegativeHardNegatives", {.num_hard_negatives = -1}, kNoCall,
                          "[contrast_groups] num_hard_negatives: got -1, expected 0 or more."),
                    wrong("NegativeRandomNegatives", {.num_random_negatives = -1}, kNoCall,
                          "[contrast_groups] num_random_negatives: got -1, expected 0 or more."),
                    wrong(
                        "RecordThatIsNotUsable", kThreeTwoFour,
                        [](const ContrastGroups& groups) { groups.draw(99, 0); },
                        "[contrast_groups] record: got 99, expected one of the usable records."),
                    wrong(
                        "EpochOfADraw", kThreeTwoFour,
                        [](const ContrastGroups& groups) { groups.draw(0, -1); },
                        "[contrast_groups] epoch: got -1, expected 0 or more."),
                    wrong(
                        "EpochOfAnOrder", kThreeTwoFour,
                        [](const ContrastGroups& groups) { groups.epoch_order(-1); },
                        "[contrast_groups] epoch: got -1, expected 0 or more."),
                    wrong(
                        "RecordOfAText", kThreeTwoFour,
                        [](const ContrastGroups& groups) { groups.text({.record = 12}); },
                        "[contrast_groups] record: got 12, expected 0 to 11."),
                    wrong(
                        "TextOfARecord", kThreeTwoFour,
                        [](const ContrastGroups& groups) { groups.text({.record = 0, .text = 5}); },
                        "[contrast_groups] f.json: record '0': text: got 5, expected 0 to 4.")),
    testing_support::by_value);

}  // namespace contrast_groups_test
}  // namespace cpx::data
