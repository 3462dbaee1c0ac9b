// SPDX-License-Identifier: Apache-2.0
#include "cpx/tokenizer/chat_template.h"

#include <fstream>
#include <gmock/gmock.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "fixture.h"

namespace cpx::tokenizer {
namespace chat_template_test {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content']}}"
    "{{'<|im_end|>\\n'}}{% endfor %}";

std::string render(const std::string& jinja, std::vector<ChatMessage> messages = {{"user", "Hi"}},
                   bool add_generation_prompt = false) {
  return render_chat(jinja, messages, add_generation_prompt, "<s>", "</s>");
}

// `body` in a template that is recognised.
std::string render_body(const std::string& body) {
  return render("{# <|im_start|> <|im_end|> #}" + body);
}

std::string error_of_body(const std::string& body) {
  return error_of<DataError>([&] { render_body(body); });
}

TEST(ChatTemplate, RenderingsEqualApplyChatTemplate) {
  std::ifstream stream(std::filesystem::path(CPX_SOURCE_DIR) /
                       "tests/fixtures/chat_templates.json");
  const auto fixture = nlohmann::json::parse(stream);
  ASSERT_GT(fixture["renderings"].size(), 200U);
  for (const auto& one : fixture["renderings"]) {
    const std::string name = one["template"];
    std::vector<ChatMessage> messages;
    for (const auto& turn : fixture["conversations"][one["conversation"].get<size_t>()]) {
      messages.push_back({turn[0], turn[1]});
    }
    const std::string jinja = fixture["templates"][name];
    const bool has_prompt = one["add_generation_prompt"];
    const auto render_it = [&] { return render(jinja, messages, has_prompt); };
    const std::string where = name + " " + one["conversation"].dump();
    if (one["text"].is_null()) {
      EXPECT_THAT(error_of<DataError>(render_it),
                  StartsWith("[render_chat] the model's chat template refuses this conversation: "))
          << where;
    } else {
      EXPECT_EQ(render_it(), one["text"].get<std::string>()) << where;
    }
  }
}

TEST(ChatTemplate, UnknownFormPointsToTemplateFlag) {
  const std::string gemma = "{{ '<start_of_turn>user\\n' + messages[0]['content'] }}";
  EXPECT_EQ(error_of<DataError>([&] { render(gemma); }),
            "[render_chat] the model's chat template has none of the forms that cpx knows (ChatML, "
            "Llama-2, Llama-3, Mistral, Zephyr): it starts with '{{ '<start_of_turn>user\\n' + "
            "messages[0]['content'] }}'. Give one of these with --template FILE.");
  EXPECT_EQ(error_of<DataError>([&] { render(""); }),
            "[render_chat] the model has no chat template. Give one with --template FILE.");
}

TEST(ChatTemplate, UnknownConstructIsNamedAndPointsToTemplateFlag) {
  EXPECT_EQ(error_of_body("{% macro f() %}{% endmacro %}"),
            "[render_chat] the chat template cannot be rendered: it uses the statement 'macro'. "
            "Give a simpler one with --template FILE.");
  EXPECT_THAT(error_of_body("{{ messages | tojson }}"), HasSubstr("it uses the filter 'tojson'"));
  EXPECT_THAT(error_of_body("{{ strftime_now('%d') }}"),
              HasSubstr("it calls the function 'strftime_now'"));
  EXPECT_THAT(error_of_body("{{ 'a'.zfill(3) }}"), HasSubstr("it calls the method 'zfill'"));
  EXPECT_THAT(error_of_body("{{ 1 is even }}"), HasSubstr("it uses the test 'even'"));
}

TEST(ChatTemplate, DamagedTemplatesAreErrors) {
  EXPECT_THAT(error_of_body("{% if true %}x"), HasSubstr("'endif' is missing"));
  EXPECT_THAT(error_of_body("{% for a in messages %}x"), HasSubstr("'endfor' is missing"));
  EXPECT_THAT(error_of_body("{% endfor %}"), HasSubstr("it uses the statement 'endfor'"));
  EXPECT_THAT(error_of_body("{{ 'a' "), HasSubstr("a tag is not closed by '}}'"));
  EXPECT_THAT(error_of_body("{{ 'a }}"), HasSubstr("a tag is not closed by '}}'"));
  EXPECT_THAT(error_of_body("{{ 1 + }}"), HasSubstr("' 1 + ' is not understood at its end"));
  EXPECT_THAT(error_of_body("{{ a b }}"), HasSubstr("' a b ' is not understood at 'b'"));
  EXPECT_THAT(error_of_body("{{ a ? b }}"), HasSubstr("it has '?' in ' a ? b '"));
  EXPECT_THAT(error_of_body("{{ 1 + 'a' }}"), HasSubstr("'+' joins a number and a text"));
  EXPECT_THAT(error_of_body("{{ a.b.c }}"), HasSubstr("it asks an undefined value for a member"));
  EXPECT_THAT(error_of_body("{{ messages }}"), HasSubstr("it prints a list"));
  EXPECT_THAT(error_of_body("{{ 5 % 0 }}"), HasSubstr("it divides by 0 or -1"));
  EXPECT_THAT(error_of_body("{{ 999999999999999999 * 999999999999999999 }}"),
              HasSubstr("a number is too large"));
}

TEST(ChatTemplate, EndlessNestingIsAnErrorNotACrash) {
  const std::string parentheses = "{{ " + std::string(500, '(') + " }}";
  EXPECT_THAT(error_of_body(parentheses), HasSubstr("it nests more than 100 levels deep"));
  const std::string negations = "{{ " + std::string(500, '-') + "1 }}";
  EXPECT_THAT(error_of_body(negations), HasSubstr("it nests more than 100 levels deep"));
  std::string sum = "1";
  for (int i = 0; i < 100'000; ++i) sum += "+1";
  EXPECT_THAT(error_of_body("{{ " + sum + " }}"), HasSubstr("a tag has more than 1000 parts"));
  std::string ifs;
  for (int i = 0; i < 100'000; ++i) ifs += "{% if true %}";
  EXPECT_THAT(error_of_body(ifs), HasSubstr("it nests more than 50 levels deep"));
}

TEST(ChatTemplate, ExpressionsFollowJinja) {
  EXPECT_EQ(render_body("{{ 1 + 2 * 3 - -1 }}"), "8");
  EXPECT_EQ(render_body("{{ -7 // 2 }} {{ -7 % 3 }}"), "-4 2");
  EXPECT_EQ(render_body("{{ 'a' if false else 'b' }}"), "b");
  EXPECT_EQ(render_body("{{ not true or true and 'x' }}"), "x");
  EXPECT_EQ(render_body("{{ ' a ' | trim + '|' }}"), "a|");
  EXPECT_EQ(render_body("{{ 'b' in 'abc' and 'z' not in 'abc' }}"), "True");
  EXPECT_EQ(render_body("{{ 'a,b'.split(',')[-1] }}{{ 'xyz'[1:] }}{{ [1, 2][0] }}"), "byz1");
  EXPECT_EQ(render_body("{{ nothing }}{{ nothing is defined }}{{ none is none }}"), "FalseTrue");
  EXPECT_EQ(render_body("{{ 'A\\u00e9\\x41\\n' }}"), "A\xC3\xA9\x41\n");
}

TEST(ChatTemplate, SetInsideALoopEndsWithItsIteration) {
  EXPECT_EQ(render_body("{% set x = 1 %}{% for m in messages %}{% set x = 2 %}{{ x }}{% endfor %}"
                        "{{ x }}"),
            "21");
  EXPECT_EQ(render_body("{% set ns = namespace(x=1) %}{% for m in messages %}{% set ns.x = 2 %}"
                        "{% endfor %}{{ ns.x }}"),
            "2");
}

TEST(PromptTemplate, TrainingTextsHaveThePublishedFrames) {
  EXPECT_EQ(render_training_text(PromptTemplate::kPlain, "A {text}"), "A {text}");
  EXPECT_EQ(render_training_text(PromptTemplate::kLlama2, "A {text}"),
            "[INST] Complete the following: A {text} [/INST]");
  EXPECT_EQ(render_training_text(PromptTemplate::kTulu, "A {text}"),
            "<|user|>\nComplete the following: A {text}\n<|assistant|>\nA:");
}

TEST(PromptTemplate, NamesReadBack) {
  for (const auto one : {PromptTemplate::kPlain, PromptTemplate::kLlama2, PromptTemplate::kTulu,
                         PromptTemplate::kChat}) {
    EXPECT_EQ(parse_prompt_template(prompt_template_name(one)), one);
  }
}

TEST(PromptTemplate, WrongUseIsRefused) {
  EXPECT_EQ(error_of<ConfigError>([] { parse_prompt_template("lama2"); }),
            "[data.template] got 'lama2', expected plain, llama2, tulu or chat. Did you mean "
            "'llama2'?");
  EXPECT_EQ(
      error_of<std::invalid_argument>([] { render_training_text(PromptTemplate::kChat, "x"); }),
      "[render_training_text] the template 'chat' is the model's own, see render_chat().");
}

TEST(ChatTemplate, RoleAndContentAreTakenAsTheyAre) {
  EXPECT_EQ(render(kChatMl, {{"user", "{{ 1 + 1 }} {% if %}"}}),
            "<|im_start|>user\n{{ 1 + 1 }} {% if %}<|im_end|>\n");
}

}  // namespace chat_template_test
}  // namespace cpx::tokenizer
