// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/prompts.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "byte_tokenizer.h"
#include "cpx/core/error.h"
#include "tests/support/errors.h"

namespace cpx::data {
namespace prompts_test {

using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::message_of;
using tokenizer::PromptTemplate;

constexpr auto kBos = ByteTokenizer::kBos;

TextEncoder make(const ByteTokenizer& tokenizer = {}, const EncodeOptions& options = {}) {
  return {std::make_shared<ByteTokenizer>(tokenizer), options};
}

// `count` prompts of 60 bytes, 61 tokens with BOS.
std::vector<PreferenceItem> long_items(int count) {
  std::vector<PreferenceItem> items;
  for (int i = 0; i < count; ++i) {
    items.push_back({.prompt = std::string(60, static_cast<char>('a' + i % 26))});
  }
  return items;
}

std::vector<int64_t> items_of(const std::vector<EncodedPrompt>& prompts) {
  std::vector<int64_t> items;
  for (const EncodedPrompt& prompt : prompts) items.push_back(prompt.item);
  return items;
}

// With BOS the texts have 3, 4, 5 and 9 tokens.
TEST(Prompts, TextsAreCutAndShorterOnesLeftOut) {
  const std::vector<PreferenceItem> items = {
      {.prompt = "ab"}, {.prompt = "abc"}, {.prompt = "abcd"}, {.prompt = "abcdefgh"}};
  const Prompts prompts(items, make(), {.min_tokens = 4, .max_tokens = 4});
  EXPECT_EQ(prompts.num_short(), 1);
  EXPECT_THAT(items_of(prompts.train()), ElementsAre(1, 2, 3));
  for (const EncodedPrompt& prompt : prompts.train()) {
    EXPECT_THAT(prompt.ids, ElementsAre(kBos, 'a', 'b', 'c'));
  }
  EXPECT_THAT(prompts.held_out(), IsEmpty());
}

TEST(Prompts, ATextShorterThanItsDrawnLengthStaysWhole) {
  const std::vector<PreferenceItem> items(50, {.prompt = "abc"});
  const Prompts prompts(items, make(), {.min_tokens = 2, .max_tokens = 9});
  for (const EncodedPrompt& prompt : prompts.train()) {
    EXPECT_LE(prompt.ids.size(), 4);
    EXPECT_GE(prompt.ids.size(), 2);
  }
}

TEST(Prompts, EosIsNotPartOfAPrompt) {
  ByteTokenizer tokenizer;
  tokenizer.adds_eos = true;
  const std::vector<PreferenceItem> items = {{.prompt = "ab"}};
  const Prompts prompts(items, make(tokenizer), {.min_tokens = 1, .max_tokens = 0});
  EXPECT_THAT(prompts.train().at(0).ids, ElementsAre(kBos, 'a', 'b'));
}

TEST(Prompts, ZeroMaxTokensLeavesTextsWhole) {
  const Prompts prompts(long_items(3), make(), {.min_tokens = 1, .max_tokens = 0});
  for (const EncodedPrompt& prompt : prompts.train()) EXPECT_EQ(prompt.ids.size(), 61);
}

// 11 lengths over 5500 prompts: 500 each are expected (standard deviation 21.3); 5 of them.
TEST(Prompts, LengthsAreDrawnEquallyOftenAndIncludeBothEnds) {
  std::map<size_t, int> counts;
  const Prompts prompts(long_items(5500), make(), {.seed = 3});
  for (const EncodedPrompt& prompt : prompts.train()) ++counts[prompt.ids.size()];
  EXPECT_EQ(counts.size(), 11);
  EXPECT_EQ(counts.begin()->first, 30);
  EXPECT_EQ(counts.rbegin()->first, 40);
  for (const auto& [length, count] : counts) EXPECT_NEAR(count, 500, 107) << length;
}

TEST(Prompts, ALengthDependsOnSeedAndItemAlone) {
  const std::vector<PreferenceItem> items = long_items(40);
  const auto lengths = [](const Prompts& prompts) {
    std::vector<size_t> result;
    for (const EncodedPrompt& prompt : prompts.train()) result.push_back(prompt.ids.size());
    return result;
  };
  const std::vector<size_t> of_all = lengths(Prompts(items, make(), {.seed = 1}));
  const std::vector<size_t> of_ten =
      lengths(Prompts(std::span(items).first(10), make(), {.seed = 1}));
  EXPECT_TRUE(std::ranges::equal(std::span(of_all).first(10), of_ten));
  EXPECT_NE(of_all, lengths(Prompts(items, make(), {.seed = 2})));
}

TEST(Prompts, ARejectedAnswerFollowsWhereAskedFor) {
  const std::vector<PreferenceItem> items = {{.prompt = "ab", .rejected = {"xy", "zz"}},
                                             {.prompt = "abc"}};
  const Prompts prompts(
      items, make(), {.min_tokens = 1, .max_tokens = 0, .append_rejected = true, .shuffle = false});
  EXPECT_THAT(prompts.train().at(0).ids, ElementsAre(kBos, 'a', 'b', 'x', 'y'));
  EXPECT_THAT(prompts.train().at(1).ids, ElementsAre(kBos, 'a', 'b', 'c'));
  std::set<int64_t> drawn;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const PromptOptions options = {
        .min_tokens = 1, .max_tokens = 0, .append_rejected = true, .seed = seed};
    drawn.insert(Prompts(items, make(), options).train().at(0).ids.back());
  }
  EXPECT_THAT(drawn, ElementsAre('y', 'z'));
}

TEST(Prompts, AFrameEndsWhereTheAnswerBegins) {
  const std::vector<PreferenceItem> items = {{.prompt = "hello", .rejected = {"x"}}};
  const TextEncoder encoder = make({}, {.text_template = PromptTemplate::kLlama2});
  const Prompts prompts(items, encoder, {.min_tokens = 1, .max_tokens = 0});
  EXPECT_EQ(encoder.tokenizer().decode(prompts.train().at(0).ids, false),
            "<s>[INST] Complete the following: hello [/INST]");
}

TEST(Prompts, AHeldOutPartIsDrawnByTheSeed) {
  const std::vector<PreferenceItem> items = long_items(20);
  const Prompts prompts(items, make(), {.held_out = 0.2, .seed = 5});
  EXPECT_EQ(prompts.train().size(), 16);
  EXPECT_EQ(prompts.held_out().size(), 4);
  std::set<int64_t> all;
  for (const int64_t item : items_of(prompts.train())) all.insert(item);
  for (const int64_t item : items_of(prompts.held_out())) all.insert(item);
  EXPECT_EQ(all.size(), 20);
  EXPECT_TRUE(std::ranges::is_sorted(items_of(prompts.held_out())));
  const auto again = items_of(Prompts(items, make(), {.held_out = 0.2, .seed = 5}).held_out());
  const auto other = items_of(Prompts(items, make(), {.held_out = 0.2, .seed = 6}).held_out());
  EXPECT_EQ(items_of(prompts.held_out()), again);
  EXPECT_NE(items_of(prompts.held_out()), other);
}

TEST(Prompts, AnEpochsOrderIsAFunctionOfSeedAndEpoch) {
  const std::vector<PreferenceItem> items = long_items(20);
  const Prompts prompts(items, make(), {.seed = 5});
  EXPECT_EQ(prompts.epoch_order(7), Prompts(items, make(), {.seed = 5}).epoch_order(7));
  EXPECT_NE(prompts.epoch_order(7), prompts.epoch_order(8));
  EXPECT_NE(prompts.epoch_order(7), Prompts(items, make(), {.seed = 6}).epoch_order(7));
  std::vector<int64_t> order = prompts.epoch_order(7);
  std::ranges::sort(order);
  const std::vector<int64_t> in_turn =
      Prompts(items, make(), {.shuffle = false, .seed = 5}).epoch_order(7);
  EXPECT_EQ(order, in_turn);
  EXPECT_EQ(in_turn.front(), 0);
  EXPECT_EQ(in_turn.back(), 19);
}

template <class Error>
std::string ordering_error(const std::vector<PreferenceItem>& items, const PromptOptions& options) {
  return message_of<Error>([&] { Prompts(items, make(), options).epoch_order(-1); });
}

TEST(Prompts, NoPromptToTrainOnIsAnError) {
  EXPECT_EQ(ordering_error<DataError>({{.prompt = "abc"}}, {}),
            "[prompts] no prompt can be used: got 1 texts, expected one of at least 30 tokens "
            "(min_tokens). Lower it, or check the data.");
  EXPECT_EQ(ordering_error<DataError>(long_items(1), {.held_out = 0.75}),
            "[prompts] held_out 0.75 leaves no prompt to train on: got 1 prompts of at least 30 "
            "tokens. Add data or lower it.");
}

TEST(PromptsErrors, MinTokensIsAtLeastOne) {
  EXPECT_EQ(ordering_error<std::invalid_argument>({}, {.min_tokens = 0}),
            "[prompts] min_tokens: got 0, expected 1 or more.");
}

TEST(PromptsErrors, MaxTokensIsAtLeastMinTokens) {
  EXPECT_EQ(ordering_error<std::invalid_argument>({}, {.min_tokens = 5, .max_tokens = 4}),
            "[prompts] max_tokens: got 4, expected at least 5 (min_tokens), or 0 for no limit.");
}

TEST(PromptsErrors, HeldOutIsAShareBelowOne) {
  EXPECT_EQ(ordering_error<std::invalid_argument>({}, {.held_out = 1.0}),
            "[prompts] held_out: got 1, expected at least 0 and less than 1.");
}

TEST(PromptsErrors, AnEpochIsNotNegative) {
  EXPECT_EQ(ordering_error<std::invalid_argument>(long_items(1), {}),
            "[prompts] epoch: got -1, expected 0 or more.");
}

}  // namespace prompts_test
}  // namespace cpx::data
