// SPDX-License-Identifier: Apache-2.0
#include "cpx/tokenizer/chat_template.h"

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <gmock/gmock.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "fixture.h"
#include "tests/support/errors.h"
#include "tests/support/names.h"

namespace cpx::tokenizer {
namespace chat_template_test {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::kNothingThrown;
using testing_support::message_of;

constexpr const char* kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content']}}"
    "{{'<|im_end|>\\n'}}{% endfor %}";

std::string render(const std::string& jinja, std::vector<ChatMessage> messages = {{"user", "Hi"}},
                   bool add_generation_prompt = false) {
  return render_chat(jinja, messages, add_generation_prompt, "<s>", "</s>");
}

std::string error_of_template(const std::string& jinja) {
  return message_of<DataError>([&] { render(jinja); });
}

nlohmann::ordered_json read_fixture(const std::string& name) {
  std::ifstream stream(std::filesystem::path(CPX_SOURCE_DIR) / "tests/fixtures" / name);
  return nlohmann::ordered_json::parse(stream);
}

// strftime_now() tells local time.
class UtcTest : public ::testing::Test {
 protected:
  UtcTest() {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};
using TemplateConstructs = UtcTest;

// `template` with the variables of template_constructs.json.
std::string render_with_variables(const std::string& jinja) {
  static const auto fixture = read_fixture("template_constructs.json");
  const std::chrono::seconds now(fixture["now"].get<int64_t>());
  return render_template(jinja, fixture["variables"].dump(),
                         std::chrono::system_clock::time_point(now));
}

TEST(ChatTemplate, RenderingsEqualApplyChatTemplate) {
  const auto fixture = read_fixture("chat_templates.json");
  ASSERT_GT(fixture["renderings"].size(), 700U);
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
      EXPECT_THAT(message_of<DataError>(render_it),
                  StartsWith("[render_chat] the model's chat template refuses this conversation: "))
          << where;
    } else {
      EXPECT_EQ(render_it(), one["text"].get<std::string>()) << where;
    }
  }
}

TEST_F(TemplateConstructs, AreRenderedOrRefusedAsJinja2Does) {
  const auto fixture = read_fixture("template_constructs.json");
  ASSERT_GT(fixture["constructs"].size(), 350U);
  for (const auto& construct : fixture["constructs"]) {
    const std::string jinja = construct["template"];
    const auto render_it = [&] { return render_with_variables(jinja); };
    if (construct["text"].is_null()) {
      EXPECT_THAT(message_of<DataError>(render_it), StartsWith("[render_chat] the ")) << jinja;
    } else {
      std::string text;
      EXPECT_EQ(message_of<DataError>([&] { text = render_it(); }), kNothingThrown) << jinja;
      EXPECT_EQ(text, construct["text"].get<std::string>()) << jinja;
    }
  }
}

TEST(ChatTemplate, NoTemplateIsAnError) {
  EXPECT_EQ(error_of_template(""),
            "[render_chat] the model has no chat template. Give one with --chat-template FILE.");
}

TEST(ChatTemplate, AnyFormIsRendered) {
  EXPECT_EQ(render("{{ '<start_of_turn>user\\n' + messages[0]['content'] }}"),
            "<start_of_turn>user\nHi");
}

TEST(ChatTemplate, AnErrorNamesWhatIsWrongAndItsLine) {
  EXPECT_EQ(error_of_template("{% if true %}\n{{ messages | pprint }}{% endif %}"),
            "[render_chat] the chat template cannot be rendered: line 2: it uses the filter "
            "'pprint', which cpx does not know. Give another template with --chat-template FILE.");
  EXPECT_EQ(error_of_template("a\n\n{{ messages[0].name.first }}"),
            "[render_chat] the chat template cannot be rendered: line 3: 'dict object' has no "
            "attribute 'name'. Give another template with --chat-template FILE.");
  EXPECT_EQ(error_of_template("{# c\nd #}{% include 'other' %}"),
            "[render_chat] the chat template cannot be rendered: line 2: it uses the statement "
            "'include', but a chat template stands alone. Give another template with "
            "--chat-template FILE.");
  EXPECT_EQ(error_of_template("{% macro f() %}\n{{ 'a'.encode() }}\n{% endmacro %}\n{{ f() }}"),
            "[render_chat] the chat template cannot be rendered: line 2: it calls str.encode(), "
            "which cpx does not know. Give another template with --chat-template FILE.");
  EXPECT_EQ(error_of_template("{{ raise_exception('Roles\nmust alternate') }}"),
            "[render_chat] the model's chat template refuses this conversation: Roles must "
            "alternate");
}

TEST(ChatTemplate, WhatIsUnknownIsNamedWhereItIsEvaluatedOnly) {
  for (const char* unknown :
       {"{{ 1 | urlize }}", "{{ 1 is nosuch }}", "{{ 'a'.encode() }}", "{{ lipsum() }}",
        "{{ (1).real }}", "{{ range(3)[1:] }}", "{{ 99999999999999999999 }}",
        "{% block b %}{% endblock %}", "{% extends 'a' %}", "{% import 'a' as b %}",
        "{% from 'a' import b %}", "{% autoescape true %}{% endautoescape %}"}) {
    EXPECT_THAT(error_of_template(unknown),
                StartsWith("[render_chat] the chat template cannot be rendered: line 1: "))
        << unknown;
    EXPECT_EQ(render("{% if false %}" + std::string(unknown) + "{% endif %}x"), "x") << unknown;
  }
  EXPECT_THAT(error_of_template("{{ 1 is nosuch }}"),
              HasSubstr("it uses the test 'nosuch', which cpx does not know"));
  EXPECT_THAT(error_of_template("{{ lipsum() }}"), HasSubstr("the function 'lipsum'"));
  EXPECT_THAT(error_of_template("{{ 'a' | map('upper') }}"), HasSubstr("put '| list'"));
  EXPECT_THAT(error_of_template("{{ 'a'.upper }}"), HasSubstr("it prints the method 'str.upper'"));
}

using BadTemplate = testing_support::BadInput<std::string>;

class SyntaxError : public testing::TestWithParam<BadTemplate> {};

TEST_P(SyntaxError, NamesTheLine) {
  EXPECT_EQ(error_of_template(GetParam().input),
            "[render_chat] the chat template cannot be rendered: line " + GetParam().message +
                ". Give another template with --chat-template FILE.");
}

INSTANTIATE_TEST_SUITE_P(
    All, SyntaxError,
    testing::Values(
        BadTemplate{"OpenIf", "a\n{% if true %}x", "2: 'if' is not closed by 'endif'"},
        BadTemplate{"OpenFor", "{% for a in messages %}\n{% if true %}{% endif %}",
                    "1: 'for' is not closed by 'endfor'"},
        BadTemplate{"EndforAlone", "\n{% endfor %}", "2: there is no statement 'endfor'"},
        BadTemplate{"OpenTag", "{{ 'a' ", "1: a tag is not closed by '}}'"},
        BadTemplate{"OpenText", "\n\n{{ 'a }}", "3: a text has no end"},
        BadTemplate{"ExpressionThatEnds", "{{ 1 + }}", "1: got '}}', expected an expression"},
        BadTemplate{"TwoValues", "{{ a b }}", "1: got 'b', expected '}}'"},
        BadTemplate{"StrangeLetter", "{{ a ? b }}", "1: '?' is no part of a tag"},
        BadTemplate{"OpenComment", "{# a", "1: a comment is not closed by '#}'"},
        BadTemplate{"OpenRaw", "{% raw %}", "1: 'raw' is not closed by 'endraw'"},
        BadTemplate{"OtherBracket", "{{ (1] }}", "1: got ']', expected ')'"},
        BadTemplate{"HalfOfASurrogatePair", "{{ '\\ud83d' }}",
                    "1: a text has half of a surrogate pair, which is no character"}),
    testing_support::by_value);

TEST(ChatTemplate, EndlessNestingIsAnErrorNotACrash) {
  const std::string parentheses = "{{ " + std::string(500, '(') + std::string(500, ')') + " }}";
  EXPECT_THAT(error_of_template(parentheses), HasSubstr("nests more than 100 levels deep"));
  const std::string negations = "{{ " + std::string(500, '-') + "1 }}";
  EXPECT_THAT(error_of_template(negations), HasSubstr("nests more than 100 levels deep"));
  std::string ifs;
  for (int i = 0; i < 100'000; ++i) ifs += "{% if true %}";
  EXPECT_THAT(error_of_template(ifs), HasSubstr("blocks nest more than 50 levels deep"));
  EXPECT_THAT(error_of_template("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
              HasSubstr("it nests more than 1000 levels deep when it runs"));
  EXPECT_THAT(error_of_template("{% set ns = namespace(x=[]) %}{% for i in range(1000) %}"
                                "{% set ns.x = [ns.x] %}{% endfor %}"),
              HasSubstr("its values nest more than 100 levels deep"));
  EXPECT_THAT(error_of_template("{% set ns = namespace(x=[1]) %}{% for i in range(1000) %}"
                                "{% set ns.x = ns.x | map('string') %}{% endfor %}"),
              HasSubstr("its values nest more than 100 levels deep"));
}

TEST(ChatTemplate, LongChainsAreNoNesting) {
  std::string sum = "1";
  for (int i = 0; i < 100'000; ++i) sum += "+1";
  EXPECT_EQ(render("{{ " + sum + " }}"), "100001");
}

TEST(ChatTemplate, AHostileTemplateMeetsALimit) {
  const std::string many = "{% for i in range(100000) %}";
  EXPECT_THAT(error_of_template(many + many + "{% endfor %}{% endfor %}"),
              HasSubstr("it takes more than 10000000 steps"));
  const std::string doubled = "{% set ns = namespace(x='0123456789') %}{% for i in range(99) %}";
  EXPECT_THAT(error_of_template(doubled + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}"),
              HasSubstr("it makes a text or list of more than 64 MiB"));
  EXPECT_THAT(error_of_template(doubled + "{% set ns.x = ns.x + ns.x %}{% endfor %}"),
              HasSubstr("of more than 64 MiB"));
  EXPECT_THAT(
      error_of_template(doubled + "{% set ns.x = ns.x | replace('', '-----') %}{% endfor %}"),
      HasSubstr("of more than 64 MiB"));
  for (const char* large :
       {"{{ 'ab' * 99999999999 }}", "{{ [1] * 99999999999 }}", "{{ 'a'.center(99999999999) }}",
        "{{ '%99999999d' % 1 }}", "{{ 'a'.zfill(999999999) }}", "{{ 'a' | indent(999999999) }}",
        "{{ '{:99999999}'.format(1) }}", "{{ [1] | tojson(indent=999999999) }}"}) {
    EXPECT_THAT(error_of_template(large), HasSubstr("of more than 64 MiB")) << large;
  }
  EXPECT_THAT(error_of_template("{% set x = 'a' * 9999999 %}" + many +
                                "{% set y = x ~ x %}"
                                "{% endfor %}"),
              HasSubstr("it works on more than 1024 MiB"));
  const std::string tree =
      "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}"
      "{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
  EXPECT_THAT(error_of_template(tree + "{{ ns.x == ns.x }}"), HasSubstr("steps"));
}

TEST(ChatTemplate, ValuesThatHoldThemselvesAreFreed) {  // the leak checker looks on
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.me = ns %}{% macro f() %}{% endmacro %}"
                   "{% set ns.f = f %}{% for x in [1] %}{{ loop.changed(loop) }}{% endfor %}"),
            "True");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for x in [1, 2] %}{% set ns.f = loop.cycle %}"
                   "{% endfor %}{{ ns.f('a', 'b') }}"),
            "b");
}

