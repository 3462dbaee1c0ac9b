// SPDX-License-Identifier: Apache-2.0
#include "tfrecord.h"

#include <array>

namespace cpx::formats {

namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli's, bits reversed
constexpr uint32_t kMaskDelta = 0xa282ead8;   // TensorFlow, tsl/lib/hash/crc32c.h

// What each value of the lowest byte adds to the remainder.
constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < table.size(); ++byte) {
    uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? kPolynomial : 0);
    }
    table[byte] = remainder;
  }
  return table;
}

// A checksum that is stored beside what it checks is masked, so that checksums of files with
// checksums in them stay useful.
uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + kMaskDelta;
}

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = make_table();
  uint32_t remainder = ~uint32_t{0};
  for (const char byte : bytes) {
    remainder = (remainder >> 8) ^ kTable[(remainder ^ static_cast<uint8_t>(byte)) & 0xff];
  }
  return ~remainder;
}

std::string frame_record(std::string_view record) {
  const std::string length = little_endian(uint64_t{record.size()});
  return length + little_endian(masked_crc(length)) + std::string(record) +
         little_endian(masked_crc(record));
}

}  // namespace cpx::formats
