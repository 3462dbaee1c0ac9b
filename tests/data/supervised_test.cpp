// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/supervised.h"

#include <gmock/gmock.h>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "byte_tokenizer.h"
#include "cpx/core/error.h"
#include "piece_tokenizer.h"
#include "tests/support/folders.h"

namespace cpx::data {
namespace supervised_test {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using tokenizer::TokenId;

constexpr TokenId kBos = ByteTokenizer::kBos;
constexpr TokenId kEos = ByteTokenizer::kEos;

// "U:hi;" and "A:yo</s>;" for a user and an assistant; "A:" asks for an answer.
constexpr const char* kColons =
    "{% for m in messages %}{{ ('A:' if m.role == 'assistant' else 'U:') + m.content }}"
    "{{ eos_token if m.role == 'assistant' else '' }};{% endfor %}"
    "{% if add_generation_prompt %}A:{% endif %}";

TextEncoder encoder_of(const std::string& chat_template, int64_t max_tokens = 0) {
  auto tokenizer = std::make_shared<ByteTokenizer>();
  tokenizer->template_text = chat_template;
  return {std::move(tokenizer), {.max_tokens = max_tokens}};
}

class SupervisedFiles : public testing_support::ScratchFolderTest {
 protected:
  SupervisedContent read(const std::string& name, std::string_view content,
                         const std::string& chat_template = kColons) const {
    const std::vector<fs::path> files = {write(name, content)};
    const TextEncoder encoder = encoder_of(chat_template);
    SupervisedContent result = read_supervised(files, &encoder);
    result.faults = without_folder(result.faults);
    for (SupervisedText& text : result.texts) text.where = without_folder(text.where);
    return result;
  }
  bool is_supervised(const std::string& name, std::string_view content) const {
    return holds_supervised(write(name, content));
  }
};

TEST_F(SupervisedFiles, TextsAreReadAsTheyStand) {
  const auto lines = read("a.txt", "one \\n\n\n  two\n");
  EXPECT_THAT(lines.faults.texts(), IsEmpty());
  ASSERT_EQ(lines.texts.size(), 2);
  EXPECT_EQ(lines.texts[0].text, "one \\n");
  EXPECT_EQ(lines.texts[1].text, "  two");
  EXPECT_EQ(lines.texts[1].where, "a.txt: line 3");
  const auto json = read("a.json", R"(["x", {"text": "y\n", "label": 1}])");
  EXPECT_THAT(json.faults.texts(), IsEmpty());
  ASSERT_EQ(json.texts.size(), 2);
  EXPECT_EQ(json.texts[1].text, "y\n");
  EXPECT_EQ(json.texts[1].where, "a.json: record 2");
}

TEST_F(SupervisedFiles, CompletionsFollowTheirPrompts) {
  const auto content = read("a.jsonl", "{\"prompt\": \"\", \"completion\": \" c\"}\n");
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.texts.size(), 1);
  EXPECT_EQ(content.texts[0].form, SupervisedForm::kCompletion);
  EXPECT_EQ(content.texts[0].text, " c");
  EXPECT_EQ(content.texts[0].frame, Frame::kTemplate);
}

TEST_F(SupervisedFiles, CompletionsMayBeMessages) {
  const auto content = read("a.json", R"([{"prompt": [{"role": "user", "content": "hi"}],
                                          "completion": [{"role": "assistant", "content": "yo"}]}])");
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.texts.size(), 1);
  EXPECT_EQ(content.texts[0].prompt, "U:hi;A:");
  EXPECT_EQ(content.texts[0].text, "yo</s>;");
  EXPECT_EQ(content.texts[0].frame, Frame::kRendered);
}

