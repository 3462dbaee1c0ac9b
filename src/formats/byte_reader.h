// SPDX-License-Identifier: Apache-2.0
// Reads little-endian numbers and texts one after the other from bytes, never past their end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "cpx/core/error.h"

namespace cpx::formats {

class ByteReader {
 public:
  /// `place` opens every message: "[where] file".
  ByteReader(std::string place, std::span<const std::byte> bytes)
      : place_(std::move(place)), bytes_(bytes) {}

  /// The next T; throws DataError that calls it `what` when the bytes end before.
  template <class T>
  T read(std::string_view what) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto source = take(sizeof(T), what);
    T value;
    std::memcpy(&value, source.data(), sizeof(T));
    return value;
  }

  /// A 64-bit length and that many bytes.
  std::string read_text(std::string_view what) { return read_bytes(read<uint64_t>(what), what); }

  /// The next `count` bytes as a text.
  std::string read_bytes(uint64_t count, std::string_view what) {
    const auto source = take(count, what);
    return {reinterpret_cast<const char*>(source.data()), source.size()};
  }

  /// Goes on behind the next `count` bytes.
  void skip(uint64_t count, std::string_view what) { take(count, what); }

  /// The next `count` bytes in place.
  std::span<const std::byte> take(uint64_t count, std::string_view what) {
    if (count > num_left()) {
      throw_<DataError>(
          "{}: {} takes {} bytes at byte {}, but the file ends after {} more. It is cut short or "
          "damaged.",
          place_, what, count, position_, num_left());
    }
    const auto taken = bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += taken.size();
    return taken;
  }

  size_t position() const { return position_; }
  size_t num_left() const { return bytes_.size() - position_; }
  const std::string& place() const { return place_; }

 private:
  std::string place_;
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

}  // namespace cpx::formats
