// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/mapped_file.h"

#include <fstream>
#include <numeric>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/folders.h"

namespace cpx {
namespace mapped_file_test {

constexpr size_t kSize = size_t{1} << 20;

using MappedFileTest = testing_support::ScratchFolderTest;

// KiB of the mapped file that are in memory for this process.
int64_t resident_kib(const std::string& path) {
  std::ifstream maps("/proc/self/smaps");
  bool is_own = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(path)) is_own = true;
    if (is_own && line.starts_with("Rss:")) return std::stoll(line.substr(4));
  }
  return -1;
}

int64_t sum_of(const MappedFile& file) {
  const auto bytes = file.bytes();
  return std::accumulate(bytes.begin(), bytes.end(), int64_t{0}, [](int64_t sum, std::byte byte) {
    return sum + std::to_integer<int64_t>(byte);
  });
}

TEST_F(MappedFileTest, DroppedPagesTakeNoMemoryAndAreReadAnew) {
  const std::string path = write("a", std::string(kSize, 'a')).string();
  const auto file = MappedFile::open(path);
  const int64_t sum = sum_of(*file);
  EXPECT_EQ(sum, int64_t{'a'} * static_cast<int64_t>(kSize));
  EXPECT_EQ(resident_kib(path), 1024);
  const auto page = sysconf(_SC_PAGESIZE);
  file->drop_pages(file->bytes().subspan(100, 50));  // no whole page
  EXPECT_EQ(resident_kib(path), 1024);
  file->drop_pages(file->bytes().subspan(1, kSize - 2));  // all but the first and the last
  EXPECT_EQ(resident_kib(path), 2 * page / 1024);
  EXPECT_EQ(sum_of(*file), sum);
}

}  // namespace mapped_file_test
}  // namespace cpx