TEST(ChatTemplate, LineEndsOfAFileChangeNothing) {
  const std::string jinja = "{% for m in messages %}\n  {{ m.content }}\n{% endfor %}\nend\n";
  std::string windows;
  for (const char c : jinja) windows += c == '\n' ? "\r\n" : std::string(1, c);
  EXPECT_EQ(render(windows), "  Hi\nend");
  EXPECT_EQ(render(windows), render(jinja));
}

TEST(ChatTemplate, ATokenThatAModelDoesNotHaveIsNotDefined) {
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  EXPECT_EQ(render_chat("{{ bos_token is defined }}{{ eos_token }}", messages, false, "", "</s>"),
            "False</s>");
}

// As transformers counts them: from the text that the template itself has made so far.
TEST(ChatTemplate, BlocksOfGenerationAreTold) {
  const ChatTemplate marked(
      "{% for m in messages %}{{ m.role }}:{% if m.role == 'a' %}{% generation %}{{ m.content }}!"
      "{% endgeneration %}{% else %}{{ m.content }}{% endif %};{% endfor %}",
      "", "");
  EXPECT_TRUE(marked.marks_generation());
  const std::vector<ChatMessage> messages = {{"u", "x"}, {"a", "yes"}, {"u", "y"}, {"a", ""}};
  const RenderedChat chat = marked.render(messages, /*add_generation_prompt=*/false);
  EXPECT_EQ(chat.text, "u:x;a:yes!;u:y;a:!;");
  EXPECT_THAT(chat.generated, ::testing::ElementsAre(ByteSpan{6, 10}, ByteSpan{17, 18}));
  EXPECT_FALSE(ChatTemplate(kChatMl, "", "").marks_generation());
}

