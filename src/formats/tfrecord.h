// SPDX-License-Identifier: Apache-2.0
// TFRecord framing: length, masked CRC-32C of the length, the record, its masked CRC-32C.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cpx::formats {

/// CRC-32C (Castagnoli) of `bytes`.
uint32_t crc32c(std::string_view bytes);

/// `record` as it stands in a TFRecord file.
std::string frame_record(std::string_view record);

}  // namespace cpx::formats
