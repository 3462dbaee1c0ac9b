// SPDX-License-Identifier: Apache-2.0
// The header of a safetensors file, checked as a whole.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/formats/safetensors.h"

namespace cpx::formats {

struct SafetensorsHeader {
  std::vector<std::string> names;  // in the order of the data
  std::map<std::string, SafetensorsEntry> entries;
  std::map<std::string, std::string> metadata;
};

/// Reads and checks the header of `file`; throws DataError.
SafetensorsHeader parse_safetensors_header(const MappedFile& file);

/// "F64, F32, ...": the types that cpx reads.
std::string safetensors_type_names();

/// "F32" and so on; empty for a type that the format or cpx does not store.
std::string_view safetensors_type_name(torch::Dtype dtype);

}  // namespace cpx::formats
