// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/file_lock.h"

#include <filesystem>
#include <optional>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx {
namespace file_lock_test {

namespace fs = std::filesystem;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

class FileLockTest : public ScratchFolderTest {
 protected:
  FileLock lock() const { return FileLock(folder_ / ".lock", "training.output", "runs/x"); }

  std::string message() const {
    return message_of<DataError>([&] { lock(); });
  }
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
  EXPECT_NO_THROW(lock());
}

TEST_F(FileLockTest, TheFileOfAKilledHolderIsTakenOver) {
  OutputFile(folder_ / ".lock").write("1 elsewhere\n");
  EXPECT_NO_THROW(lock());
}

TEST_F(FileLockTest, AFolderThatIsNotThereIsTold) {
  EXPECT_EQ(message_of<DataError>([&] { FileLock(folder_ / "no/.lock", "--output", "no/x.json"); }),
            "[--output] 'no/x.json' cannot be written: No such file or directory. Choose another "
            "output.");
}

}  // namespace file_lock_test
}  // namespace cpx
