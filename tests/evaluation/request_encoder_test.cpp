// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/request_encoder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/tokenizer/load.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx::evaluation {
namespace request_encoder_test {

using testing_support::message_of;
using tokenizer::TokenId;
using Ids = std::vector<TokenId>;
using TokenizerPointer = std::shared_ptr<const tokenizer::Tokenizer>;

constexpr TokenId kBos = 1;  // "<|im_start|>"

TokenizerPointer without_bos() {
  return tokenizer::load_tokenizer(testing_support::fixture("models/llama_gqa"));
}

TokenizerPointer with_bos() {
  return tokenizer::load_tokenizer(testing_support::fixture("evaluation/mistral_bos"));
}

ChoiceDocument document_of(const std::string& context, const std::vector<std::string>& choices) {
  ChoiceDocument document{.place = "[a.jsonl: document 1]"};
  for (const std::string& choice : choices) document.requests.push_back({context, choice});
  return document;
}

EncodedRequest encode(const TokenizerPointer& tokenizer, const std::string& context,
                      const std::string& continuation, const RequestEncoderOptions& options = {}) {
  return RequestEncoder(tokenizer, options).encode(document_of(context, {continuation})).front();
}

Ids plain(const std::string& text) { return without_bos()->encode(text, false).ids; }

Ids behind_bos(Ids ids) {
  ids.insert(ids.begin(), kBos);
  return ids;
}

TEST(RequestEncoder, ContextAndContinuationAreOneText) {
  const auto request = encode(without_bos(), "The kettle is", " on the stove");
  EXPECT_EQ(request.ids, plain("The kettle is on the stove"));
  EXPECT_EQ(request.num_scored, std::ssize(request.ids) - std::ssize(plain("The kettle is")));
}

TEST(RequestEncoder, TokensAreSplitByTheirNumber) {
  // "x| t|h" are three tokens, "x| the| c|at" four: the last alone is scored.
  ASSERT_EQ(plain("x th").size(), 3);
  const auto request = encode(without_bos(), "x th", "e cat");
  EXPECT_EQ(request.ids, plain("x the cat"));
  EXPECT_EQ(request.ids.size(), 4);
  EXPECT_EQ(request.num_scored, 1);
}

TEST(RequestEncoder, AContinuationWithoutATokenIsAnError) {
  // "x| t" are as many tokens as "x| the".
  EXPECT_EQ(message_of<DataError>([] { encode(without_bos(), "x t", "he"); }),
            "[a.jsonl: document 1] choice 1 of 1 has no token of its own behind the context, "
            "expected at least 1.");
}

TEST(RequestEncoder, WhiteSpaceAtTheEndOfTheContextIsScored) {
  const auto request = encode(without_bos(), "The kettle is \n", " on");
  EXPECT_EQ(request.ids, plain("The kettle is \n on"));
  EXPECT_EQ(request.num_scored, std::ssize(request.ids) - std::ssize(plain("The kettle is")));
}

TEST(RequestEncoder, ThePreambleStandsInFront) {
  ChoiceDocument document = document_of("kettle is", {" on"});
  document.preamble = "The ";
  EXPECT_EQ(RequestEncoder(without_bos(), {}).encode(document).front().ids,
            plain("The kettle is on"));
}

TEST(RequestEncoder, BosIsAsTheTokenizerHasIt) {
  const Ids ids = plain("The kettle is on");
  EXPECT_EQ(encode(without_bos(), "The kettle is", " on").ids, ids);
  EXPECT_EQ(encode(with_bos(), "The kettle is", " on").ids, behind_bos(ids));
  EXPECT_EQ(encode(with_bos(), "The kettle is", " on", {.bos = BosRule::kOff}).ids, ids);
  EXPECT_EQ(encode(without_bos(), "The kettle is", " on", {.bos = BosRule::kOn}).ids,
            behind_bos(ids));
  EXPECT_EQ(encode(with_bos(), "The kettle is", " on", {.bos = BosRule::kOn}).ids, behind_bos(ids));
}

TEST(RequestEncoder, ATextThatBeginsWithBosGetsNoOther) {
  EXPECT_EQ(encode(with_bos(), "<|im_start|>The", " kettle").ids, behind_bos(plain("The kettle")));
}

TEST(RequestEncoder, AnEmptyContextIsBos) {
  for (const auto& tokenizer : {with_bos(), without_bos()}) {
    const auto request = encode(tokenizer, "", "The kettle");
    EXPECT_EQ(request.ids, behind_bos(plain("The kettle")));
    EXPECT_EQ(request.num_scored, std::ssize(request.ids) - 1);
    EXPECT_EQ(encode(tokenizer, "", "<|im_start|>The kettle").ids, request.ids);
  }
}

TEST(RequestEncoder, LongRequestsLoseTheirBeginning) {
  const Ids ids = plain("The kettle is on the stove");
  const auto request = encode(with_bos(), "The kettle is on the", " stove", {.max_length = 6});
  EXPECT_EQ(request.ids, Ids(ids.end() - 7, ids.end()));  // one more than is read; no BOS
  EXPECT_TRUE(request.is_cut);
  EXPECT_FALSE(encode(with_bos(), "The", " kettle", {.max_length = 60}).is_cut);
}

TEST(RequestEncoder, AContinuationLongerThanTheModelIsAnError) {
  const auto count = std::ssize(plain("The kettle")) - std::ssize(plain("The"));
  EXPECT_EQ(message_of<DataError>(
                [&] { encode(without_bos(), "The", " kettle", {.max_length = count - 1}); }),
            fmt::format("[a.jsonl: document 1] choice 1 of 1 has {} tokens, expected at most {}: "
                        "the model reads no more at once. --max-length sets another length.",
                        count, count - 1));
}

TEST(RequestEncoder, AContextOfWhiteSpaceAloneIsAnError) {
  EXPECT_EQ(message_of<DataError>([] { encode(without_bos(), " ", "on"); }),
            "[a.jsonl: document 1] the context has no token, expected at least 1.");
}

TEST(RequestEncoder, AnUnknownRuleIsAnError) {
  EXPECT_EQ(message_of<ConfigError>([] { parse_bos_rule("yes"); }),
            "[command line] --bos: got 'yes', expected auto, on or off.");
}

TEST(RequestEncoder, ATokenizerNeedsBosOrEos) {
  // The file alone names neither.
  const auto tokenizer =
      tokenizer::load_tokenizer_json(testing_support::fixture("tokenizers/roberta/tokenizer.json"));
  EXPECT_EQ(message_of<ConfigError>([&] { RequestEncoder(tokenizer, {.bos = BosRule::kOn}); }),
            "[command line] --bos: got 'on' for a tokenizer without BOS, expected auto or off.");
  EXPECT_EQ(message_of<DataError>([&] { RequestEncoder(tokenizer, {}); }),
            fmt::format("[request_encoder] tokenizer: got {} tokens without BOS and EOS, expected "
                        "one of them to stand in front of texts without a context.",
                        tokenizer->vocabulary_size()));
}

// ---- Rolling ---------------------------------------------------------------------------------

std::vector<EncodedRequest> windows(const TokenizerPointer& tokenizer, const std::string& text,
                                    const RequestEncoderOptions& options) {
  return RequestEncoder(tokenizer, options).encode_rolling(document_of("", {text}));
}

TEST(RollingWindows, EveryTokenIsScoredOnceAndTheLastWindowReadsBack) {
  const Ids ids = plain("abcdefghij");
  ASSERT_GE(ids.size(), 5);
  const auto n = std::ssize(ids);
  const int64_t length = 4;
  const auto found = windows(without_bos(), "abcdefghij", {.max_length = length});
  ASSERT_EQ(std::ssize(found), (n + length - 1) / length);
  EXPECT_EQ(found[0].ids, behind_bos(Ids(ids.begin(), ids.begin() + length)));
  EXPECT_EQ(found[0].num_scored, length);
  int64_t num_scored = 0;
  for (const EncodedRequest& window : found) num_scored += window.num_scored;
  EXPECT_EQ(num_scored, n);
  EXPECT_EQ(found.back().ids, Ids(ids.end() - length - 1, ids.end()));
}

TEST(RollingWindows, AnAddedBosIsScoredUnlessLeftOut) {
  const Ids ids = plain("The kettle");
  const auto with = windows(with_bos(), "The kettle", {});
  EXPECT_EQ(with[0].ids, behind_bos(behind_bos(ids)));
  EXPECT_EQ(with[0].num_scored, std::ssize(ids) + 1);
  const auto without = windows(with_bos(), "The kettle", {.scores_bos = false});
  EXPECT_EQ(without[0].ids, behind_bos(ids));
  EXPECT_EQ(without[0].num_scored, std::ssize(ids));
}

TEST(RollingWindows, ATextWithoutTokensIsAnError) {
  EXPECT_EQ(message_of<DataError>([] { windows(without_bos(), "", {}); }),
            "[a.jsonl: document 1] the text has no token, expected at least 1.");
}

}  // namespace request_encoder_test
}  // namespace cpx::evaluation
