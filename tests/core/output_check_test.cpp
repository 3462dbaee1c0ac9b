// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/output_check.h"

#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx {
namespace output_check_test {

namespace fs = std::filesystem;
using testing_support::faults_of;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

class OutputCheckTest : public ScratchFolderTest {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // The message for an output of that name, "" where it can be written.
  std::string fault(const std::string& name) const {
    return output_file_fault("--output", path(name)).value_or("");
  }

  std::string cannot(const std::string& name, const std::string& reason) const {
    return fmt::format("[--output] '{}' cannot be written: {}. Choose another place.", path(name),
                       reason);
  }
};

// Runs `check` in a process of its own that is not root, who may write anywhere.
bool holds_for_others(const std::function<bool()>& check) {
  const pid_t child = fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (getuid() == 0 && setuid(kNobody) != 0) _exit(2);
    _exit(check() ? 0 : 1);
  }
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

TEST_F(OutputCheckTest, WhatCanBeWrittenHasNoFaultAndIsNotMade) {
  write_file_atomically(folder_ / "old", "text");
  fs::create_symlink("later", folder_ / "link");
  for (const char* name : {"new", "old", "link"}) EXPECT_EQ(fault(name), "") << name;
  EXPECT_EQ(output_file_fault("--output", "-"), std::nullopt);
  EXPECT_EQ(output_file_fault("--output", "/dev/null"), std::nullopt);
  EXPECT_EQ(output_file_fault("--output", "/dev/stdout"), std::nullopt);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);
  EXPECT_EQ(read_text_file(folder_ / "old"), "text");
}

TEST_F(OutputCheckTest, AMissingFolderIsTold) {
  EXPECT_EQ(fault("no/out.json"),
            fmt::format("[--output] '{0}/no/out.json' cannot be written: there is no folder "
                        "'{0}/no'. Make it first.",
                        folder_.string()));
  fs::create_symlink("gone/out.json", folder_ / "link");
  EXPECT_EQ(fault("link"), fmt::format("[--output] '{0}/link' cannot be written: there is no "
                                       "folder '{0}/gone'. Make it first.",
                                       folder_.string()));
  write_file_atomically(folder_ / "file", "");
  EXPECT_EQ(fault("file/out.json"),
            fmt::format("[--output] '{0}/file/out.json' cannot be written: there is no folder "
                        "'{0}/file'. Make it first.",
                        folder_.string()));
}

TEST_F(OutputCheckTest, AFolderInTheFilesPlaceIsTold) {
  fs::create_directory(folder_ / "runs");
  fs::create_directory_symlink("runs", folder_ / "link");
  for (const char* name : {"runs", "runs/", "link", "new/"}) {
    EXPECT_EQ(fault(name), cannot(name, "it is a folder, expected a file"));
  }
}

TEST_F(OutputCheckTest, WhoMayNotWriteIsTold) {
  fs::create_directory(folder_ / "closed");
  write_file_atomically(folder_ / "closed/old", "text");
  chmod(path("closed").c_str(), 0555);
  write_file_atomically(folder_ / "kept", "text");
  chmod(path("kept").c_str(), 0444);
  chmod(folder_.c_str(), 0777);
  EXPECT_TRUE(holds_for_others([&] {
    return fault("closed/new") == cannot("closed/new", "Permission denied") &&
           fault("closed/old") == cannot("closed/old", "Permission denied") &&
           fault("kept") == cannot("kept", "Permission denied") && fault("new").empty();
  }));
  chmod(path("closed").c_str(), 0755);
}

TEST_F(OutputCheckTest, NamesThatNoFileCanHaveAreTold) {
  const std::string endless(300, 'x');
  EXPECT_EQ(fault(endless), cannot(endless, "File name too long"));
  const std::string no_room_for_a_copy(253, 'x');
  EXPECT_EQ(fault(no_room_for_a_copy), cannot(no_room_for_a_copy, "File name too long"));
  fs::create_symlink("loop", folder_ / "loop");
  EXPECT_EQ(fault("loop"), cannot("loop", "Too many levels of symbolic links"));
  EXPECT_EQ(output_file_fault("--report", ""),
            "[--report] got an empty name, expected that of a file.");
}

