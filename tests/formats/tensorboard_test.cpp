// SPDX-License-Identifier: Apache-2.0
// Files are read back by a small reader of their own here; TensorBoard's reader is asked by
// scripts/fixtures/check_tensorboard.py.
#include "cpx/formats/tensorboard.h"

#include <cmath>
#include <cstring>
#include <gmock/gmock.h>
#include <map>

#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "src/formats/tfrecord.h"
#include "tests/formats/raw.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx::formats {
namespace tensorboard_test {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

// Bit by bit, as the definition says.
uint32_t slow_crc32c(std::string_view bytes) {
  uint32_t remainder = 0xffffffff;
  for (const char byte : bytes) {
    remainder ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder & 1) != 0 ? remainder >> 1 ^ 0x82f63b78 : remainder >> 1;
    }
  }
  return ~remainder;
}

template <class T>
T number_at(std::string_view bytes, size_t position) {
  T value;
  std::memcpy(&value, bytes.substr(position, sizeof(T)).data(), sizeof(T));
  return value;
}

// What masking did, undone.
uint32_t unmasked(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8;
  return rotated >> 17 | rotated << 15;
}

std::vector<std::string> records_of(const std::string& file) {
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    const auto length = number_at<uint64_t>(file, at);
    EXPECT_EQ(unmasked(number_at<uint32_t>(file, at + 8)), slow_crc32c(file.substr(at, 8)));
    records.push_back(file.substr(at + 12, length));
    EXPECT_EQ(unmasked(number_at<uint32_t>(file, at + 12 + length)), slow_crc32c(records.back()));
    at += 12 + length + 4;
  }
  return records;
}

// The fields of a protobuf message by number; a field that is there twice keeps its last value.
std::map<uint64_t, std::string> fields_of(std::string_view message) {
  std::map<uint64_t, std::string> fields;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(message.at(at++));
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.size()) {
    const uint64_t key = varint();
    const uint64_t wire_type = key & 7;
    if (wire_type == 0) {
      fields[key >> 3] = raw(varint());
      continue;
    }
    const uint64_t size = wire_type == 1 ? 8 : wire_type == 5 ? 4 : varint();
    fields[key >> 3] = std::string(message.substr(at, size));
    at += size;
  }
  return fields;
}

struct Point {
  std::string tag;
  float value;
  int64_t step;
};

Point point_of(const std::string& event) {
  auto fields = fields_of(event);
  auto value = fields_of(fields_of(fields.at(5)).at(1));
  const int64_t step = fields.contains(2) ? number_at<int64_t>(fields.at(2), 0) : 0;
  return {value.at(1), number_at<float>(value.at(2), 0), step};
}

class TensorBoard : public ScratchFolderTest {
 protected:
  // Files in the order in which TensorBoard reads them.
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_ / "tb")) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
  }
};

TEST(Crc32c, EqualsKnownVectors) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST_F(TensorBoard, FileBeginsWithItsVersionAndHoldsThePoints) {
  const auto before = std::chrono::system_clock::now().time_since_epoch();
  {
    TensorBoardWriter writer(folder_ / "tb");
    writer.add_scalar("train/loss", 1.5, 0);
    writer.add_scalar("train/loss", -2.25, 300);
    writer.add_scalar("ppl", std::nan(""), int64_t{1} << 40);
  }
  ASSERT_EQ(files().size(), 1u);
  EXPECT_THAT(files()[0].filename().string(), StartsWith("events.out.tfevents."));
  const auto records = records_of(read_text_file(files()[0]));
  ASSERT_EQ(records.size(), 4u);
  const auto first = fields_of(records[0]);
  EXPECT_EQ(first.at(3), "brain.Event:2");
  const double wall_time = number_at<double>(first.at(1), 0);
  EXPECT_NEAR(wall_time, std::chrono::duration<double>(before).count(), 60.0);

  const Point zero = point_of(records[1]);
  EXPECT_EQ(zero.tag, "train/loss");
  EXPECT_EQ(zero.value, 1.5f);
  EXPECT_EQ(zero.step, 0);
  EXPECT_EQ(point_of(records[2]).value, -2.25f);
  EXPECT_EQ(point_of(records[2]).step, 300);
  EXPECT_TRUE(std::isnan(point_of(records[3]).value));
  EXPECT_EQ(point_of(records[3]).step, int64_t{1} << 40);
}

TEST_F(TensorBoard, FlushedPointsAreInTheFileWhileItIsOpen) {
  TensorBoardWriter writer(folder_ / "tb");
  writer.add_scalar("a", 1.0, 1);
  writer.flush();
  EXPECT_EQ(records_of(read_text_file(files()[0])).size(), 2u);
}

TEST_F(TensorBoard, ResumedRunStartsASessionAtItsFirstStepInALaterFile) {
  { TensorBoardWriter writer(folder_ / "tb"); }
  { TensorBoardWriter writer(folder_ / "tb", /*first_step=*/51); }
  { TensorBoardWriter writer(folder_ / "tb", /*first_step=*/101); }
  ASSERT_EQ(files().size(), 3u);
  EXPECT_EQ(records_of(read_text_file(files()[0])).size(), 1u);
  const int64_t steps[] = {0, 51, 101};
  for (const size_t i : {1, 2}) {
    const auto records = records_of(read_text_file(files()[i]));
    ASSERT_EQ(records.size(), 2u);
    const auto event = fields_of(records[1]);
    EXPECT_EQ(number_at<int64_t>(event.at(2), 0), steps[i]);
    EXPECT_EQ(number_at<int64_t>(fields_of(event.at(7)).at(1), 0), 1);  // SessionLog.START
  }
}

TEST_F(TensorBoard, FolderThatCannotBeMadeIsNamed) {
  write("file", "x");
  EXPECT_THAT(message_of<DataError>([&] { TensorBoardWriter writer(folder_ / "file" / "tb"); }),
              HasSubstr("/file/tb: cannot be made: Not a directory."));
}

}  // namespace tensorboard_test
}  // namespace cpx::formats
