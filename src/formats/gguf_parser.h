// SPDX-License-Identifier: Apache-2.0
// A GGUF file taken apart and checked: header, metadata, tensor table, where the tensors lie.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cpx/formats/gguf.h"

namespace cpx::formats {

/// "F32, F16, ...": the types of tensors that cpx reads.
std::string known_gguf_types();

struct GgufContent {
  std::map<std::string, GgufValue> metadata;
  std::vector<GgufTensor> tensors;  // in the order of the table
};

/// Throws DataError. The tensors' bytes are those of `file`.
GgufContent parse_gguf(const MappedFile& file);

}  // namespace cpx::formats
