// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/core/mapped_file.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx {
namespace output_file_test {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::FileSizeLimit;
using testing_support::message_of;

using OutputFileTest = testing_support::ScratchFolderTest;

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
    message = message_of<DataError>(
        [&] { write_file_atomically(folder_ / "a.txt", std::string(100, 'x')); });
  }
  EXPECT_THAT(message, HasSubstr("a.txt: cannot be written: File too large"));
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
  EXPECT_THAT(message_of<DataError>([&] { write_file_atomically(folder_ / "taken", "text"); }),
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

// ---- links, modes, streams ----------------------------------------------------------------------

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

TEST_F(OutputFileTest, ALinkStaysALinkAndItsFileIsWritten) {
  fs::create_directory(folder_ / "real");
  write_file_atomically(folder_ / "real/a.txt", "old");
  fs::create_symlink("real/a.txt", folder_ / "one");
  fs::create_symlink(folder_ / "one", folder_ / "two");
  write_file_atomically(folder_ / "two", "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "two"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "one"));
  EXPECT_EQ(read_text_file(folder_ / "real/a.txt"), "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "real"), {}), 1);
}

TEST_F(OutputFileTest, ALinkThatLeadsNowhereMakesItsFile) {
  fs::create_symlink("later.txt", folder_ / "link");
  write_file_atomically(folder_ / "link", "text");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(read_text_file(folder_ / "later.txt"), "text");
}

TEST_F(OutputFileTest, LinksInACircleAreAnError) {
  fs::create_symlink("b", folder_ / "a");
  fs::create_symlink("a", folder_ / "b");
  EXPECT_THAT(message_of<DataError>([&] { write_file_atomically(folder_ / "a", "text"); }),
              HasSubstr("a: cannot be written: Too many levels of symbolic links"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "a"));
}

TEST_F(OutputFileTest, TheModeOfAFileThatIsReplacedIsKept) {
  for (const mode_t mode : {0600, 0664, 0755}) {
    write_file_atomically(folder_ / "a.txt", "old");
    chmod((folder_ / "a.txt").c_str(), mode);
    write_file_atomically(folder_ / "a.txt", "new");
    EXPECT_EQ(mode_of(folder_ / "a.txt"), mode);
    EXPECT_EQ(read_text_file(folder_ / "a.txt"), "new");
  }
}

TEST_F(OutputFileTest, ANewFileHasTheModeThatTheUserWants) {
  const mode_t before = umask(0027);
  write_file_atomically(folder_ / "a.txt", "text");
  umask(before);
  EXPECT_EQ(mode_of(folder_ / "a.txt"), 0640U);
}

TEST_F(OutputFileTest, AFolderKeepsWhatOthersPutThere) {
  for (const char* content : {"first", "second"}) {
    AtomicFolder folder(folder_ / "best");
    write_file_atomically(folder.staging() / "x", content);
    folder.commit();
    if (content == std::string("first")) write_file_atomically(folder_ / "best/report", "mine");
  }
  EXPECT_EQ(read_text_file(folder_ / "best/x"), "second");
  EXPECT_EQ(read_text_file(folder_ / "best/report"), "mine");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(OutputFileTest, AFifoIsWrittenInto) {
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const int reader = open(fifo.c_str(), O_RDONLY | O_NONBLOCK);
  write_file_atomically(fifo, "through");
  std::string text(20, '\0');
  text.resize(static_cast<size_t>(read(reader, text.data(), text.size())));
  close(reader);
  EXPECT_EQ(text, "through");
  EXPECT_TRUE(fs::is_fifo(fifo));
}

TEST_F(OutputFileTest, ADeviceIsWrittenIntoAndStays) {
  write_file_atomically("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  fs::create_symlink("/dev/full", folder_ / "full");
  EXPECT_THAT(message_of<DataError>([&] { write_file_atomically(folder_ / "full", "text"); }),
              HasSubstr("/dev/full: cannot be written: No space left on device. What was written "
                        "there is incomplete."));
  EXPECT_TRUE(fs::is_symlink(folder_ / "full"));
}

TEST_F(OutputFileTest, AnOwnDescriptorIsWrittenWhereItStands) {
  const fs::path file = folder_ / "a.txt";
  const int fd = open(file.c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(::write(fd, "begun ", 6), 6);
  write_file_atomically(fmt::format("/dev/fd/{}", fd), "and ended");
  close(fd);
  EXPECT_EQ(read_text_file(file), "begun and ended");
}

TEST_F(OutputFileTest, TwoWritersOfAFileAreAnError) {
  AtomicFile first(folder_ / "a.txt");
  EXPECT_EQ(message_of<DataError>([&] { AtomicFile second(folder_ / "a.txt"); }),
            "[write] " + (folder_ / "a.txt").string() +
                ": another process is writing it. Choose another output.");
  first.write("text");
  first.commit();
  EXPECT_EQ(read_text_file(folder_ / "a.txt"), "text");
}

TEST_F(OutputFileTest, WhatCannotBePutInPlaceStaysAside) {
  AtomicFile file(folder_ / "a.txt");
  file.write("computed for hours");
  fs::create_directory(folder_ / "a.txt");
  EXPECT_EQ(message_of<DataError>([&] { file.commit(); }),
            fmt::format("[write] {0}/a.txt: cannot be replaced: Is a directory. What was to be "
                        "written stands in {0}/.a.txt.tmp.",
                        folder_.string()));
  EXPECT_EQ(read_text_file(folder_ / ".a.txt.tmp"), "computed for hours");
}

TEST_F(OutputFileTest, UnwritableFolderIsNamed) {
  EXPECT_THAT(message_of<DataError>([&] { OutputFile file(folder_ / "none" / "a"); }),
              HasSubstr("none/a: cannot be written: No such file or directory"));
}

TEST_F(OutputFileTest, ReadingNamesWhatIsMissingOrAFolder) {
  EXPECT_THAT(message_of<DataError>([&] { read_text_file(folder_ / "none"); }),
              HasSubstr("none: cannot be read: No such file or directory."));
  EXPECT_THAT(message_of<DataError>([&] { read_text_file(folder_); }), HasSubstr("is a folder"));
}

TEST_F(OutputFileTest, MappedFileHoldsTheBytesAndNamesWhatIsMissing) {
  write_file_atomically(folder_ / "a", "bytes");
  const auto file = MappedFile::open(folder_ / "a");
  EXPECT_EQ(file->bytes().size(), 5u);
  EXPECT_EQ(static_cast<char>(file->bytes()[0]), 'b');
  write_file_atomically(folder_ / "empty", "");
  EXPECT_TRUE(MappedFile::open(folder_ / "empty")->bytes().empty());
  EXPECT_THAT(message_of<DataError>([&] { MappedFile::open(folder_ / "none"); }),
              HasSubstr("none: cannot be opened: No such file or directory."));
  EXPECT_THAT(message_of<DataError>([&] { MappedFile::open(folder_); }),
              HasSubstr("is not a regular file."));
}

}  // namespace output_file_test
}  // namespace cpx
