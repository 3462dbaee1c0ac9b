// SPDX-License-Identifier: Apache-2.0
// A hash that detects changes of model, data or settings: FNV-1a, 64 bits, not for security.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace cpx {

class TextHash {
 public:
  /// Adds bytes; how they are split over calls does not change the hash.
  void add(std::string_view bytes) {
    for (const char byte : bytes) {
      state_ ^= static_cast<unsigned char>(byte);
      state_ *= 0x100000001b3U;
    }
  }

  /// Adds a text and its end, so that "ab", "c" differs from "a", "bc".
  void add_text(std::string_view text) {
    add(text);
    add(std::string_view("\0", 1));
  }

  /// The hash so far, and the same as 16 hexadecimal digits.
  uint64_t value() const { return state_; }
  std::string hex() const { return fmt::format("{:016x}", state_); }

 private:
  uint64_t state_ = 0xcbf29ce484222325U;
};

}  // namespace cpx
