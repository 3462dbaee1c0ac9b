// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/variant_items.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "byte_tokenizer.h"
#include "tests/support/errors.h"

namespace cpx::data {
namespace variant_items_test {

using testing::ElementsAre;
using testing_support::message_of;
using tokenizer::PromptTemplate;

constexpr auto kBos = ByteTokenizer::kBos;
constexpr auto kEos = ByteTokenizer::kEos;

TextEncoder make(const EncodeOptions& options = {}, bool adds_bos = true) {
  auto tokenizer = std::make_shared<ByteTokenizer>();
  tokenizer->adds_bos = adds_bos;
  return {std::move(tokenizer), options};
}

// "role: text" of each item.
template <class Item>
std::vector<std::string> shown(const std::vector<Item>& items, const TextEncoder& encoder) {
  std::vector<std::string> lines;
  for (const Item& item : items) {
    lines.push_back(std::string(role_name(item.role)) + ": " +
                    encoder.tokenizer().decode(item.ids, /*skip_special_tokens=*/false));
  }
  return lines;
}

const GroupTexts kTexts = {
    .input = "i", .positives = {"p0", "p1"}, .negatives = {"n0", "n1", "n2"}};

TEST(TransferItems, AreConcatenationsWithoutTheJointTokens) {
  const TextEncoder encoder = make();
  EXPECT_THAT(shown(transfer_items(kTexts, encoder), encoder),
              ElementsAre("positive_input: <s>p0i</s>", "positive_input: <s>p1i</s>",
                          "negative_input: <s>n0i</s>", "negative_input: <s>n1i</s>",
                          "input_negative: <s>in0</s>", "input_negative: <s>in1</s>",
                          "input_negative: <s>in2</s>"));
}

// A text of four tokens with BOS; "p0i0" alone would have been cut to "p0i" with its BOS.
TEST(TransferItems, EachTextIsCutByItselfAndLosesNoWordAtTheJoint) {
  const TextEncoder encoder = make({.max_tokens = 4});
  const GroupTexts texts = {.input = "abcd", .positives = {"pqrs"}, .negatives = {"n"}};
  EXPECT_THAT(shown(transfer_items(texts, encoder), encoder),
              ElementsAre("positive_input: <s>pqrabc", "negative_input: <s>nabc",
                          "input_negative: <s>abcn</s>"));
}

TEST(TransferItems, WithoutBosNoFirstTokenIsLost) {
  const TextEncoder encoder = make({.append_eos = false}, /*adds_bos=*/false);
  const GroupTexts texts = {.input = "i", .positives = {"p"}, .negatives = {"n"}};
  EXPECT_THAT(shown(transfer_items(texts, encoder), encoder),
              ElementsAre("positive_input: pi", "negative_input: ni", "input_negative: in"));
}

TEST(TransferItems, FewerNegativesThanPositivesStartAgain) {
  const TextEncoder encoder = make();
  const GroupTexts texts = {.input = "i", .positives = {"p0", "p1"}, .negatives = {"n"}};
  EXPECT_THAT(shown(transfer_items(texts, encoder), encoder),
              ElementsAre("positive_input: <s>p0i</s>", "positive_input: <s>p1i</s>",
                          "negative_input: <s>ni</s>", "negative_input: <s>ni</s>",
                          "input_negative: <s>in</s>"));
}

TEST(CycleItems, AreInstructionPairsAndPlainTexts) {
  const TextEncoder encoder = make({.max_tokens = 0});
  const std::string detoxify =
      "<s>[INST] Paraphrase the following sentence, without using toxic or racist vocabulary: ";
  const std::string toxify = "<s>[INST] Paraphrase the following sentence, in a toxic way: ";
  EXPECT_THAT(shown(cycle_items(kTexts, encoder), encoder),
              ElementsAre("detoxify: " + detoxify + "n0 [/INST] p0</s>",
                          "detoxify: " + detoxify + "n1 [/INST] p1</s>",
                          "toxify: " + toxify + "p0 [/INST] n0</s>",
                          "toxify: " + toxify + "p1 [/INST] n1</s>",
                          "toxify: " + toxify + "p0 [/INST] n2</s>",  //
                          "positive: <s>p0</s>", "positive: <s>p1</s>", "negative: <s>n0</s>",
                          "negative: <s>n1</s>", "negative: <s>n2</s>",
                          "cycle: " + toxify + "p0 [/INST] n0</s>",
                          "cycle: " + toxify + "p1 [/INST] n1</s>"));
}

TEST(CycleItems, PairsHaveNoOtherTemplate) {
  const TextEncoder encoder = make({.text_template = PromptTemplate::kTulu, .max_tokens = 0});
  const auto lines = shown(cycle_items(kTexts, encoder), encoder);
  EXPECT_THAT(lines.at(0), testing::StartsWith("detoxify: <s>[INST] Paraphrase"));
  EXPECT_EQ(lines.at(5),
            "positive: <s><|user|>\nComplete the following: p0\n<|assistant|>\nA:</s>");
}

TEST(CycleItems, AreCutLikeOtherTexts) {
  for (const CycleItem& item : cycle_items(kTexts, make({.max_tokens = 20}))) {
    EXPECT_LE(item.ids.size(), 20);
    EXPECT_EQ(item.ids.back() == kEos, item.ids.size() < 20);
    EXPECT_EQ(item.ids.front(), kBos);
  }
}

TEST(GroupTexts, AreThoseOfTheDraw) {
  const std::vector<Record> records = {
      {.input = "i", .group = "a", .neutral = {"p0", "p1", "p2"}, .toxic = {"n0", "n1", "n2"}},
      {.input = "j", .group = "b", .neutral = {"q0", "q1"}, .toxic = {"m0", "m1"}}};
  const ContrastGroups groups(records, {.num_positives = 2,
                                        .num_hard_negatives = 2,
                                        .num_random_negatives = 1,
                                        .with_input = true,
                                        .shuffle = false});
  const GroupTexts texts = group_texts(groups, groups.draw(0, 0));
  EXPECT_EQ(texts.input, "i");
  EXPECT_THAT(texts.positives, ElementsAre("p0", "p1"));
  EXPECT_THAT(texts.negatives, ElementsAre("n0", "n1"));
}

TEST(VariantItems, AGroupWithoutTextsOfASideIsAnError) {
  const GroupTexts texts = {.input = "i", .positives = {"p"}};
  EXPECT_EQ(message_of<std::invalid_argument>([&] { transfer_items(texts, make()); }),
            "[transfer_items] got 1 positives and 0 negatives, expected one or more of each.");
  EXPECT_EQ(message_of<std::invalid_argument>([&] { cycle_items(texts, make()); }),
            "[cycle_items] got 1 positives and 0 negatives, expected one or more of each.");
}

}  // namespace variant_items_test
}  // namespace cpx::data
