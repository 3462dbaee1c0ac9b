// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/output_file.h"

#include <csignal>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/core/mapped_file.h"

namespace cpx {
namespace output_file_test {

namespace fs = std::filesystem;
using testing::HasSubstr;

class OutputFileTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / fmt::format("cpx_{}_{}", info->name(), getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
};

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const DataError& error) {
    return error.what();
  }
  return "(no DataError)";
}

// Limits the size of files for the life of the object: the kernel then refuses as a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(OutputFileTest, AtomicWriteReplacesTheContent) {
  write_file_atomically(folder_ / "a.txt", "one");
  write_file_atomically(folder_ / "a.txt", "two");
  EXPECT_EQ(read_text_file(folder_ / "a.txt"), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(OutputFileTest, FullDiskKeepsTheOldFileAndNamesThePath) {
  write_file_atomically(folder_ / "a.txt", "old");
  std::string message;
  {
    const FileSizeLimit limit(10);
    message = message_of([&] { write_file_atomically(folder_ / "a.txt", std::string(100, 'x')); });
  }
  EXPECT_THAT(message, HasSubstr("a.txt.tmp: cannot be written: File too large"));
  EXPECT_THAT(message, HasSubstr("What was there before is untouched"));
  EXPECT_EQ(read_text_file(folder_ / "a.txt"), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(OutputFileTest, AFileInPiecesAppearsAtItsCommit) {
  AtomicFile file(folder_ / "a.txt");
  file.write("one, ");
  file.write(std::string(3 << 20, 'x'));  // more than what is buffered
  EXPECT_FALSE(fs::exists(folder_ / "a.txt"));
  file.commit();
  EXPECT_EQ(read_text_file(folder_ / "a.txt"), "one, " + std::string(3 << 20, 'x'));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(OutputFileTest, AFileWithoutCommitLeavesTheOldOneAlone) {
  write_file_atomically(folder_ / "a.txt", "old");
  {
    AtomicFile file(folder_ / "a.txt");
    file.write("new");
  }
  EXPECT_EQ(read_text_file(folder_ / "a.txt"), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(OutputFileTest, AFileInAFoldersPlaceIsRefusedAndRemoved) {
  fs::create_directory(folder_ / "taken");
  EXPECT_THAT(message_of([&] { write_file_atomically(folder_ / "taken", "text"); }),
              HasSubstr("taken: cannot be written: Is a directory"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(OutputFileTest, AtomicFolderExchangesTheOldOne) {
  for (const char* content : {"first", "second"}) {
    AtomicFolder folder(folder_ / "best");
    write_file_atomically(folder.staging() / "x", content);
    folder.commit();
  }
  EXPECT_EQ(read_text_file(folder_ / "best" / "x"), "second");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(OutputFileTest, FolderWithoutCommitLeavesTheOldOne) {
  {
    AtomicFolder folder(folder_ / "best");
    write_file_atomically(folder.staging() / "x", "kept");
    folder.commit();
  }
  {
    AtomicFolder folder(folder_ / "best");
    write_file_atomically(folder.staging() / "x", "lost");
  }
  EXPECT_EQ(read_text_file(folder_ / "best" / "x"), "kept");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(OutputFileTest, UnwritableFolderIsNamed) {
  EXPECT_THAT(message_of([&] { OutputFile file(folder_ / "none" / "a"); }),
              HasSubstr("none/a: cannot be written: No such file or directory"));
}

TEST_F(OutputFileTest, ReadingNamesWhatIsMissingOrAFolder) {
  EXPECT_THAT(message_of([&] { read_text_file(folder_ / "none"); }),
              HasSubstr("none: cannot be read: No such file or directory."));
  EXPECT_THAT(message_of([&] { read_text_file(folder_); }), HasSubstr("is a folder"));
}

TEST_F(OutputFileTest, MappedFileHoldsTheBytesAndNamesWhatIsMissing) {
  write_file_atomically(folder_ / "a", "bytes");
  const auto file = MappedFile::open(folder_ / "a");
  EXPECT_EQ(file->bytes().size(), 5u);
  EXPECT_EQ(static_cast<char>(file->bytes()[0]), 'b');
  write_file_atomically(folder_ / "empty", "");
  EXPECT_TRUE(MappedFile::open(folder_ / "empty")->bytes().empty());
  EXPECT_THAT(message_of([&] { MappedFile::open(folder_ / "none"); }),
              HasSubstr("none: cannot be opened: No such file or directory."));
  EXPECT_THAT(message_of([&] { MappedFile::open(folder_); }), HasSubstr("is not a regular file."));
}

}  // namespace output_file_test
}  // namespace cpx
