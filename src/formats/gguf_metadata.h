// SPDX-License-Identifier: Apache-2.0
// The metadata part of a GGUF file.
#pragma once

#include <map>
#include <string>

#include "byte_reader.h"
#include "cpx/formats/gguf.h"

namespace cpx::formats {

/// Reads `count` keys with their values; throws DataError.
std::map<std::string, GgufValue> read_gguf_metadata(ByteReader& reader, uint64_t count);

}  // namespace cpx::formats
