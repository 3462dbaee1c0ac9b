// SPDX-License-Identifier: Apache-2.0
// Standard output is exchanged for the time of a test.
#include "cpx/core/standard_output.h"

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "tests/support/folders.h"

namespace cpx {
namespace standard_output_test {

// Puts `fd` in the place of standard output and closes it.
class Exchanged {
 public:
  explicit Exchanged(int fd) : before_(dup(STDOUT_FILENO)) {
    dup2(fd, STDOUT_FILENO);
    close(fd);
  }
  ~Exchanged() {
    dup2(before_, STDOUT_FILENO);
    close(before_);
  }

 private:
  int before_;
};

std::string outcome_of_writing(int fd, const std::string& text) {
  std::cout.flush();
  const Exchanged exchanged(fd);
  try {
    CheckedStandardOutput output;
    std::cout << text;
    output.finish();
  } catch (const DataError& error) {
    std::cout.clear();
    return error.what();
  } catch (const ClosedPipe&) {
    std::cout.clear();
    return "(closed pipe)";
  }
  return "";
}

TEST(CheckedStandardOutput, WritesWhatIsHandedOver) {
  const testing_support::ScratchFolder folder;
  const auto file = folder.path() / "output";
  const std::string text = std::string(200'000, 'x') + "\nend";
  const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  EXPECT_EQ(outcome_of_writing(fd, text), "");
  EXPECT_EQ(read_text_file(file), text);
}

TEST(CheckedStandardOutput, AFullDiskIsAnError) {
  for (const size_t size : {1, 100, 200'000}) {
    EXPECT_EQ(outcome_of_writing(open("/dev/full", O_WRONLY), std::string(size, 'x')),
              "[standard output] cannot be written: No space left on device. What was written "
              "there is incomplete.");
  }
}

TEST(CheckedStandardOutput, OneThatIsNotForWritingIsAnError) {
  EXPECT_EQ(outcome_of_writing(open("/dev/null", O_RDONLY), "x"),
            "[standard output] cannot be written: Bad file descriptor. What was written there is "
            "incomplete.");
  EXPECT_EQ(outcome_of_writing(open("/dev/null", O_RDONLY), ""), "");
}

TEST(CheckedStandardOutput, APipeThatNobodyReadsIsNoError) {
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_EQ(outcome_of_writing(ends[1], "x"), "(closed pipe)");
  std::signal(SIGPIPE, SIG_DFL);
}

}  // namespace standard_output_test
}  // namespace cpx