TEST_F(SupervisedFiles, OfConversationsTheAssistantsTurnsAreLearned) {
  const std::string record =
      R"([{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"},
                        {"role": "user", "content": "go"}, {"role": "assistant", "content": "ok"}]}])";
  const auto content = read("a.json", record);
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.texts.size(), 1);
  const std::string& text = content.texts[0].text;
  EXPECT_EQ(text, "U:hi;A:yo</s>;U:go;A:ok</s>;");
  std::vector<std::string> learned;
  for (const auto& span : content.texts[0].learned) {
    learned.push_back(text.substr(span.begin, span.end - span.begin));
  }
  EXPECT_THAT(learned, ElementsAre("yo</s>;", "ok</s>;"));
}

TEST_F(SupervisedFiles, WhatATemplateMarksIsLearned) {
  const auto content = read("a.json", R"([{"messages": [{"role": "assistant", "content": "yo"}]}])",
                            "{% for m in messages %}<{% generation %}{{ m.content }}"
                            "{% endgeneration %}>{% endfor %}");
  ASSERT_EQ(content.texts.size(), 1);
  EXPECT_EQ(content.texts[0].text, "<yo>");
  EXPECT_THAT(content.texts[0].learned, ElementsAre(tokenizer::ByteSpan{.begin = 1, .end = 3}));
}

TEST_F(SupervisedFiles, BlanksBehindTheClosingEosAreNotLearned) {
  const auto content =
      read("a.json", R"([{"messages": [{"role": "assistant", "content": "yo"}]}])",
           "{% for m in messages %}{{ m.content + eos_token + '\\n' }}{% endfor %}");
  ASSERT_EQ(content.texts.size(), 1);
  EXPECT_EQ(content.texts[0].text, "yo</s>\n");
  EXPECT_THAT(content.texts[0].learned, ElementsAre(tokenizer::ByteSpan{.begin = 0, .end = 6}));
}

// This template takes earlier answers away.
TEST_F(SupervisedFiles, ATemplateThatChangesWhatCameBeforeIsAFault) {
  const std::string record =
      R"([{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"},
                        {"role": "user", "content": "go"}]}])";
  EXPECT_THAT(
      read("a.json", record,
           "{% for m in messages %}{{ m.role[0] }}:"
           "{% if loop.last or m.role == 'user' %}{{ m.content }}{% endif %};{% endfor %}")
          .faults.texts(),
      ElementsAre(
          "[a.json: record 1] message 3: the chat template renders the messages before it "
          "as 'yo;' and, with it, as ';u:go;' there, expected the same beginning: where the "
          "turn begins cannot be told. Give a template with {% generation %} with "
          "--chat-template FILE."));
}

TEST_F(SupervisedFiles, FaultsNameRecordAndKey) {
  EXPECT_THAT(
      read("a.jsonl", "{\"text\": \"x\"}\n{\"text\": \" \"}\n{\"input\": \"x\"}\n7\n")
          .faults.texts(),
      ElementsAre("[a.jsonl: record 2, line 2] 'text' is ' ', expected a text that is not blank.",
                  "[a.jsonl: record 3, line 3] 'text' is missing (keys: input), expected a text.",
                  "[a.jsonl: record 4, line 4] is 7, expected an object."));
  EXPECT_THAT(
      read("b.jsonl", "{\"prompt\": \"p\", \"completion\": \"\"}\n{\"completion\": \"c\"}\n")
          .faults.texts(),
      ElementsAre("[b.jsonl: record 1, line 1] 'completion' is '', expected a text that is "
                  "not blank.",
                  "[b.jsonl: record 2, line 2] 'prompt' is missing (keys: completion), "
                  "expected a text or messages."));
  EXPECT_THAT(
      read("c.json", R"([{"messages": []}, {"messages": [{"role": "user"}]}, {"messages": ["x"]},
                         {"messages": [{"role": "assistant", "content": "x", "tool_calls": [1]}]}])")
          .faults.texts(),
      ElementsAre(
          "[c.json: record 1] 'messages' is [], expected a list of messages.",
          "[c.json: record 2] 'messages[0].content' is missing.",
          "[c.json: record 3] 'messages[0]' is 'x', expected a message with 'role' and "
          "'content'.",
          "[c.json: record 4] 'messages[0].tool_calls' is [1], expected none: tool calls are "
          "not rendered."));
  EXPECT_THAT(
      read("d.json", R"([{"quote": "x"}])").faults.texts(),
      ElementsAre("[d.json] got the keys quote, expected texts, or objects with 'text', with "
                  "'prompt' and 'completion', or with 'messages'."));
}

