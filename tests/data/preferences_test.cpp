// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/preferences.h"

#include <gmock/gmock.h>

#include "byte_tokenizer.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx::data {
namespace preferences_test {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::kNothingThrown;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

class PreferencesTest : public ScratchFolderTest {
 protected:
  PreferenceContent read(const std::string& name, std::string_view content,
                         const std::string& prompt_template = "Q {input}: ") const {
    const std::vector<fs::path> files = {write(name, content)};
    PreferenceContent result = read_preferences(files, prompt_template);
    result.faults = without_folder(result.faults);
    for (PreferenceItem& item : result.items) item.where = without_folder(item.where);
    return result;
  }

  std::vector<std::string> faults(const std::string& name, std::string_view content) const {
    return read(name, content).faults.texts();
  }
};

TEST_F(PreferencesTest, LinesWithPromptChosenAndRejectedAreItems) {
  const auto content =
      read("a.jsonl",
           "{\"prompt\": \"Say {input} \\\\n\", \"chosen\": \" yes\", \"rejected\": \"no\"}\n\n"
           "{\"prompt\": \"\", \"chosen\": \"a\", \"rejected\": [\"b\", \"c\"], \"x\": 1}\n");
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.items.size(), 2);
  EXPECT_EQ(content.items[0].prompt, "Say {input} \\n");  // neither filled nor unescaped
  EXPECT_THAT(content.items[0].chosen, ElementsAre(" yes"));
  EXPECT_THAT(content.items[0].rejected, ElementsAre("no"));
  EXPECT_EQ(content.items[0].where, "a.jsonl: record 1, line 1");
  EXPECT_EQ(content.items[1].prompt, "");
  EXPECT_THAT(content.items[1].rejected, ElementsAre("b", "c"));
  EXPECT_EQ(content.items[1].where, "a.jsonl: record 2, line 3");
}

TEST_F(PreferencesTest, AnInputIsPutIntoTheTemplate) {
  const auto content = read("a.json", R"([{"input": "a {x}", "chosen": "c", "rejected": "r"}])",
                            std::string(kPublishedPromptTemplate));
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.items.size(), 1);
  EXPECT_EQ(content.items[0].prompt, "### Input: ```a {x}```\n ### Output: ");
}

TEST_F(PreferencesTest, EveryPlaceholderIsFilledOnce) {
  const auto content = read("a.json", R"([{"input": "{input}!", "chosen": "c", "rejected": "r"}])",
                            "{input} and {input}");
  ASSERT_EQ(content.items.size(), 1);
  EXPECT_EQ(content.items[0].prompt, "{input}! and {input}!");
}

TEST_F(PreferencesTest, APromptWinsOverAnInput) {
  const auto content =
      read("a.json", R"([{"prompt": "p", "input": "i", "chosen": "c", "rejected": "r"}])");
  ASSERT_EQ(content.items.size(), 1);
  EXPECT_EQ(content.items[0].prompt, "p");
}

TEST_F(PreferencesTest, NeutralTextsOfContrastRecordsAreChosenAndToxicOnesRejected) {
  const auto content = read("a.json", R"([
      {"input": "one\\n", "id": 7, "paraphrases": ["n1\\n", "n2"], "paraphrases_toxic": ["t"]},
      {"input": " ", "paraphrases": ["n"], "paraphrases_toxic": ["t"]},
      {"paraphrases": {"n": 0.5}, "paraphrases_toxic": {"t": 0.5}}])");
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_EQ(content.num_without_input, 2);
  ASSERT_EQ(content.items.size(), 1);
  EXPECT_EQ(content.items[0].prompt, "Q one\n: ");
  EXPECT_THAT(content.items[0].chosen, ElementsAre("n1\n", "n2"));
  EXPECT_THAT(content.items[0].rejected, ElementsAre("t"));
  EXPECT_EQ(content.items[0].where, "a.json: record 1 (id '7')");
}

TEST_F(PreferencesTest, FilesOfBothKindsComeInTheirOrder) {
  const std::vector<fs::path> files = {
      write("b.jsonl", "{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": \"r\"}\n"),
      write("a.json", R"([{"input": "i", "paraphrases": ["n"], "paraphrases_toxic": ["t"]}])")};
  const PreferenceContent content = read_preferences(files, "{input}");
  ASSERT_EQ(content.items.size(), 2);
  EXPECT_EQ(content.items[0].prompt, "p");
  EXPECT_EQ(content.items[1].prompt, "i");
}