TEST(RenderTemplate, VariablesAreJson) {
  const auto now = std::chrono::system_clock::time_point();
  EXPECT_EQ(
      render_template("{{ a }}{{ tools }}{{ b.c[0] }}", R"({"a": 1.0, "b": {"c": [null]}})", now),
      "1.0NoneNone");
  const auto fails = [&](const std::string& variables) {
    return message_of<DataError>([&] { render_template("x", variables, now); });
  };
  EXPECT_EQ(fails("[1]"), "[render_chat] the variables of a template are not a JSON object.");
  EXPECT_EQ(fails("{"), "[render_chat] the variables of a template are not a JSON object.");
  EXPECT_EQ(fails(R"({"a": 18446744073709551615})"),
            "[render_chat] a message or tool has the number 18446744073709551615, expected at most "
            "9223372036854775807.");
  EXPECT_EQ(fails(R"({"a": )" + std::string(200, '[') + std::string(200, ']') + "}"),
            "[render_chat] a message or tool nests more than 90 levels deep.");
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
  EXPECT_EQ(message_of<ConfigError>([] { parse_prompt_template("lama2"); }),
            "[data.template] got 'lama2', expected plain, llama2, tulu or chat. Did you mean "
            "'llama2'?");
  EXPECT_EQ(
      message_of<std::invalid_argument>([] { render_training_text(PromptTemplate::kChat, "x"); }),
      "[render_training_text] the template 'chat' is the model's own, see render_chat().");
}

TEST(ChatTemplate, RoleAndContentAreTakenAsTheyAre) {
  EXPECT_EQ(render(kChatMl, {{"user", "{{ 1 + 1 }} {% if %}"}}),
            "<|im_start|>user\n{{ 1 + 1 }} {% if %}<|im_end|>\n");
}

}  // namespace chat_template_test
}  // namespace cpx::tokenizer
