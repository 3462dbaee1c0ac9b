// SPDX-License-Identifier: Apache-2.0
#include "zip_archive.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "byte_reader.h"
#include "cpx/core/error.h"
#include "cpx/core/text.h"

namespace cpx::formats {

namespace {

constexpr uint32_t kEntryMark = 0x04034b50;
constexpr uint32_t kDirectoryMark = 0x02014b50;
constexpr uint32_t kEndMark = 0x06054b50;
constexpr uint32_t kEnd64Mark = 0x06064b50;
constexpr uint32_t kLocatorMark = 0x07064b50;
constexpr uint64_t kEndBytes = 22;
constexpr uint64_t kLocatorBytes = 20;
constexpr uint64_t kEnd64Bytes = 56;
constexpr uint64_t kDirectoryEntryBytes = 46;
constexpr uint64_t kEntryHeaderBytes = 30;
constexpr uint64_t kMaxCommentBytes = 65535;
constexpr uint16_t kExtra64 = 1;  // the id of the field with 64-bit sizes
constexpr uint16_t kEncrypted = 1;

// "Stands in the 64-bit field."
constexpr uint32_t kFull32 = 0xFFFFFFFF;
constexpr uint16_t kFull16 = 0xFFFF;

uint32_t number_at(std::span<const std::byte> bytes, uint64_t place) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + place, sizeof(value));
  return value;
}

// Where the end record begins: as far at the end as it can be, with its comment up to the end.
std::optional<uint64_t> find_end(std::span<const std::byte> bytes) {
  if (bytes.size() < kEndBytes) return std::nullopt;
  const uint64_t last = bytes.size() - kEndBytes;
  const uint64_t first = last > kMaxCommentBytes ? last - kMaxCommentBytes : 0;
  for (uint64_t place = last + 1; place-- > first;) {
    if (number_at(bytes, place) != kEndMark) continue;
    uint16_t comment = 0;
    std::memcpy(&comment, bytes.data() + place + 20, sizeof(comment));
    if (place + kEndBytes + comment == bytes.size()) return place;
  }
  return std::nullopt;
}

}  // namespace

ZipArchive::ZipArchive(std::string place, std::span<const std::byte> bytes)
    : place_(std::move(place)), bytes_(bytes) {
  read_entries(find_directory());
}

std::span<const std::byte> ZipArchive::part(uint64_t begin, uint64_t size, const char* what) const {
  if (begin > bytes_.size() || size > bytes_.size() - begin) {
    throw_<DataError>(
        "{}: {} takes {} bytes from byte {}, but the file has {}. It is cut short or damaged.",
        place_, what, size, begin, bytes_.size());
  }
  return bytes_.subspan(static_cast<size_t>(begin), static_cast<size_t>(size));
}

ZipArchive::Directory ZipArchive::find_directory() const {
  const auto end = find_end(bytes_);
  if (!end) {
    throw_<DataError>("{}: has no directory at its end, as zip archives have it. It is cut short.",
                      place_);
  }
  ByteReader reader(place_, part(*end, kEndBytes, "the end record"));
  for (const char* what : {"mark", "mark", "disk", "disk", "entries"}) reader.read<uint16_t>(what);
  Directory directory;
  directory.num_entries = reader.read<uint16_t>("the number of entries");
  directory.size = reader.read<uint32_t>("the directory's size");
  directory.begin = reader.read<uint32_t>("the directory's place");
  const bool is_64 =
      directory.num_entries == kFull16 || directory.size == kFull32 || directory.begin == kFull32;
  if (is_64 && *end >= kLocatorBytes && number_at(bytes_, *end - kLocatorBytes) == kLocatorMark) {
    return read_directory64(*end - kLocatorBytes);
  }
  return directory;
}

