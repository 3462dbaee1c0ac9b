// SPDX-License-Identifier: Apache-2.0
// Model folders cloned without Git LFS hold small text files in the place of weights.
#pragma once

#include <string_view>

#include "cpx/core/mapped_file.h"

namespace cpx::formats {

/// Throws DataError, with the command that helps, when `file` is a Git LFS pointer.
void refuse_lfs_pointer(std::string_view where, const MappedFile& file);

}  // namespace cpx::formats
