// SPDX-License-Identifier: Apache-2.0
#include "character_map.h"

#include <cstring>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/utf8.h"
#include "regex.h"

namespace cpx::tokenizer {

namespace {

constexpr size_t kMaxClusterBytes = 5;

// A unit of the double array: the byte that leads to it, and where its children are.
uint32_t byte_of(uint32_t unit) { return unit & 0x800000FFU; }
bool has_value(uint32_t unit) { return (unit >> 8 & 1U) == 1U; }
uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 0x200U) >> 6); }
uint32_t value_of(uint32_t unit) { return unit & 0x7FFFFFFFU; }

}  // namespace

CharacterMap::CharacterMap(std::string_view bytes, std::string_view place) {
  uint32_t size = 0;
  if (bytes.size() >= sizeof(size)) std::memcpy(&size, bytes.data(), sizeof(size));
  const bool is_whole = size >= sizeof(uint32_t) && size % sizeof(uint32_t) == 0 &&
                        bytes.size() - sizeof(size) > size && bytes.back() == '\0';
  if (!is_whole) {
    throw_<DataError>(
        "{}: the table of characters has {} bytes and names an array of {}, expected "
        "an array that fits. It is damaged.",
        place, bytes.size(), size);
  }
  units_.resize(size / sizeof(uint32_t));
  std::memcpy(units_.data(), bytes.data() + sizeof(size), size);
  texts_ = bytes.substr(sizeof(size) + size);
}

std::optional<std::string_view> CharacterMap::find(std::string_view part) const {
  uint32_t node = offset_of(units_[0]);
  for (const char c : part) {
    const auto byte = static_cast<uint8_t>(c);
    node ^= byte;
    if (byte == 0 || node >= units_.size() || byte_of(units_[node]) != byte) return std::nullopt;
    const uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (node >= units_.size()) return std::nullopt;
    if (!has_value(unit)) continue;
    const uint32_t begin = value_of(units_[node]);
    if (begin >= texts_.size()) return std::nullopt;
    return std::string_view(texts_.c_str() + begin);
  }
  return std::nullopt;
}

Normalizer character_map_normalizer(std::shared_ptr<const CharacterMap> map) {
  return [map = std::move(map), cluster = Regex("\\X")](const AlignedText& text, ByteRange range,
                                                        AlignedText& output) {
    const auto origin = [&](ByteRange part) {
      return text.origin({range.begin + part.begin, range.begin + part.end});
    };
    const std::string_view bytes = text.view(range);
    cluster.for_each_part(bytes, [&](ByteRange part, bool) {
      const auto whole = part.size() <= kMaxClusterBytes
                             ? map->find(bytes.substr(part.begin, part.size()))
                             : std::nullopt;
      if (whole) {
        output.append(*whole, origin(part));
        return;
      }
      for (size_t position = part.begin; position < part.end;) {
        const size_t length = decode_utf8(bytes, position).length;
        const auto character = bytes.substr(position, length);
        output.append(map->find(character).value_or(character),
                      origin({position, position + length}));
        position += length;
      }
    });
  };
}

std::optional<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) return std::nullopt;
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int num_bits = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    num_bits += 6;
    if (num_bits < 8) continue;
    num_bits -= 8;
    bytes += static_cast<char>(bits >> num_bits & 0xFFU);
  }
  return bytes;
}

}  // namespace cpx::tokenizer
