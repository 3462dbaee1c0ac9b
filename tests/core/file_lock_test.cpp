// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/file_lock.h"

#include <filesystem>
#include <optional>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"

namespace cpx {
namespace file_lock_test {

namespace fs = std::filesystem;

class FileLockTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / fmt::format("cpx_{}_{}", info->name(), getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  FileLock lock() const { return FileLock(folder_ / ".lock", "training.output", "runs/x"); }

  std::string message() const {
    try {
      lock();
    } catch (const DataError& error) {
      return error.what();
    }
    return "(locked)";
  }

  fs::path folder_;
};

TEST_F(FileLockTest, TheHolderIsNamed) {
  const FileLock held = lock();
  EXPECT_EQ(message(), fmt::format("[training.output] 'runs/x' is in use: process {} writes it. "
                                   "Wait for that one, or choose another output.",
                                   getpid()));
}

TEST_F(FileLockTest, AHolderOnAnotherMachineIsNamedWithIt) {
  const FileLock held = lock();
  OutputFile(folder_ / ".lock").write("77 elsewhere\n");
  EXPECT_EQ(message(),
            "[training.output] 'runs/x' is in use: process 77 on elsewhere writes it. "
            "Wait for that one, or choose another output.");
}

TEST_F(FileLockTest, AnEndedHolderLeavesNothing) {
  { const FileLock held = lock(); }
  EXPECT_TRUE(fs::is_empty(folder_));
  EXPECT_EQ(message(), "(locked)");
}

TEST_F(FileLockTest, TheFileOfAKilledHolderIsTakenOver) {
  OutputFile(folder_ / ".lock").write("1 elsewhere\n");
  EXPECT_EQ(message(), "(locked)");
}

TEST_F(FileLockTest, AFolderThatIsNotThereIsTold) {
  try {
    FileLock(folder_ / "no/.lock", "--output", "no/x.json");
    FAIL() << "nothing was thrown";
  } catch (const DataError& error) {
    EXPECT_EQ(std::string(error.what()),
              "[--output] 'no/x.json' cannot be written: No such file or directory. Choose another "
              "output.");
  }
}

}  // namespace file_lock_test
}  // namespace cpx
