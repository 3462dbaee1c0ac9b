// SPDX-License-Identifier: Apache-2.0
// Writes zip archives for tests, wrong ones too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/formats/raw.h"

namespace cpx::formats {

struct ZipEntry {
  std::string name;
  std::string content;
  uint16_t method = 0;
  uint16_t flags = 0;
};

/// Puts entries together without any check; what is wrong is said by the fields.
struct ZipBuilder {
  std::vector<ZipEntry> entries{};
  bool has_64_bits = false;  // sizes and places stand in the 64-bit records
  std::string comment{};
  uint64_t moved_by = 0;   // added to where the directory says that entries begin
  uint64_t longer_by = 0;  // added to the sizes that it says
  uint64_t more_entries = 0;

  std::string build() const {
    std::string bytes;
    std::string directory;
    for (const auto& entry : entries) {
      const uint64_t place = bytes.size() + moved_by;
      const uint64_t size = entry.content.size() + longer_by;
      bytes += raw(uint32_t{0x04034b50}) + raw(uint16_t{20}) + raw(entry.flags) +
               raw(entry.method) + std::string(16, '\0') + length_of(entry.name) +
               raw(uint16_t{3}) + entry.name + "pad" + entry.content;
      directory += directory_entry(entry, place, size);
    }
    const uint64_t begin = bytes.size();
    return bytes + directory + end_records(begin, directory.size());
  }

 private:
  static std::string length_of(const std::string& text) {
    return raw(static_cast<uint16_t>(text.size()));
  }

  std::string in_32_bits(uint64_t number) const {
    return raw(has_64_bits ? uint32_t{0xFFFFFFFF} : static_cast<uint32_t>(number));
  }

  std::string directory_entry(const ZipEntry& entry, uint64_t place, uint64_t size) const {
    std::string extra = raw(uint16_t{0x7777}) + raw(uint16_t{2}) + "??";
    if (has_64_bits) {
      extra += raw(uint16_t{1}) + raw(uint16_t{24}) + raw(size) + raw(size) + raw(place);
    }
    return raw(uint32_t{0x02014b50}) + std::string(4, '\0') + raw(entry.flags) + raw(entry.method) +
           std::string(8, '\0') + in_32_bits(size) + in_32_bits(size) + length_of(entry.name) +
           length_of(extra) + raw(uint16_t{0}) + std::string(8, '\0') + in_32_bits(place) +
           entry.name + extra;
  }

  std::string end_records(uint64_t begin, uint64_t size) const {
    const uint64_t count = entries.size() + more_entries;
    std::string bytes;
    if (has_64_bits) {
      const uint64_t place = begin + size;
      bytes += raw(uint32_t{0x06064b50}) + raw(uint64_t{44}) + raw(uint32_t{0x2d002d}) +
               raw(uint64_t{0}) + raw(count) + raw(count) + raw(size) + raw(begin);
      bytes += raw(uint32_t{0x07064b50}) + raw(uint32_t{0}) + raw(place) + raw(uint32_t{1});
    }
    const auto count16 = raw(static_cast<uint16_t>(has_64_bits ? 0xFFFF : count));
    return bytes + raw(uint32_t{0x06054b50}) + raw(uint32_t{0}) + count16 + count16 +
           in_32_bits(size) + in_32_bits(begin) + length_of(comment) + comment;
  }
};

}  // namespace cpx::formats