TEST_F(PreferencesTest, PromptsNeedNoAnswers) {
  const std::vector<fs::path> files = {
      write("a.jsonl", "{\"prompt\": \"p\"}\n{\"input\": \"i\", \"rejected\": \"r\"}\n"),
      write("b.json", R"([{"input": "i", "paraphrases": ["n"], "paraphrases_toxic": ["t"]}])"),
      write("c.json", R"([{"input": "first key"}])")};
  const PreferenceContent content = read_prompts(files, "[{input}]");
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.items.size(), 4);
  EXPECT_EQ(content.items[0].prompt, "p");
  EXPECT_THAT(content.items[0].rejected, IsEmpty());
  EXPECT_EQ(content.items[1].prompt, "[i]");
  EXPECT_THAT(content.items[1].rejected, ElementsAre("r"));
  EXPECT_EQ(content.items[2].prompt, "[i]");
  EXPECT_THAT(content.items[2].rejected, ElementsAre("t"));
  EXPECT_EQ(content.items[3].prompt, "[first key]");
}

TEST_F(PreferencesTest, PromptsWithFaultsAreFaults) {
  const std::vector<fs::path> files = {
      write("a.jsonl", "{\"prompt\": \"p\", \"rejected\": 1}\n{\"rejected\": \"r\"}\n"),
      write("b.json", R"([{"text": "x"}])")};
  PreferenceContent content = read_prompts(files, "{input}");
  content.faults = without_folder(content.faults);
  EXPECT_THAT(content.items, IsEmpty());
  EXPECT_THAT(content.faults.texts(),
              ElementsAre("[a.jsonl: record 1, line 1] 'rejected' is 1, expected a text or a list "
                          "of texts.",
                          "[a.jsonl: record 2, line 2] 'prompt' is missing (keys: rejected), "
                          "expected a text under 'prompt' or 'input'.",
                          "[b.json] got the keys text, expected objects with 'prompt' or 'input', "
                          "or contrast records with 'paraphrases' and 'paraphrases_toxic'."));
}

TEST_F(PreferencesTest, FaultsHaveTheirPlaceAndLeaveTheItemOut) {
  const auto content = read("a.jsonl",
                            "{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": \"r\"}\n"
                            "{\"prompt\": \"p\", \"chosen\": \"c\", \"reject\": \"r\"}\n"
                            "{\"chosen\": [\"c\"], \"rejected\": []}\n"
                            "{\"prompt\": 3, \"chosen\": \"\", \"rejected\": [\"r\", \" \", 4]}\n"
                            "{\"input\": \"\", \"chosen\": \"c\", \"rejected\": {}}\n"
                            "[1]\n"
                            "{\"prompt\": \"p\", \"prompt\": \"q\", \"chosen\": \"c\", "
                            "\"rejected\": \"r\"}\n"
                            "{\"prompt\"\n");
  EXPECT_EQ(content.items.size(), 1);
  EXPECT_THAT(
      content.faults.texts(),
      ElementsAre(
          HasSubstr("[a.jsonl: record 8, line 8] is not valid JSON: "),
          "[a.jsonl: record 2, line 2] 'rejected' is missing (keys: prompt, chosen, reject), "
          "expected a text or a list of texts.",
          "[a.jsonl: record 3, line 3] 'prompt' is missing (keys: chosen, rejected), expected a "
          "text under 'prompt' or 'input'.",
          "[a.jsonl: record 3, line 3] 'chosen' is [\"c\"], expected a text.",
          "[a.jsonl: record 3, line 3] 'rejected' is [], expected texts.",
          "[a.jsonl: record 4, line 4] 'prompt' is 3, expected a text.",
          "[a.jsonl: record 4, line 4] 'chosen' is '', expected a text that is not blank.",
          "[a.jsonl: record 4, line 4] 'rejected[1]' is ' ', expected a text that is not blank.",
          "[a.jsonl: record 4, line 4] 'rejected[2]' is 4, expected a text.",
          "[a.jsonl: record 5, line 5] 'input' is '', expected a text that is not blank.",
          "[a.jsonl: record 5, line 5] 'rejected' is {}, expected a text or a list of texts.",
          "[a.jsonl: record 6, line 6] is [1], expected an object.",
          "[a.jsonl: record 7, line 7] 'prompt' is there twice, expected once."));
}

