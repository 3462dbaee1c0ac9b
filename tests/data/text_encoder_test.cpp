// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/text_encoder.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "byte_tokenizer.h"
#include "cpx/core/error.h"
#include "tests/support/errors.h"

namespace cpx::data {
namespace text_encoder_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::message_of;
using tokenizer::PromptTemplate;

constexpr auto kBos = ByteTokenizer::kBos;
constexpr auto kEos = ByteTokenizer::kEos;

// ChatML with </s> for <|im_end|>, which the byte tokenizer knows as EOS.
constexpr const char* kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' "
    "}}{% endif %}";
constexpr const char* kZephyr =
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + "
    "message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' "
    "+ "
    "message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ "
    "'<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and "
    "add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";

std::shared_ptr<const ByteTokenizer> make(const ByteTokenizer& tokenizer = {}) {
  return std::make_shared<ByteTokenizer>(tokenizer);
}

std::string decoded(const TextEncoder& encoder, const std::string& text) {
  return encoder.tokenizer().decode(encoder.encode(text).ids, /*skip_special_tokens=*/false);
}

TEST(TextEncoder, PlainTextGetsTheTokenizersTokensAndEos) {
  const TextEncoder encoder(make(), {});
  const EncodedText encoded = encoder.encode("ab");
  EXPECT_THAT(encoded.ids, ElementsAre(kBos, 'a', 'b', kEos));
  EXPECT_FALSE(encoded.is_cut);
  EXPECT_THAT(TextEncoder(make(), {.append_eos = false}).encode("ab").ids,
              ElementsAre(kBos, 'a', 'b'));
}

TEST(TextEncoder, EosIsNotAppendedTwice) {
  ByteTokenizer tokenizer;
  tokenizer.adds_eos = true;
  EXPECT_THAT(TextEncoder(make(tokenizer), {}).encode("a").ids, ElementsAre(kBos, 'a', kEos));
}

// BOS, a, b, c and EOS are five tokens.
TEST(TextEncoder, ATextThatIsCutLosesItsEos) {
  const EncodedText whole = TextEncoder(make(), {.max_tokens = 5}).encode("abc");
  EXPECT_THAT(whole.ids, ElementsAre(kBos, 'a', 'b', 'c', kEos));
  EXPECT_FALSE(whole.is_cut);
  const EncodedText without_eos = TextEncoder(make(), {.max_tokens = 4}).encode("abc");
  EXPECT_THAT(without_eos.ids, ElementsAre(kBos, 'a', 'b', 'c'));
  EXPECT_TRUE(without_eos.is_cut);
  const EncodedText cut = TextEncoder(make(), {.max_tokens = 3}).encode("abc");
  EXPECT_THAT(cut.ids, ElementsAre(kBos, 'a', 'b'));
  EXPECT_TRUE(cut.is_cut);
}

TEST(TextEncoder, ZeroMaxTokensIsNoLimit) {
  EXPECT_EQ(TextEncoder(make(), {.max_tokens = 0}).encode(std::string(5000, 'x')).ids.size(), 5002);
}

TEST(TextEncoder, PublishedFramesHoldTheText) {
  EXPECT_THAT(decoded(TextEncoder(make(), {.text_template = PromptTemplate::kLlama2}), "hello"),
              HasSubstr("[INST] "));
  const std::string tulu =
      decoded(TextEncoder(make(), {.text_template = PromptTemplate::kTulu}), "hello");
  EXPECT_THAT(tulu, testing::StartsWith("<s><|user|>\n"));
  EXPECT_THAT(tulu, HasSubstr("hello\n<|assistant|>\n"));
}

TEST(TextEncoder, AnUnframedTextHasNoTemplate) {
  const TextEncoder encoder(make(), {.text_template = PromptTemplate::kTulu, .max_tokens = 4});
  EXPECT_THAT(encoder.encode_unframed("ab").ids, ElementsAre(kBos, 'a', 'b', kEos));
  EXPECT_THAT(encoder.encode_unframed("abc").ids, ElementsAre(kBos, 'a', 'b', 'c'));
  EXPECT_TRUE(encoder.encode_unframed("abc").is_cut);
}

TEST(TextEncoder, ChatTemplateMakesTheTextTheAssistantsAnswer) {
  ByteTokenizer tokenizer;
  tokenizer.template_text = kZephyr;
  const TextEncoder encoder(make(tokenizer), {.text_template = PromptTemplate::kChat});
  // One EOS at the end, without the line break behind it; no BOS beside the template's own tokens.
  EXPECT_EQ(decoded(encoder, "hello"), "<|user|>\n</s>\n<|assistant|>\nhello</s>");
}

TEST(TextEncoder, EosFollowsATemplateThatClosesWithAnotherToken) {
  const TextEncoder encoder(make(),
                            {.text_template = PromptTemplate::kChat, .chat_template = kChatMl});
  EXPECT_EQ(decoded(encoder, "hello"),
            "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\nhello<|im_end|>\n</s>");
}

template <class Error>
std::string making_error(std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                         const EncodeOptions& options) {
  return message_of<Error>([&] { TextEncoder(std::move(tokenizer), options); });
}

TEST(TextEncoder, ATokenizerWithoutEosIsAnErrorWhereEosIsAskedFor) {
  ByteTokenizer tokenizer;
  tokenizer.has_eos = false;
  EXPECT_EQ(making_error<DataError>(make(tokenizer), {}),
            "[text_encoder] append_eos: got a tokenizer without an EOS token, expected one that "
            "names it (tokenizer_config.json: eos_token). Set append_eos to false to do without.");
  EXPECT_THAT(TextEncoder(make(tokenizer), {.append_eos = false}).encode("a").ids,
              ElementsAre(kBos, 'a'));
}

TEST(TextEncoder, AModelWithoutAChatTemplateIsAnErrorUnderChat) {
  EXPECT_EQ(making_error<DataError>(make(), {.text_template = PromptTemplate::kChat}),
            "[text_encoder] template chat: got a model without a chat template, expected one "
            "(tokenizer_config.json: chat_template). Choose the template plain, or give one with "
            "--chat-template FILE.");
}

TEST(TextEncoder, AChatTemplateThatFailsIsAnErrorBeforeTheFirstText) {
  EXPECT_THROW(TextEncoder(make(), {.text_template = PromptTemplate::kChat,
                                    .chat_template = "{{ strange.thing }}"}),
               DataError);
}

TEST(TextEncoder, NoTokenizerIsAnError) {
  EXPECT_EQ(making_error<std::invalid_argument>(nullptr, {}),
            "[text_encoder] got no tokenizer, expected one.");
}

TEST(TextEncoder, ANegativeLimitIsAnError) {
  EXPECT_EQ(making_error<std::invalid_argument>(make(), {.max_tokens = -1}),
            "[text_encoder] max_tokens: got -1, expected 0 or more.");
}

}  // namespace text_encoder_test
}  // namespace cpx::data
