// SPDX-License-Identifier: Apache-2.0
#include "src/recipes/run_folder.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/folders.h"

namespace cpx::recipes {
namespace run_folder_test {

namespace fs = std::filesystem;

using OutputFault = testing_support::ScratchFolderTest;

TEST_F(OutputFault, ThereIsNoneForANewFolderAndForOneThatIsThere) {
  EXPECT_EQ(output_fault(folder_), std::nullopt);
  EXPECT_EQ(output_fault(folder_ / "a/b"), std::nullopt);
  EXPECT_FALSE(fs::exists(folder_ / "a"));
}

TEST_F(OutputFault, AFileInThePathIsNoFolder) {
  std::ofstream(folder_ / "file") << "x";
  EXPECT_EQ(output_fault(folder_ / "file/run"),
            "[training.output] '" + (folder_ / "file/run").string() +
                "' cannot be made: Not a directory. Choose another folder.");
}

// In a process of its own that is not root, who may write anywhere.
TEST_F(OutputFault, AFolderOfSomeoneElseCannotBeWrittenTo) {
  chmod(folder_.c_str(), 0555);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (getuid() == 0 && setuid(kNobody) != 0) _exit(2);
    const bool is_right = output_fault(folder_) == "[training.output] '" + folder_.string() +
                                                       "' cannot be written to: Permission denied. "
                                                       "Choose another folder." &&
                          output_fault(folder_ / "run") ==
                              "[training.output] '" + (folder_ / "run").string() +
                                  "' cannot be made: Permission denied. Choose another folder.";
    _exit(is_right ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  chmod(folder_.c_str(), 0755);
  EXPECT_EQ(status, 0);
}

}  // namespace run_folder_test
}  // namespace cpx::recipes