ZipArchive::Directory ZipArchive::read_directory64(uint64_t locator) const {
  uint64_t end = 0;
  std::memcpy(&end, bytes_.data() + locator + 8, sizeof(end));
  ByteReader reader(place_, part(end, kEnd64Bytes, "the 64-bit end record"));
  if (reader.read<uint32_t>("mark") != kEnd64Mark) {
    throw_<DataError>("{}: has no 64-bit end record at byte {}. It is damaged.", place_, end);
  }
  reader.read<uint64_t>("size");
  reader.read<uint32_t>("versions");
  reader.read<uint64_t>("disks");
  reader.read<uint64_t>("entries");
  Directory directory;
  directory.num_entries = reader.read<uint64_t>("the number of entries");
  directory.size = reader.read<uint64_t>("the directory's size");
  directory.begin = reader.read<uint64_t>("the directory's place");
  return directory;
}

namespace {

// The 64-bit numbers of an entry's extra fields, for those of its numbers that are full.
void read_extra64(ByteReader extra, std::span<uint64_t* const> numbers) {
  while (extra.num_left() >= 4) {
    const auto id = extra.read<uint16_t>("an extra field");
    auto left = extra.read<uint16_t>("an extra field");
    for (uint64_t* number : numbers) {
      if (id != kExtra64 || *number != kFull32 || left < 8) continue;
      *number = extra.read<uint64_t>("a 64-bit size");
      left = static_cast<uint16_t>(left - 8);
    }
    extra.skip(left, "an extra field");
  }
}

}  // namespace

void ZipArchive::read_entries(const Directory& directory) {
  if (directory.num_entries > directory.size / kDirectoryEntryBytes) {
    throw_<DataError>("{}: has {} entries by its end record, whose directory has only {} bytes.",
                      place_, directory.num_entries, directory.size);
  }
  ByteReader reader(place_, part(directory.begin, directory.size, "the directory"));
  for (uint64_t i = 0; i < directory.num_entries; ++i) {
    if (reader.read<uint32_t>("a directory entry") != kDirectoryMark) {
      throw_<DataError>("{}: entry {} of the directory has no mark. It is damaged.", place_, i);
    }
    reader.read<uint32_t>("versions");
    Entry entry;
    entry.flags = reader.read<uint16_t>("flags");
    entry.method = reader.read<uint16_t>("method");
    reader.read<uint64_t>("time and checksum");
    entry.stored_size = reader.read<uint32_t>("stored size");
    entry.size = reader.read<uint32_t>("size");
    const auto name_bytes = reader.read<uint16_t>("length");
    const auto extra_bytes = reader.read<uint16_t>("length");
    const auto comment_bytes = reader.read<uint16_t>("length");
    reader.read<uint64_t>("disk and attributes");
    entry.header = reader.read<uint32_t>("place");
    const auto name = reader.read_bytes(name_bytes, "an entry's name");
    uint64_t* const numbers[] = {&entry.size, &entry.stored_size, &entry.header};
    read_extra64(ByteReader(place_, reader.take(extra_bytes, "an extra field")), numbers);
    reader.skip(comment_bytes, "a comment");
    if (!entries_.emplace(name, entry).second) {
      throw_<DataError>("{}: the entry {} is there twice, expected once.", place_, quote(name));
    }
  }
}

std::string ZipArchive::find_ending(const std::string& ending) const {
  for (const auto& [name, entry] : entries_) {
    if (name.ends_with(ending)) return name;
  }
  return {};
}

std::span<const std::byte> ZipArchive::bytes(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    throw_<DataError>("{}: has no entry {}. It is damaged.", place_, quote(name));
  }
  const Entry& entry = found->second;
  if ((entry.flags & kEncrypted) != 0 || entry.method != 0 || entry.stored_size != entry.size) {
    throw_<DataError>(
        "{}: the entry {} is compressed or encrypted (method {}), expected one that is stored as "
        "it "
        "is, as torch.save writes it.",
        place_, quote(name), entry.method);
  }
  const auto header = part(entry.header, kEntryHeaderBytes, "an entry's header");
  if (number_at(header, 0) != kEntryMark) {
    throw_<DataError>("{}: has no entry at byte {}, expected {}. It is damaged.", place_,
                      entry.header, quote(name));
  }
  uint16_t lengths[2] = {};  // of its name and its extra fields
  std::memcpy(lengths, header.data() + 26, sizeof(lengths));
  return part(entry.header + kEntryHeaderBytes + lengths[0] + lengths[1], entry.size, "an entry");
}

}  // namespace cpx::formats
