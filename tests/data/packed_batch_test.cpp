// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/packed_batch.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::data {
namespace packed_batch_test {

using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::message_of;
using tokenizer::TokenId;

constexpr TokenId kEos = 2;

const std::vector<TokenId> kThree = {10, 11, 12};
const std::vector<TokenId> kOne = {20};
const std::vector<TokenId> kTwo = {30, 31};

// Three texts of two groups, 3, 1 and 2 tokens.
std::vector<BatchText> few_texts() {
  return {{.ids = kThree, .group = 0, .role = TextRole::kPositive},
          {.ids = kOne, .group = 0, .role = TextRole::kHardNegative},
          {.ids = kTwo, .group = 1, .role = TextRole::kPositive}};
}

TEST(Pack, IsTheLayoutWorkedOutByHand) {
  const PackedBatch batch = pack(few_texts());
  EXPECT_THAT(batch.ids, ElementsAre(10, 11, 12, 20, 30, 31));
  EXPECT_THAT(batch.cu_seqlens, ElementsAre(0, 3, 4, 6));
  EXPECT_THAT(batch.rows, ElementsAre(0, 1, 4));
  EXPECT_THAT(batch.targets, ElementsAre(11, 12, 31));
  ASSERT_EQ(batch.texts.size(), 3);
  EXPECT_EQ(batch.texts[0].first, 0);
  EXPECT_EQ(batch.texts[0].count, 2);
  EXPECT_EQ(batch.texts[1].count, 0);  // a text of one token predicts nothing
  EXPECT_EQ(batch.texts[1].role, TextRole::kHardNegative);
  EXPECT_EQ(batch.texts[2].first, 2);
  EXPECT_EQ(batch.texts[2].count, 1);
  EXPECT_EQ(batch.texts[2].group, 1);
  EXPECT_EQ(batch.num_groups, 2);
  EXPECT_EQ(batch.num_tokens, 6);
  EXPECT_EQ(batch.num_padded_tokens, 3);  // 3 * 3 - 6
  EXPECT_EQ(batch.padded_length, 0);
  EXPECT_EQ(batch.pad_repeat_prediction, -1);
  EXPECT_EQ(batch.texts[0].num_pads, 0);
  EXPECT_EQ(batch.texts[0].pad_prediction, -1);
}

// Of ten, eleven and twelve the last is predicted, of thirty and thirty-one none.
TEST(Pack, GivenTokensAreNotPredicted) {
  const std::vector<BatchText> texts = {{.ids = kThree, .num_given = 2},
                                        {.ids = kTwo, .num_given = 2},
                                        {.ids = kThree, .num_given = 1}};
  const PackedBatch batch = pack(texts);
  EXPECT_THAT(batch.ids, ElementsAre(10, 11, 12, 30, 31, 10, 11, 12));
  EXPECT_THAT(batch.rows, ElementsAre(1, 5, 6));
  EXPECT_THAT(batch.targets, ElementsAre(12, 11, 12));
  EXPECT_EQ(batch.texts[0].count, 1);
  EXPECT_EQ(batch.texts[1].count, 0);
  EXPECT_EQ(batch.texts[2].first, 1);
  EXPECT_EQ(batch.texts[2].count, 2);
}

// 10 11 12 and 10 11 13 14 share 10 11; the second group's 10 is a token of its own. Last tokens
TEST(Pack, OnlyTheTokensOfSpansArePredicted) {
  // Tokens 1, and 3 to 4, of five; of the second text all, whose first follows no token.
  const std::vector<TokenId> five = {40, 41, 42, 43, 44};
  const std::vector<PredictedSpan> spans = {{.begin = 1, .end = 2}, {.begin = 3, .end = 5}};
  const std::vector<PredictedSpan> all = {{.begin = 0, .end = 3}};
  const std::vector<BatchText> texts = {{.ids = five, .predicted = spans},
                                        {.ids = kThree, .group = 1, .predicted = all}};
  const PackedBatch batch = pack(texts);
  EXPECT_THAT(batch.ids, ElementsAre(40, 41, 42, 43, 44, 10, 11, 12));
  EXPECT_THAT(batch.rows, ElementsAre(0, 2, 3, 5, 6));
  EXPECT_THAT(batch.targets, ElementsAre(41, 43, 44, 11, 12));
  EXPECT_EQ(batch.texts[0].count, 3);
  EXPECT_EQ(batch.texts[1].first, 3);
  EXPECT_EQ(batch.texts[1].count, 2);
  const PackedBatch shared = pack_sharing_prefixes(texts);
  EXPECT_EQ(shared.targets, batch.targets);
  EXPECT_EQ(shared.texts[1].first, 3);
  EXPECT_EQ(shared.texts[1].count, 2);
}

TEST(Pack, ASpanOfTheFirstTokenAlonePredictsNothing) {
  const std::vector<PredictedSpan> first = {{.begin = 0, .end = 1}};
  const std::vector<BatchText> texts = {{.ids = kThree, .predicted = first}};
  EXPECT_EQ(pack(texts).texts[0].count, 0);
  EXPECT_EQ(pack_sharing_prefixes(texts).texts[0].count, 0);
}

// 10 11 12 and 10 11 13 14 share 10 11; the second group's 10 is a token of its own. Last tokens
// are left out: 12, 14, 11.
TEST(PackSharingPrefixes, IsTheLayoutWorkedOutByHand) {
  const std::vector<TokenId> other = {10, 11, 13, 14};
  const std::vector<TokenId> third = {10, 11};
  const std::vector<BatchText> texts = {{.ids = kThree, .group = 0},
                                        {.ids = other, .group = 0, .role = TextRole::kHardNegative},
                                        {.ids = third, .group = 1}};
  const PackedBatch batch = pack_sharing_prefixes(texts);
  EXPECT_THAT(batch.ids, ElementsAre(10, 11, 13, 10));
  EXPECT_THAT(batch.token_of_place, ElementsAre(0, 1, 0, 1, 2, 3));
  EXPECT_THAT(batch.cu_seqlens, ElementsAre(0, 2, 5, 6));
  EXPECT_THAT(batch.rows, ElementsAre(0, 1, 0, 1, 2, 3));
  EXPECT_THAT(batch.targets, ElementsAre(11, 12, 11, 13, 14, 11));
  EXPECT_EQ(batch.texts[1].first, 2);
  EXPECT_EQ(batch.texts[1].count, 3);
  EXPECT_EQ(batch.texts[1].role, TextRole::kHardNegative);
  EXPECT_EQ(batch.num_groups, 2);
  EXPECT_EQ(batch.num_tokens, 4);
  EXPECT_EQ(batch.num_padded_tokens, 3 * 4 - 9);
}

// A text that another one continues: its last token is in the pack as that one's.
TEST(PackSharingPrefixes, TextThatAnotherContinuesAddsNoToken) {
  const std::vector<BatchText> texts = {{.ids = kThree}, {.ids = {kThree.data(), 2}}};
  const PackedBatch batch = pack_sharing_prefixes(texts);
  EXPECT_THAT(batch.ids, ElementsAre(10, 11));
  EXPECT_THAT(batch.cu_seqlens, ElementsAre(0, 2, 3));
  EXPECT_THAT(batch.rows, ElementsAre(0, 1, 0));
}

TEST(PackSharingPrefixes, PredictsTheSameInTheSameOrder) {
  const PackedBatch shared = pack_sharing_prefixes(few_texts());
  const PackedBatch apart = pack(few_texts());
  EXPECT_EQ(shared.targets, apart.targets);
  ASSERT_EQ(shared.texts.size(), apart.texts.size());
  for (size_t i = 0; i < shared.texts.size(); ++i) {
    EXPECT_EQ(shared.texts[i].first, apart.texts[i].first);
    EXPECT_EQ(shared.texts[i].count, apart.texts[i].count);
  }
}

// Longest 3, padded length 8: pads 5, 7, 6. The pad is token 6 of the pack; it predicts itself
// (prediction 3) and each first token (predictions 4 to 6).
TEST(PackWithPublishedPadding, IsTheLayoutWorkedOutByHand) {
  const PackedBatch batch = pack_with_published_padding(few_texts(), kEos);
  EXPECT_THAT(batch.ids, ElementsAre(10, 11, 12, 20, 30, 31, kEos));
  EXPECT_THAT(batch.cu_seqlens, ElementsAre(0, 3, 4, 6, 7));
  EXPECT_THAT(batch.rows, ElementsAre(0, 1, 4, 6, 6, 6, 6));
  EXPECT_THAT(batch.targets, ElementsAre(11, 12, 31, kEos, 10, 20, 30));
  EXPECT_EQ(batch.padded_length, 8);
  EXPECT_EQ(batch.pad_repeat_prediction, 3);
  ASSERT_EQ(batch.texts.size(), 3);
  EXPECT_EQ(batch.texts[0].num_pads, 5);
  EXPECT_EQ(batch.texts[0].pad_prediction, 4);
  EXPECT_EQ(batch.texts[1].num_pads, 7);
  EXPECT_EQ(batch.texts[1].pad_prediction, 5);
  EXPECT_EQ(batch.texts[2].num_pads, 6);
  EXPECT_EQ(batch.texts[2].pad_prediction, 6);
  EXPECT_EQ(batch.texts[2].first, 2);
  EXPECT_EQ(batch.texts[2].count, 1);
  EXPECT_EQ(batch.num_tokens, 7);
  EXPECT_EQ(batch.num_padded_tokens, 18);  // 3 * 8 - 6
}

TEST(PackWithPublishedPadding, OnePadPredictsTheFirstTokenOnly) {
  const std::vector<TokenId> seven = {1, 3, 4, 5, 6, 7, 8};
  const std::vector<TokenId> eight = {1, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<BatchText> texts = {{.ids = seven}, {.ids = eight}};
  const PackedBatch batch = pack_with_published_padding(texts, kEos);
  EXPECT_EQ(batch.padded_length, 8);
  EXPECT_EQ(batch.texts[0].num_pads, 1);
  EXPECT_EQ(batch.texts[0].pad_prediction, 13);  // after 6 + 7 own predictions
  EXPECT_EQ(batch.rows[13], 15);
  EXPECT_EQ(batch.targets[13], 1);
  EXPECT_EQ(batch.texts[1].num_pads, 0);
  EXPECT_EQ(batch.texts[1].pad_prediction, -1);
  EXPECT_EQ(batch.pad_repeat_prediction, -1);
}

TEST(PackWithPublishedPadding, NoPadIsAddedWhereNoneIsNeeded) {
  const std::vector<TokenId> eight = {1, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<BatchText> texts = {{.ids = eight}, {.ids = eight}};
  const PackedBatch batch = pack_with_published_padding(texts, kEos);
  EXPECT_EQ(batch.num_tokens, 16);
  EXPECT_EQ(batch.padded_length, 8);
  EXPECT_EQ(batch.num_padded_tokens, 0);
  EXPECT_EQ(batch.rows.size(), 14);
}

TEST(PackWithPublishedPadding, NineTokensArePaddedToSixteen) {
  const std::vector<TokenId> nine(9, 5);
  const std::vector<BatchText> texts = {{.ids = nine}};
  const PackedBatch batch = pack_with_published_padding(texts, kEos);
  EXPECT_EQ(batch.padded_length, 16);
  EXPECT_EQ(batch.texts[0].num_pads, 7);
}

TEST(Pack, NoTextsGiveAnEmptyPack) {
  const PackedBatch batch = pack({});
  EXPECT_THAT(batch.cu_seqlens, ElementsAre(0));
  EXPECT_THAT(batch.rows, IsEmpty());
  EXPECT_EQ(batch.num_tokens, 0);
  EXPECT_EQ(batch.num_groups, 0);
  EXPECT_EQ(pack_with_published_padding({}, kEos).num_tokens, 0);
}

std::string packing_error(const std::vector<BatchText>& texts) {
  return message_of<std::invalid_argument>([&] { pack(texts); });
}

// The negative of group 0 predicts 12, as its positive does, 13 and 12 again; that of group 1
// predicts 11 and 12, which no positive of its own group has.
TEST(DifferingPredictions, AreThoseThatNoPositiveOfTheGroupHas) {
  const std::vector<TokenId> negative = {10, 12, 13, 12};
  const std::vector<BatchText> texts = {
      {.ids = kThree, .group = 0, .role = TextRole::kPositive},
      {.ids = negative, .group = 0, .role = TextRole::kHardNegative},
      {.ids = kTwo, .group = 1, .role = TextRole::kPositive},
      {.ids = kThree, .group = 1, .role = TextRole::kRandomNegative}};
  for (const PackedBatch& batch : {pack(texts), pack_sharing_prefixes(texts)}) {
    const auto differing = differing_predictions(batch);
    ASSERT_EQ(differing.size(), 4);
    EXPECT_THAT(differing[0], IsEmpty());
    EXPECT_THAT(differing[1], ElementsAre(3));  // its second prediction
    EXPECT_THAT(differing[2], IsEmpty());
    EXPECT_THAT(differing[3], ElementsAre(6, 7));
  }
}

TEST(PackErrors, ATextWithoutTokensIsNamed) {
  EXPECT_EQ(packing_error({{.ids = kOne}, {}}),
            "[pack] text 1: got no tokens, expected 1 or more.");
}

TEST(PackErrors, ANegativeGroupIsNamed) {
  EXPECT_EQ(packing_error({{.ids = kOne, .group = -1}}),
            "[pack] text 0: got group -1, expected 0 or more.");
}

TEST(PackErrors, MoreGivenTokensThanThereAreAreNamed) {
  EXPECT_EQ(packing_error({{.ids = kThree, .num_given = 4}}),
            "[pack] text 0: got 4 given tokens, expected 0 to 3.");
}

TEST(PackErrors, FewerGivenTokensThanNoneAreNamed) {
  EXPECT_EQ(packing_error({{.ids = kThree, .num_given = -1}}),
            "[pack] text 0: got -1 given tokens, expected 0 to 3.");
}

TEST(PackErrors, ASpanOutsideOfItsTextIsNamed) {
  const std::vector<PredictedSpan> outside = {{.begin = 1, .end = 4}};
  EXPECT_EQ(packing_error({{.ids = kThree, .predicted = outside}}),
            "[pack] text 0: got the span 1 to 4, expected one within 0 to 3.");
}

TEST(PackErrors, ASpanThatOverlapsTheOneBeforeIsNamed) {
  const std::vector<PredictedSpan> twice = {{.begin = 0, .end = 2}, {.begin = 1, .end = 3}};
  EXPECT_EQ(packing_error({{.ids = kThree, .predicted = twice}}),
            "[pack] text 0: got the span 1 to 3, expected one within 2 to 3.");
}

TEST(PackErrors, GivenTokensBesideSpansAreNamed) {
  const std::vector<PredictedSpan> spans = {{.begin = 1, .end = 3}};
  EXPECT_EQ(packing_error({{.ids = kThree, .num_given = 1, .predicted = spans}}),
            "[pack] text 0: got 1 given tokens beside spans, expected 0.");
}

TEST(PackErrors, MoreTokensThanAnIntHoldsAreRefused) {
  // A span of the full size is never read: the check comes first.
  const std::span<const TokenId> huge(kOne.data(), size_t{1} << 30);
  EXPECT_EQ(packing_error({{.ids = huge}, {.ids = huge}}),
            "[pack] got 2147483649 tokens in 2 texts, expected at most 2147483647.");
}

}  // namespace packed_batch_test
}  // namespace cpx::data
