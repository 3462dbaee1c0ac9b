// SPDX-License-Identifier: Apache-2.0
#include "lfs_pointer.h"

#include "cpx/core/error.h"

namespace cpx::formats {

void refuse_lfs_pointer(std::string_view where, const MappedFile& file) {
  const auto bytes = file.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("version https://git-lfs")) {
    throw_<DataError>(
        "[{}] {}: is a Git LFS pointer, expected the weights themselves. Run 'git lfs pull' in its "
        "folder.",
        where, file.path().string());
  }
}

}  // namespace cpx::formats
