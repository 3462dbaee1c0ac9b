// SPDX-License-Identifier: Apache-2.0
// Models that llama-gguf-split cut into several files: NAME-00001-of-00003.gguf and so on. The
// first has the metadata; each has its own tensors.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cpx/formats/gguf.h"

namespace cpx::formats {

struct GgufPart {
  std::shared_ptr<const MappedFile> file;
  std::vector<GgufTensor> tensors;
};

/// The parts behind the first one, `path` with its `metadata`; none for a model in one file. Throws
/// DataError where `path` is another part, or a part is missing or of another split.
std::vector<GgufPart> open_other_parts(const std::filesystem::path& path,
                                       const std::map<std::string, GgufValue>& metadata);

/// Throws DataError where a split model says that it has another number of tensors.
void check_number_of_tensors(const std::filesystem::path& path,
                             const std::map<std::string, GgufValue>& metadata, size_t count);

}  // namespace cpx::formats
