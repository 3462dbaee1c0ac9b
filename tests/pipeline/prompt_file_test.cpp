// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/prompt_file.h"

#include <gmock/gmock.h>

#include "tests/support/folders.h"

namespace cpx::pipeline {
namespace prompt_file_test {

using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::ScratchFolderTest;

class PromptFileTest : public ScratchFolderTest {
 protected:
  PromptContent read(const std::string& name, std::string_view content) const {
    PromptContent result = read_prompts(write(name, content));
    result.faults = without_folder(result.faults);
    for (data::Input& input : result.inputs) input.where = without_folder(input.where);
    return result;
  }
};

std::vector<std::string> texts(const PromptContent& content) {
  std::vector<std::string> all;
  for (const data::Input& input : content.inputs) all.push_back(input.text);
  return all;
}

std::vector<std::string> ids(const PromptContent& content) {
  std::vector<std::string> all;
  for (const data::Input& input : content.inputs) all.push_back(input.id);
  return all;
}

TEST_F(PromptFileTest, SentencesOfPublishedListsAreInputsOnceEach) {
  const auto content = read("neutral_mental_disability_1k.txt",
                            R"(- the bus was late\n- we walked - all of us\n-)"
                            "\n\n"
                            R"(- we walked - all of us\n- it rained\n- the bus was late\n- )"
                            "\n");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_THAT(texts(content),
              ElementsAre("the bus was late", "we walked - all of us", "it rained"));
  EXPECT_THAT(ids(content), ElementsAre("mental_dis-0", "mental_dis-1", "mental_dis-2"));
  EXPECT_EQ(content.inputs[0].group, "mental_dis");
  EXPECT_EQ(content.inputs[1].where, "neutral_mental_disability_1k.txt: line 1");
  EXPECT_EQ(content.inputs[2].where, "neutral_mental_disability_1k.txt: line 3");
  EXPECT_EQ(content.num_repeated, 2);
}

TEST_F(PromptFileTest, ALineThatIsNoListAmongListsIsAFault) {
  const auto content = read("hate_a.txt", "- one\\n- two\nthree\n- four\n");
  EXPECT_THAT(texts(content), ElementsAre("one", "two", "four"));
  EXPECT_THAT(
      content.faults.texts(),
      ElementsAre("[hate_a.txt: line 2] got a line that does not begin with '- ', expected "
                  "a list like the first line: '- one\\n- two' (or a file without lists)."));
}

TEST_F(PromptFileTest, LinesWithADashButWithoutLineBreaksAreTexts) {
  const auto content = read("notes.txt", "- one\n- two\n- one\nthree\\n- four\n");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_THAT(texts(content), ElementsAre("- one", "- two", "- one", "three\n- four"));
  EXPECT_THAT(ids(content), ElementsAre("notes-0", "notes-1", "notes-2", "notes-3"));
  EXPECT_EQ(content.num_repeated, 0);
}

TEST_F(PromptFileTest, RecordsKeepTheirIdAndGetANormalisedGroup) {
  const auto content = read("hate_native_american.jsonl",
                            "{\"input\": \"one\", \"group\": \"physical_disability\", \"id\": 5}\n"
                            "{\"text\": \"- two\\\\n- three\"}\n");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_THAT(texts(content), ElementsAre("one", "- two\n- three"));  // lists are of .txt alone
  EXPECT_THAT(ids(content), ElementsAre("5", "native-american-1"));
  EXPECT_EQ(content.inputs[0].group, "physical_dis");
  EXPECT_EQ(content.inputs[1].group, "native-american");
}

TEST_F(PromptFileTest, FaultsOfTheFileAreToldWithItsLine) {
  EXPECT_THAT(read("a.txt", " \n").faults.texts(),
              ElementsAre("[a.txt] got no line with text, expected a text a line."));
  EXPECT_THAT(
      read("b.txt", "- one\\n- two\n- \xFF\n").faults.texts(),
      ElementsAre("[b.txt: line 2] not UTF-8: got the byte 0xFF at offset 15, expected UTF-8. "
                  "Convert the file, for example with iconv."));
}

TEST(GroupOfFile, IsTheNameWithoutSideAndSize) {
  EXPECT_EQ(group_of_file("a/neutral_asian_1k.txt"), "asian");
  EXPECT_EQ(group_of_file("hate_women.txt"), "women");
  EXPECT_EQ(group_of_file("toxic_middle_east_1k.txt"), "middle-eastern");
  EXPECT_EQ(group_of_file("service.json"), "service");
  EXPECT_EQ(group_of_file("neutral_.txt"), "neutral_");
  EXPECT_EQ(group_of_file("_1k.txt"), "_1k");
}

TEST(NormalizeGroup, GivesTheNamesThatPublishedShardsHave) {
  EXPECT_EQ(normalize_group("mental_disability"), "mental_dis");
  EXPECT_EQ(normalize_group("mental_dis"), "mental_dis");
  EXPECT_EQ(normalize_group("physical_disability"), "physical_dis");
  EXPECT_EQ(normalize_group("middle_east"), "middle-eastern");
  EXPECT_EQ(normalize_group("native_american"), "native-american");
  EXPECT_EQ(normalize_group("work"), "work");
  EXPECT_EQ(normalize_group(""), "");
}

}  // namespace prompt_file_test
}  // namespace cpx::pipeline
