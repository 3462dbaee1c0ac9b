// SPDX-License-Identifier: Apache-2.0
#include "src/recipes/fingerprint.h"

#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "tests/support/folders.h"

namespace cpx::recipes {
namespace fingerprint_test {

data::Record record(const std::string& neutral, const std::string& toxic) {
  data::Record made;
  made.input = "input";
  made.group = "group";
  made.neutral = {neutral};
  made.toxic = {toxic};
  return made;
}

TEST(RecordsFingerprint, ChangesWithEveryText) {
  const std::vector<data::Record> one = {record("a", "b")};
  const std::vector<data::Record> same = {record("a", "b")};
  const std::vector<data::Record> swapped = {record("b", "a")};
  EXPECT_EQ(records_fingerprint(one), records_fingerprint(same));
  EXPECT_NE(records_fingerprint(one), records_fingerprint(swapped));
}

TEST(RecordsFingerprint, TextsDoNotRunIntoEachOther) {
  data::Record split = record("ab", "x");
  split.neutral = {"a", "b"};
  const std::vector<data::Record> whole = {record("ab", "x")};
  const std::vector<data::Record> parts = {split};
  EXPECT_NE(records_fingerprint(whole), records_fingerprint(parts));
}

class ModelFingerprint : public testing_support::ScratchFolderTest {
 protected:
  std::string with(const std::string& content) const {
    write_file_atomically(folder_ / "model.safetensors", content);
    return model_fingerprint(folder_);
  }
};

TEST_F(ModelFingerprint, SeesEveryPartOfASplitGguf) {
  const auto print = [&](const std::string& second) {
    write_file_atomically(folder_ / "m-00001-of-00002.gguf", "first");
    write_file_atomically(folder_ / "m-00002-of-00002.gguf", second);
    return model_fingerprint(folder_ / "m-00001-of-00002.gguf");
  };
  const auto before = print("weights 1");
  EXPECT_NE(print("weights 2"), before);
  write_file_atomically(folder_ / "n-00002-of-00002.gguf", "another model's");
  EXPECT_EQ(print("weights 1"), before);
}

TEST_F(ModelFingerprint, SeesShardsOfTorchSave) {
  const auto print = [&](const std::string& content) {
    write_file_atomically(folder_ / "pytorch_model-00002-of-00002.bin", content);
    return model_fingerprint(folder_);
  };
  EXPECT_NE(print("weights 1"), print("weights 2"));
}

TEST_F(ModelFingerprint, SeesEveryFileOfAnAdapter) {
  for (const char* file :
       {"adapter_config.json", "adapter_model.bin", "adapter_model.safetensors"}) {
    const auto print = [&](const std::string& content) {
      write_file_atomically(folder_ / file, content);
      return model_fingerprint(folder_);
    };
    EXPECT_NE(print("rank 1"), print("rank 2")) << file;
  }
}

TEST_F(ModelFingerprint, SeesAChangedByteOfASmallFile) {
  EXPECT_NE(with("weights 1"), with("weights 2"));
  EXPECT_EQ(with("weights 1"), with("weights 1"));
}

TEST_F(ModelFingerprint, SeesFirstAndLastByteAndLengthOfALargeFile) {
  const std::string large(8 << 20, 'w');
  std::string first = large;
  first.front() = 'x';
  std::string last = large;
  last.back() = 'x';
  const std::string fingerprint = with(large);
  EXPECT_NE(with(first), fingerprint);
  EXPECT_NE(with(last), fingerprint);
  EXPECT_NE(with(large + "w"), fingerprint);
}

TEST_F(ModelFingerprint, FilesThatAreNoPartOfTheModelDoNotCount) {
  const std::string before = with("weights");
  write_file_atomically(folder_ / "README.md", "about");
  EXPECT_EQ(model_fingerprint(folder_), before);
}

}  // namespace fingerprint_test
}  // namespace cpx::recipes
