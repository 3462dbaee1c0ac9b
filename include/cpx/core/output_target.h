// SPDX-License-Identifier: Apache-2.0
// Where an output really goes: links are followed, and what is no plain file is written into
// instead of being replaced.
#pragma once

#include <filesystem>
#include <string_view>
#include <sys/types.h>

namespace cpx {

/// What stands at the end of an output's path.
struct OutputTarget {
  enum class Kind {
    kNothing,  // a file can be made there
    kFile,     // a plain file, to be replaced
    kFolder,
    kStream,  // a device, FIFO, terminal or standard output: written into
  };

  std::filesystem::path path = {};  // links followed, so that a link stays a link
  Kind kind = Kind::kNothing;
  /// The descriptor of this process that the path names ("-", /dev/stdout, /dev/fd/3); -1: none.
  int descriptor = -1;
  int error = 0;  // errno where it cannot be looked at (too many links, no permission)

  // Of a plain file; a replacement gets them.
  mode_t mode = 0;
  uid_t owner = 0;
  gid_t group = 0;

  bool is_stream() const { return kind == Kind::kStream; }
};

/// Follows the links of `path`; "-" is standard output. A link that leads nowhere leads to the file
/// that is to be made.
OutputTarget find_output(const std::filesystem::path& path);

/// Whether an output of this name goes to standard output, which then has no other text.
bool is_standard_output(const std::filesystem::path& path);

/// The file beside `target` that a replacement is written to.
std::filesystem::path staging_file(const std::filesystem::path& target);

}  // namespace cpx
