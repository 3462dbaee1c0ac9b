// SPDX-License-Identifier: Apache-2.0
// Folders and files of tests: one to write into, the fixtures, and a disk that is full.
#pragma once

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::testing_support {

/// The running test as `Suite_Test`.
inline std::string name_of_the_test() {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  return fmt::format("{}_{}", test->test_suite_name(), test->name());
}

/// A folder of its own for as long as the object lives, empty at first.
class ScratchFolder {
 public:
  /// `name` becomes a part of the folder's name; slashes become underscores.
  explicit ScratchFolder(std::string name = name_of_the_test()) {
    static std::atomic<int> count{0};
    for (char& letter : name) letter = letter == '/' ? '_' : letter;
    path_ = std::filesystem::path(testing::TempDir()) /
            fmt::format("cpx_{}_{}_{}", name, getpid(), count++);
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  /// The folder.
  const std::filesystem::path& path() const { return path_; }

  /// Writes `content` to the file `name`, which may lie in folders of this one, and returns its
  /// path.
  std::filesystem::path write(const std::string& name, std::string_view content) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

  /// Returns `text` with the names of files as they are within the folder, so that messages can
  /// be compared whole.
  std::string without_folder(std::string text) const {
    const std::string prefix = path_.string() + "/";
    for (size_t at = text.find(prefix); at != text.npos; at = text.find(prefix)) {
      text.erase(at, prefix.size());
    }
    return text;
  }

 private:
  std::filesystem::path path_;
};

/// A test with a ScratchFolder.
class ScratchFolderTest : public testing::Test {
 protected:
  /// See ScratchFolder.
  std::filesystem::path write(const std::string& name, std::string_view content) const {
    return scratch_.write(name, content);
  }

  /// See ScratchFolder.
  std::string without_folder(std::string text) const {
    return scratch_.without_folder(std::move(text));
  }
  /// The same of each line.
  Faults without_folder(const Faults& faults) const {
    Faults result;
    for (const Fault& fault : faults) result.add_line(without_folder(fault.text()));
    return result;
  }

  /// message_of() the DataError that `call` throws, without the folder.
  template <class Call>
  std::string data_error_of(Call&& call) const {
    return without_folder(message_of<DataError>(std::forward<Call>(call)));
  }

 private:
  const ScratchFolder scratch_;

 protected:
  const std::filesystem::path folder_ = scratch_.path();
};

/// The path of tests/fixtures/`name`.
inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(CPX_SOURCE_DIR) / "tests" / "fixtures" / name;
}

/// While it lives, no file can grow beyond `bytes`: the kernel then refuses as a full disk does.
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
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

}  // namespace cpx::testing_support