TEST_F(PreferencesTest, FaultsOfContrastRecordsAreThoseOfShards) {
  EXPECT_THAT(
      faults("a.json", R"([{"input": "i", "paraphrases": [], "paraphrases_toxic": ["t"]}])"),
      ElementsAre("[a.json: record 1] 'paraphrases' is [], expected texts."));
  EXPECT_THAT(
      faults("a.json", R"([{"input": "i", "paraphrases": ["n"]}])"),
      ElementsAre("[a.json: record 1] 'paraphrases_toxic' is missing (keys: input, paraphrases), "
                  "expected a list of texts or an object {text: score}. The other side is here; "
                  "cpx-paraphrase --polarity toxic adds this one."));
}

TEST_F(PreferencesTest, PromptsNeedNoSideMoreThanTheyHave) {
  const std::vector<fs::path> files = {
      write("a.json", R"([{"input": "i", "paraphrases": ["n"]}])")};
  const PreferenceContent content = read_prompts(files, "{input}");
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_EQ(content.items.size(), 1);
}

TEST_F(PreferencesTest, AFileOfNeitherKindIsAFault) {
  EXPECT_THAT(faults("a.json", R"([{"text": "x", "label": 1}])"),
              ElementsAre("[a.json] got the keys text, label, expected objects with 'chosen' and "
                          "'rejected', or contrast records with 'paraphrases' and "
                          "'paraphrases_toxic'."));
  EXPECT_THAT(faults("a.json", R"(["x"])"),
              ElementsAre("[a.json] got 'x', expected objects with 'chosen' and "
                          "'rejected', or contrast records with 'paraphrases' and "
                          "'paraphrases_toxic'."));
  EXPECT_THAT(faults("a.json", "[]"), ElementsAre("[a.json] got an empty list, expected records."));
  EXPECT_THAT(faults("a.jsonl", "\n"),
              ElementsAre("[a.jsonl] got an empty file, expected records."));
}

// ---- Conversations and labels ------------------------------------------------------------------

TextEncoder chat_encoder() {
  auto tokenizer = std::make_shared<ByteTokenizer>();
  tokenizer->template_text =
      "{% for m in messages %}{{ m.role[0] + ':' + m.content + ';' }}{% endfor %}"
      "{% if add_generation_prompt %}a:{% endif %}";
  return {std::move(tokenizer), {.max_tokens = 0}};
}

constexpr const char* kTalk =
    R"([{"prompt": [{"role": "user", "content": "hi"}],
         "chosen": [{"role": "assistant", "content": "yes"}],
         "rejected": [{"role": "assistant", "content": "no"}]},
        {"chosen": [{"role": "user", "content": "go"}, {"role": "assistant", "content": "ok"}],
         "rejected": [{"role": "user", "content": "go"}, {"role": "assistant", "content": "no"}]}])";

TEST_F(PreferencesTest, ConversationsAreRendered) {
  const TextEncoder encoder = chat_encoder();
  const std::vector<fs::path> files = {write("a.json", kTalk)};
  const PreferenceContent content = read_preferences(files, "{input}", &encoder);
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.items.size(), 2);
  EXPECT_EQ(content.items[0].prompt, "u:hi;a:");
  EXPECT_THAT(content.items[0].chosen, ElementsAre("yes;"));
  EXPECT_THAT(content.items[0].rejected, ElementsAre("no;"));
  EXPECT_EQ(content.items[0].frame, Frame::kRendered);
  EXPECT_EQ(content.items[1].prompt, "u:go;a:");
  EXPECT_THAT(content.items[1].chosen, ElementsAre("ok;"));
}

TEST_F(PreferencesTest, WithoutAnEncoderConversationsAreLookedAt) {
  const auto content = read("a.json", kTalk);
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_THAT(content.items, IsEmpty());
  EXPECT_THAT(
      faults("b.json", R"([{"prompt": "p", "chosen": [{"role": "a", "content": "c"}],
                                    "rejected": [{"role": "a", "content": "d"}]},
                                   {"chosen": [{"role": "a", "content": "c"}]}])"),
      ElementsAre("[b.json: record 1] 'prompt' is 'p', expected a list of messages.",
                  "[b.json: record 2] 'rejected' is missing (keys: chosen), expected a list "
                  "of messages."));
}

class LabelledTest : public PreferencesTest {
 protected:
  PreferenceContent read_labels(const std::string& name, std::string_view content) const {
    const TextEncoder encoder = chat_encoder();
    const std::vector<fs::path> files = {write(name, content)};
    PreferenceContent result = read_labelled(files, "Q {input}: ", &encoder);
    result.faults = without_folder(result.faults);
    return result;
  }
};

