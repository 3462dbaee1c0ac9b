// SPDX-License-Identifier: Apache-2.0
// Resolves an output path: follows links, and finds out whether it is a plain file to be replaced
// or a stream to be written into.
#pragma once

#include <filesystem>
#include <string_view>
#include <sys/types.h>

namespace cpx {

/// What an output path leads to.
struct OutputTarget {
  enum class Kind {
    kNothing,  // a file can be created
    kFile,     // a plain file, to be replaced
    kFolder,
    kStream,  // a device, FIFO, terminal or standard output: written into
  };

  std::filesystem::path path = {};  // links followed, so that a link stays a link
  Kind kind = Kind::kNothing;
  /// The descriptor of this process that the path names ("-", /dev/stdout, /dev/fd/3), or -1.
  int descriptor = -1;
  int error = 0;  // errno if it cannot be inspected (too many links, no permission)

  // Of a plain file; a replacement gets them.
  mode_t mode = 0;
  uid_t owner = 0;
  gid_t group = 0;

  bool is_stream() const { return kind == Kind::kStream; }
};

/// Follows the links of `path`; "-" is standard output. A dangling link leads to the file that is
/// to be created.
OutputTarget find_output(const std::filesystem::path& path);

/// True if this output goes to standard output, which then carries no other text.
bool is_standard_output(const std::filesystem::path& path);

/// The file beside `target` into which its replacement is written.
std::filesystem::path staging_file(const std::filesystem::path& target);

}  // namespace cpx