TEST_F(SupervisedFiles, AConversationThatTheTemplateRefusesIsAFault) {
  EXPECT_THAT(read("a.json", R"([{"messages": [{"role": "user", "content": "x"}]}])",
                   "{{ raise_exception('no') }}")
                  .faults.texts(),
              ElementsAre("[a.json: record 1] the model's chat template refuses this conversation: "
                          "no"));
}

TEST_F(SupervisedFiles, WithoutAChatTemplateConversationsAreOneError) {
  try {
    read("a.json", R"([{"messages": [{"role": "user", "content": "x"}]}])", "");
    FAIL() << "nothing was thrown";
  } catch (const DataError& error) {
    EXPECT_STREQ(error.what(),
                 "[text_encoder] conversations: got a model without a chat template, expected one "
                 "(tokenizer_config.json: chat_template). Give one with --chat-template FILE.");
  }
}

TEST_F(SupervisedFiles, WithoutAnEncoderConversationsAreLookedAt) {
  const std::vector<fs::path> files = {
      write("a.json", R"([{"messages": [{"role": "user", "content": "x"}]}, {"messages": 1}])")};
  const SupervisedContent content = read_supervised(files, nullptr);
  EXPECT_THAT(content.texts, IsEmpty());
  EXPECT_EQ(content.faults.size(), 1);
}

TEST_F(SupervisedFiles, TheFirstKnownKeyTellsContrastRecordsFromTexts) {
  EXPECT_TRUE(is_supervised("a.txt", "{\"paraphrases\": []}\n"));
  EXPECT_TRUE(is_supervised("a.json", R"([{"id": 1}, {"text": "x"}])"));
  EXPECT_TRUE(is_supervised("b.json", R"(["x"])"));
  EXPECT_TRUE(is_supervised("c.json", R"([{"prompt": "x", "completion": "y"}])"));
  EXPECT_TRUE(is_supervised("d.json", R"([{"messages": []}])"));
  EXPECT_FALSE(is_supervised("e.json", R"([{"text": "x", "paraphrases": ["y"]}])"));
  EXPECT_FALSE(is_supervised("f.json", R"([{"paraphrase": ["y"]}])"));
  EXPECT_FALSE(is_supervised("g.json", "{not json"));
}

// ---- Tokens ------------------------------------------------------------------------------------

TEST(SupervisedEncoder, OfATextAllButTheFirstTokenIsPredicted) {
  const SupervisedEncoder encoder(encoder_of(""));
  const MaskedText text = encoder.encode({.text = "ab"});
  EXPECT_THAT(text.ids, ElementsAre(kBos, 'a', 'b', kEos));
  EXPECT_THAT(text.predicted, ElementsAre(PredictedSpan{.begin = 1, .end = 4}));
  EXPECT_EQ(text.num_predicted(), 3);
}

TEST(SupervisedEncoder, OfACompletionThePromptIsGiven) {
  const SupervisedEncoder encoder(encoder_of(""));
  const MaskedText text =
      encoder.encode({.form = SupervisedForm::kCompletion, .prompt = "ab", .text = "c"});
  EXPECT_THAT(text.ids, ElementsAre(kBos, 'a', 'b', 'c', kEos));
  EXPECT_THAT(text.predicted, ElementsAre(PredictedSpan{.begin = 3, .end = 5}));
}