TEST_F(LabelledTest, ALabelSaysWhichSideACompletionIsOn) {
  const auto content = read_labels("a.jsonl",
                                   "{\"prompt\": \"p\", \"completion\": \" a\", \"label\": true}\n"
                                   "{\"input\": \"i\", \"completion\": \"b\", \"label\": false}\n");
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.items.size(), 2);
  EXPECT_EQ(content.items[0].prompt, "p");
  EXPECT_THAT(content.items[0].chosen, ElementsAre(" a"));
  EXPECT_THAT(content.items[0].rejected, IsEmpty());
  EXPECT_EQ(content.items[1].prompt, "Q i: ");
  EXPECT_THAT(content.items[1].chosen, IsEmpty());
  EXPECT_THAT(content.items[1].rejected, ElementsAre("b"));
}

TEST_F(LabelledTest, ConversationsMayHaveLabels) {
  const auto content = read_labels("a.json", R"([{"prompt": [{"role": "user", "content": "hi"}],
                                 "completion": [{"role": "assistant", "content": "no"}],
                                 "label": false}])");
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.items.size(), 1);
  EXPECT_EQ(content.items[0].prompt, "u:hi;a:");
  EXPECT_THAT(content.items[0].rejected, ElementsAre("no;"));
}

TEST_F(LabelledTest, PairsAndContrastRecordsGiveBothSides) {
  const auto pairs = read_labels("a.json", R"([{"prompt": "p", "chosen": "c", "rejected": "r"},
                                               {"prompt": "q", "rejected": ["s", "t"]}])");
  EXPECT_THAT(pairs.faults.texts(), IsEmpty());
  ASSERT_EQ(pairs.items.size(), 2);
  EXPECT_THAT(pairs.items[0].chosen, ElementsAre("c"));
  EXPECT_THAT(pairs.items[1].rejected, ElementsAre("s", "t"));
  const auto records = read_labels("b.json", R"([{"input": "i", "paraphrases_toxic": ["t"]}])");
  EXPECT_THAT(records.faults.texts(), IsEmpty());
  ASSERT_EQ(records.items.size(), 1);
  EXPECT_THAT(records.items[0].rejected, ElementsAre("t"));
}

TEST_F(LabelledTest, FaultsNameRecordAndKey) {
  EXPECT_THAT(
      read_labels("a.jsonl",
                  "{\"prompt\": \"p\", \"completion\": \"c\"}\n"
                  "{\"prompt\": \"p\", \"completion\": \"\", \"label\": 1}\n"
                  "{\"prompt\": \"p\", \"label\": true}\n")
          .faults.texts(),
      ElementsAre("[a.jsonl: record 1, line 1] 'label' is missing (keys: prompt, completion), "
                  "expected true or false.",
                  "[a.jsonl: record 2, line 2] 'label' is 1, expected true or false.",
                  "[a.jsonl: record 2, line 2] 'completion' is '', expected a text that is not "
                  "blank.",
                  "[a.jsonl: record 3, line 3] 'completion' is missing (keys: prompt, label), "
                  "expected a text."));
  EXPECT_THAT(read_labels("b.json", R"([{"text": "x"}])").faults.texts(),
              ElementsAre("[b.json] got the keys text, expected objects with 'completion' and "
                          "'label', or with 'chosen' and 'rejected', or contrast records with "
                          "'paraphrases' and 'paraphrases_toxic'."));
}

TEST_F(PreferencesTest, OfManyFaultsTwentyAreShownAndTheOthersCounted) {
  std::string lines;
  for (int i = 0; i < 23; ++i) lines += "{\"prompt\": \"p\", \"chosen\": \"c\"}\n";
  const auto found = faults("a.jsonl", lines);
  ASSERT_EQ(found.size(), 21);
  EXPECT_EQ(found[20], "[a.jsonl] and 3 more faults.");
}

std::string template_error(const std::string& prompt_template) {
  return message_of<std::invalid_argument>([&] { preferences_of({}, prompt_template); });
}

TEST(Preferences, ATemplateWithoutAPlaceForTheInputIsAnError) {
  EXPECT_EQ(
      template_error("Say {Input}:"),
      "[preferences] prompt template: got 'Say {Input}:', expected a text with {input} in it.");
  EXPECT_EQ(template_error("{input}"), kNothingThrown);
}

}  // namespace preferences_test
}  // namespace cpx::data
