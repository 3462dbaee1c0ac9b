// SPDX-License-Identifier: Apache-2.0
#include "quote.h"

#include <fmt/format.h>

namespace cpx::formats {

namespace {

constexpr size_t kMaxShown = 200;

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  for (const char byte : text.substr(0, kMaxShown)) {
    if (byte >= ' ' && byte <= '~') {
      shown += byte;
    } else {
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    }
  }
  return text.size() > kMaxShown ? shown + "..." : shown;
}

std::string quote(std::string_view text) { return fmt::format("'{}'", printable(text)); }

}  // namespace cpx::formats