TEST(SupervisedEncoder, ARenderedCompletionGetsNoTokenBesides) {
  const SupervisedEncoder encoder(encoder_of(""));
  const MaskedText text = encoder.encode({.form = SupervisedForm::kCompletion,
                                          .prompt = "<s>a",
                                          .text = "b",
                                          .frame = Frame::kRendered});
  EXPECT_THAT(text.ids, ElementsAre(kBos, 'a', 'b'));
  EXPECT_THAT(text.predicted, ElementsAre(PredictedSpan{.begin = 2, .end = 3}));
}

TEST(SupervisedEncoder, APromptThatFillsTheLimitLeavesNothingToPredict) {
  const SupervisedEncoder encoder(encoder_of("", /*max_tokens=*/3));
  const SupervisedText text{.form = SupervisedForm::kCompletion, .prompt = "abcd", .text = "e"};
  EXPECT_EQ(encoder.encode(text).num_predicted(), 0);
}

SupervisedText conversation(const std::string& text, std::vector<tokenizer::ByteSpan> learned) {
  return {.form = SupervisedForm::kMessages,
          .text = text,
          .learned = std::move(learned),
          .frame = Frame::kRendered};
}

TEST(SupervisedEncoder, OfAConversationTheLearnedPartsArePredicted) {
  const SupervisedEncoder encoder(encoder_of(""));
  const MaskedText text = encoder.encode(conversation("abcdefg", {{1, 3}, {5, 7}}));
  EXPECT_THAT(text.ids, ElementsAre('a', 'b', 'c', 'd', 'e', 'f', 'g'));
  EXPECT_THAT(text.predicted, ElementsAre(PredictedSpan{.begin = 1, .end = 3},
                                          PredictedSpan{.begin = 5, .end = 7}));
}

TEST(SupervisedEncoder, TheFirstTokenIsNeverPredicted) {
  const SupervisedEncoder encoder(encoder_of(""));
  EXPECT_THAT(encoder.encode(conversation("abc", {{0, 2}})).predicted,
              ElementsAre(PredictedSpan{.begin = 1, .end = 2}));
  EXPECT_THAT(encoder.encode(conversation("abc", {{0, 1}})).predicted, IsEmpty());
}

TEST(SupervisedEncoder, ACutTakesWhatLiesBehindIt) {
  const SupervisedEncoder encoder(encoder_of("", /*max_tokens=*/4));
  const MaskedText text = encoder.encode(conversation("abcdefg", {{1, 2}, {3, 5}, {6, 7}}));
  EXPECT_TRUE(text.is_cut);
  EXPECT_EQ(text.ids.size(), 4);
  EXPECT_THAT(text.predicted, ElementsAre(PredictedSpan{.begin = 1, .end = 2},
                                          PredictedSpan{.begin = 3, .end = 4}));
}

// " Yes" (300) begins before the learned part.
TEST(SupervisedEncoder, ATokenThatReachesIntoALearnedPartIsPredicted) {
  auto tokenizer = std::make_shared<PieceTokenizer>(std::vector<std::string>{" Yes"});
  const SupervisedEncoder encoder(TextEncoder(std::move(tokenizer), {.max_tokens = 0}));
  const MaskedText text = encoder.encode(conversation("A: Yes.", {{3, 6}}));
  EXPECT_THAT(text.ids, ElementsAre('A', ':', PieceTokenizer::kFirstPiece, '.'));
  EXPECT_THAT(text.predicted, ElementsAre(PredictedSpan{.begin = 2, .end = 3}));
}

TEST(SupervisedOrder, IsDrawnBySeedAndEpoch) {
  EXPECT_THAT(supervised_order(3, /*shuffle=*/false, 1, 5), ElementsAre(0, 1, 2));
  EXPECT_EQ(supervised_order(9, true, 1, 5), supervised_order(9, true, 1, 5));
  EXPECT_NE(supervised_order(9, true, 1, 5), supervised_order(9, true, 1, 6));
  EXPECT_NE(supervised_order(9, true, 1, 5), supervised_order(9, true, 2, 5));
}

}  // namespace supervised_test
}  // namespace cpx::data
