// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/growing_output.h"

#include <filesystem>
#include <functional>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/folders.h"

namespace cpx::pipeline {
namespace growing_output_test {

namespace fs = std::filesystem;
using testing_support::ScratchFolderTest;

const std::vector<Setting> kSettings = {{"seed", int64_t{42}}, {"temperature", 0.5}};
const std::vector<std::string> kPrompts = {"one", "two", "three"};

class GrowingOutputTest : public ScratchFolderTest {
 protected:
  GrowingOutput open(const std::vector<Setting>& settings = kSettings,
                     const std::vector<std::string>& prompts = kPrompts,
                     bool overwrite = false) const {
    return GrowingOutput(output_, prompts, settings, /*lines_per_prompt=*/2, overwrite);
  }

  static std::string lines(const std::string& prompt) {
    return "{\"prompt\":\"" + prompt + "\",\"sample\":0}\n{\"prompt\":\"" + prompt +
           "\",\"sample\":1}\n";
  }

  // Adds what is missing.
  void run() const {
    GrowingOutput output = open();
    for (int64_t i = output.num_done(); i < 3; ++i) {
      output.add(lines(kPrompts[static_cast<size_t>(i)]));
    }
    output.finish();
  }

  std::string text() const { return read_text_file(output_); }
  static std::string whole() { return lines("one") + lines("two") + lines("three"); }

  fs::path output_ = folder_ / "out.jsonl";
};

TEST_F(GrowingOutputTest, GrowsByThePrompt) {
  GrowingOutput output = open();
  EXPECT_FALSE(fs::exists(output_));
  output.add(lines("one"));
  EXPECT_EQ(text(), lines("one"));
  output.add(lines("two"));
  EXPECT_EQ(text(), lines("one") + lines("two"));
  EXPECT_EQ(output.num_done(), 2);
}

TEST_F(GrowingOutputTest, GoesOnBehindAnyByte) {
  run();
  ASSERT_EQ(text(), whole());
  const std::string meta = read_text_file(folder_ / "out.jsonl.meta");
  for (size_t size = 0; size <= whole().size(); ++size) {
    fs::resize_file(output_, size);
    // All three prompts have lines of their own length.
    const size_t first = lines("one").size();
    const size_t second = first + lines("two").size();
    const int64_t expected = size == whole().size() ? 3 : size >= second ? 2 : size >= first;
    EXPECT_EQ(open().num_done(), expected) << size;
    run();
    ASSERT_EQ(text(), whole()) << size;
  }
  EXPECT_EQ(read_text_file(folder_ / "out.jsonl.meta"), meta);
  EXPECT_FALSE(fs::exists(folder_ / "out.jsonl.lock"));
}

TEST_F(GrowingOutputTest, AFinishedOneIsDone) {
  run();
  EXPECT_EQ(open().num_done(), 3);
  EXPECT_EQ(text(), whole());
}

TEST_F(GrowingOutputTest, OtherSettingsOrPromptsAreAnErrorThatNamesTheFirst) {
  run();
  EXPECT_EQ(data_error_of([&] {
              open({{"seed", int64_t{7}}, {"temperature", 0.1}});
            }),
            "[out.jsonl] was made with other settings: 'seed' is 42 there and 7 now. Give those to "
            "go on, choose another output, or give --overwrite.");
  EXPECT_EQ(
      data_error_of([&] {
        open({{"seed", int64_t{42}}});
      }),
      "[out.jsonl] was made with other settings: 'temperature' is 0.5 there and not given now. "
      "Give those to go on, choose another output, or give --overwrite.");
  const std::string prompts = data_error_of([&] { open(kSettings, {"one", "two"}); });
  EXPECT_EQ(prompts.substr(0, 64),
            "[out.jsonl] was made with other settings: 'inputs' is \"3 texts, ");
  EXPECT_EQ(text(), whole());
  EXPECT_EQ(open({{"seed", int64_t{7}}}, kPrompts, /*overwrite=*/true).num_done(), 0);
}

TEST_F(GrowingOutputTest, AFileOfAnotherMakerIsReplacedWithTheFirstLines) {
  write_file_atomically(output_, "old\n");
  GrowingOutput output = open();
  EXPECT_EQ(output.num_done(), 0);
  EXPECT_EQ(text(), "old\n");  // as long as there is nothing better
  output.add(lines("one"));
  EXPECT_EQ(text(), lines("one"));
}

TEST_F(GrowingOutputTest, LinesThatWereChangedAreTold) {
  run();
  write_file_atomically(output_, lines("one") + lines("TWO"));
  EXPECT_EQ(data_error_of([&] { open(); }),
            "[out.jsonl: line 3] is not of prompt 2, as cpx would have written it. Choose "
            "another output, or give --overwrite.");
  write_file_atomically(output_, "no JSON\n");
  EXPECT_EQ(data_error_of([&] { open(); }),
            "[out.jsonl: line 1] is not of prompt 1, as cpx would have written it. Choose "
            "another output, or give --overwrite.");
  write_file_atomically(output_, whole() + lines("four"));
  EXPECT_EQ(data_error_of([&] { open(); }),
            "[out.jsonl: line 7] is not of prompt 4, as cpx would have written it. Choose "
            "another output, or give --overwrite.");
}

TEST_F(GrowingOutputTest, AnotherWriterIsAnError) {
  const GrowingOutput first = open();
  EXPECT_EQ(
      data_error_of([&] { open(); }),
      fmt::format("[--output] 'out.jsonl' is in use: process {} writes it. Wait for that one, "
                  "or choose another output.",
                  getpid()));
}

TEST_F(GrowingOutputTest, ALinkIsFollowedAndAStreamHasNothingBesideIt) {
  fs::create_symlink("real.jsonl", output_);
  run();
  EXPECT_TRUE(fs::is_symlink(output_));
  EXPECT_EQ(read_text_file(folder_ / "real.jsonl"), whole());
  output_ = folder_ / "null";
  fs::create_symlink("/dev/null", output_);
  run();
  EXPECT_EQ(open().num_done(), 0);
  EXPECT_FALSE(fs::exists(folder_ / "null.meta"));
  EXPECT_FALSE(fs::exists(folder_ / "null.lock"));
}

}  // namespace growing_output_test
}  // namespace cpx::pipeline