TEST_F(OutputCheckTest, ADescriptorThatIsNotForWritingIsTold) {
  const int fd = open("/dev/null", O_RDONLY);
  const std::string name = fmt::format("/dev/fd/{}", fd);
  EXPECT_EQ(output_file_fault("--output", name),
            fmt::format("[--output] '{}' cannot be written: Bad file descriptor. Choose another "
                        "place.",
                        name));
  close(fd);
}

// ---- several ------------------------------------------------------------------------------------

std::vector<std::string> clashes(const OutputCheck& outputs) {
  return faults_of([&] { outputs.check(); });
}

TEST_F(OutputCheckTest, AnInputIsNotWrittenOver) {
  write_file_atomically(folder_ / "texts.txt", "text");
  fs::create_symlink("texts.txt", folder_ / "link");
  fs::create_hard_link(folder_ / "texts.txt", folder_ / "hard");
  for (const std::string name : {"texts.txt", "link", "hard", "./texts.txt"}) {
    OutputCheck outputs;
    outputs.reads("--input", path("texts.txt"));
    outputs.writes("--output", path(name));
    EXPECT_EQ(clashes(outputs), std::vector<std::string>{fmt::format(
                                    "[--output] '{}' is also --input, which is read, expected "
                                    "another file.",
                                    path(name))});
  }
  EXPECT_EQ(read_text_file(folder_ / "texts.txt"), "text");
}

TEST_F(OutputCheckTest, AModelsFilesAreNotWrittenOver) {
  fs::create_directory(folder_ / "model");
  for (const std::string name :
       {"config.json", "model.safetensors", "tokenizer.model", "model.safetensors.index.json"}) {
    write_file_atomically(folder_ / "model" / name, "{}");
    OutputCheck outputs;
    outputs.reads("--model", path("model"));
    outputs.writes("--report", path("model/" + name));
    EXPECT_EQ(clashes(outputs), std::vector<std::string>{fmt::format(
                                    "[--report] '{}/{}' is a file of --model, which is read, "
                                    "expected another file.",
                                    path("model"), name)});
  }
  write_file_atomically(folder_ / "model/report.json", "old");  // what a user keeps beside it
  OutputCheck outputs;
  outputs.reads("--model", path("model"));
  outputs.writes("--report", path("model/report.json"));
  EXPECT_EQ(clashes(outputs), std::vector<std::string>());
}

TEST_F(OutputCheckTest, TwoOutputsAreTwoPlaces) {
  fs::create_directory(folder_ / "sub");
  const auto of = [&](const std::string& one, const std::string& other) {
    OutputCheck outputs;
    outputs.writes("--output", one);
    outputs.writes("--report", other);
    return clashes(outputs);
  };
  EXPECT_EQ(of(path("a"), path("b")), std::vector<std::string>());
  EXPECT_EQ(of(path("a"), path("sub/../a")),
            std::vector<std::string>{fmt::format(
                "[--report] '{}' is also --output, expected another file.", path("sub/../a"))});
  EXPECT_EQ(of("-", "/dev/stdout"),
            std::vector<std::string>{"[--report] standard output is also --output, expected one of "
                                     "them to be a file."});
  EXPECT_EQ(of("/dev/null", "/dev/null"), std::vector<std::string>());
}

TEST_F(OutputCheckTest, TheFirstOutputThatCannotBeWrittenIsTold) {
  OutputCheck outputs;
  outputs.writes("--output", path("a"));
  outputs.writes("--report", path("no/b"));
  EXPECT_EQ(message_of<DataError>([&] { outputs.check(); }),
            fmt::format("[--report] '{0}/no/b' cannot be written: there is no folder '{0}/no'. "
                        "Make it first.",
                        folder_.string()));
}

}  // namespace output_check_test
}  // namespace cpx
