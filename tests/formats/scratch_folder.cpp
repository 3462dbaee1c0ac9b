// SPDX-License-Identifier: Apache-2.0
#include "tests/formats/scratch_folder.h"

#include <unistd.h>

#include "cpx/core/output_file.h"

namespace cpx::formats {

namespace fs = std::filesystem;

void ScratchFolder::SetUp() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  std::string name = fmt::format("cpx_{}_{}_{}", info->test_suite_name(), info->name(), getpid());
  for (char& letter : name) letter = letter == '/' ? '_' : letter;
  folder_ = fs::path(testing::TempDir()) / name;
  fs::remove_all(folder_);
  fs::create_directories(folder_);
}

void ScratchFolder::TearDown() { fs::remove_all(folder_); }

fs::path ScratchFolder::write(const std::string& name, std::string_view content) const {
  OutputFile file(folder_ / name);
  file.write(content);
  file.sync_and_close();
  return folder_ / name;
}

fs::path fixture(const std::string& name) {
  return fs::path(CPX_SOURCE_DIR) / "tests" / "fixtures" / name;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const DataError& error) {
    return error.what();
  }
  return "(no DataError)";
}

std::string bytes_of(const fs::path& path) { return read_text_file(path); }

}  // namespace cpx::formats
