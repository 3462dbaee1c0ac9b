// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/globs.h"

#include <gmock/gmock.h>

#include "tests/support/folders.h"

namespace cpx::data {
namespace globs_test {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::ScratchFolderTest;

class GlobTest : public ScratchFolderTest {
 protected:
  std::vector<std::string> expand(std::vector<std::string> patterns) {
    for (std::string& pattern : patterns) pattern = (folder_ / pattern).string();
    std::vector<std::string> names;
    Faults faults;
    for (const fs::path& file : expand_globs(patterns, faults)) {
      names.push_back(without_folder(file.string()));
    }
    faults_ = without_folder(faults).texts();
    return names;
  }

  std::vector<std::string> faults_;
};

TEST_F(GlobTest, FilesAreSortedWithinAPatternAndComeOnce) {
  for (const char* name : {"b.json", "a.json", "c.jsonl", "sub/z.json", ".hidden.json"}) {
    write(name, "");
  }
  EXPECT_THAT(expand({"*.json"}), ElementsAre("a.json", "b.json"));
  EXPECT_THAT(expand({"c.jsonl", "?.json*", "sub/../a.json"}),
              ElementsAre("c.jsonl", "a.json", "b.json"));
  EXPECT_THAT(expand({"sub/*"}), ElementsAre("sub/z.json"));
  EXPECT_THAT(expand({".*"}), ElementsAre(".hidden.json"));
  EXPECT_THAT(faults_, IsEmpty());
}

TEST_F(GlobTest, StarsMatchAnyCharactersAndQuestionMarksOne) {
  for (const char* name : {"aXbYb", "ab", "aab", "b", "a*b"}) write(name, "");
  EXPECT_THAT(expand({"a*b"}), ElementsAre("a*b"));  // a file of that very name
  EXPECT_THAT(expand({"a*b*"}), ElementsAre("a*b", "aXbYb", "aab", "ab"));
  EXPECT_THAT(expand({"?"}), ElementsAre("b"));
  EXPECT_THAT(expand({"*Y?"}), ElementsAre("aXbYb"));
}

TEST_F(GlobTest, PatternsWithoutAFileAreFaults) {
  fs::create_directories(folder_ / "sub");
  EXPECT_THAT(expand({"*.json", "none.json", "sub", "s*/a.json", "none/*.json"}), IsEmpty());
  EXPECT_THAT(
      faults_,
      ElementsAre(
          "[*.json] no file matches: got none, expected one or more.",
          "[none.json] no such file: got nothing there, expected a file.",
          "[sub] got a folder, expected files. Write 'sub/*.json' for its JSON files.",
          "[s*/a.json] got a wildcard in the folder's name, expected one only in the file's "
          "name. Give each folder its own pattern.",
          "[none/*.json] no file matches: got No such file or directory, expected one or "
          "more."));
}

}  // namespace globs_test
}  // namespace cpx::data
