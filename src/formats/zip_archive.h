// SPDX-License-Identifier: Apache-2.0
// Zip archives read in place: the entries that are stored as they are. Format: PKWARE's
// APPNOTE.TXT, with its 64-bit extension.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace cpx::formats {

class ZipArchive {
 public:
  /// Reads and checks the directory of `bytes`, which must outlive this. `place` opens every
  /// message:
  /// "[where] file". Throws DataError.
  ZipArchive(std::string place, std::span<const std::byte> bytes);

  /// The name of the first entry that ends in `ending`, or an empty text.
  std::string find_ending(const std::string& ending) const;
  bool contains(const std::string& name) const { return entries_.contains(name); }

  /// The bytes of an entry, part of the archive's. Throws DataError where there is no such entry,
  /// or it is compressed or encrypted, or lies outside the archive.
  std::span<const std::byte> bytes(const std::string& name) const;

 private:
  struct Entry {
    uint16_t flags = 0;
    uint16_t method = 0;
    uint64_t stored_size = 0;
    uint64_t size = 0;
    uint64_t header = 0;  // where its own header begins
  };
  struct Directory {
    uint64_t begin = 0;
    uint64_t size = 0;
    uint64_t num_entries = 0;
  };

  Directory find_directory() const;
  Directory read_directory64(uint64_t locator) const;
  void read_entries(const Directory& directory);
  std::span<const std::byte> part(uint64_t begin, uint64_t size, const char* what) const;

  std::string place_;
  std::span<const std::byte> bytes_;
  std::map<std::string, Entry> entries_;
};

}  // namespace cpx::formats
