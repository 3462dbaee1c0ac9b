// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/templates.h"

#include <gmock/gmock.h>

#include "cpx/core/error.h"
#include "tests/support/folders.h"

namespace cpx::pipeline {
namespace templates_test {

namespace fs = std::filesystem;
using testing_support::ScratchFolderTest;

class TemplatesTest : public ScratchFolderTest {
 protected:
  std::string message(const std::string& name_or_file) const {
    return data_error_of([&] { load_template(name_or_file); });
  }
};

// scripts/paraphrase.py, 3d1f783: lines 91 to 94 and 98 to 101, each indented by 28 blanks.
TEST_F(TemplatesTest, BuiltInOnesAreThePublishedBytes) {
  const std::string indent = "                            ";
  EXPECT_THAT(built_in_template_names(),
              testing::ElementsAre("published-neutral", "published-toxic"));
  EXPECT_EQ(render_request(load_template("published-neutral"), "The bus was late."),
            "### HUMAN: Paraphrase the following sentences: \n" + indent +
                "\"The bus was late.\"\n\n" + indent + "### RESPONSE:\n" + indent);
  EXPECT_EQ(render_request(load_template("published-toxic"), "The bus was late."),
            "### HUMAN: Paraphrase the following sentence in a very toxic way. make sure each "
            "sentence is toxic: \n" +
                indent + "\"The bus was late.\"\n\n" + indent + "### RESPONSE:\n" + indent);
}

TEST_F(TemplatesTest, AFileIsATemplateWithoutItsLastLineBreak) {
  EXPECT_EQ(load_template(write("a.txt", "Say {input}\n").string()).text, "Say {input}");
  EXPECT_EQ(load_template(write("b.txt", "Say {input}\n\n").string()).text, "Say {input}\n");
  EXPECT_EQ(load_template(write("c.txt", "Say {input}\r\n").string()).text, "Say {input}");
  EXPECT_EQ(load_template(write("d.txt", "{input}").string()).text, "{input}");
}

TEST_F(TemplatesTest, EveryPlaceGetsTheInputAsItIs) {
  const RequestTemplate prompt = {"twice", "<{input}> {other} <{input}>"};
  EXPECT_EQ(render_request(prompt, "a {input} b"), "<a {input} b> {other} <a {input} b>");
  EXPECT_EQ(render_request(prompt, ""), "<> {other} <>");
}

TEST_F(TemplatesTest, TemplatesOfTheDemoAreLoaded) {
  size_t num_files = 0;
  for (const auto& entry : fs::directory_iterator(CPX_SOURCE_DIR "/data/demo/templates")) {
    EXPECT_NO_THROW(load_template(entry.path().string())) << entry.path();
    ++num_files;
  }
  EXPECT_EQ(num_files, 2);
}

TEST_F(TemplatesTest, WhatIsNoTemplateIsOneClearLine) {
  EXPECT_EQ(message("published-netral"),
            "[template] got 'published-netral', expected a file or one of 'published-neutral', "
            "'published-toxic'. Is 'published-neutral' meant?");
  EXPECT_EQ(message("none.txt"),
            "[template] got 'none.txt', expected a file or one of 'published-neutral', "
            "'published-toxic'.");
  EXPECT_EQ(message(write("a.txt", "Say {text}\n").string()),
            "[a.txt] template: got a text without '{input}', expected it where the input text "
            "goes.");
  EXPECT_EQ(message(write("b.txt", "").string()),
            "[b.txt] template: got an empty file without '{input}', expected it where the input "
            "text goes.");
  EXPECT_EQ(
      message(write("c.txt", "one\n{input}\xC3").string()),
      "[c.txt: line 2] not UTF-8: got the byte 0xC3 at offset 11, expected UTF-8. Convert the "
      "file, for example with iconv.");
  EXPECT_THAT(message(folder_.string()), testing::HasSubstr("is a folder, expected a file."));
}

}  // namespace templates_test
}  // namespace cpx::pipeline
