// SPDX-License-Identifier: Apache-2.0
// Turns the values of a report into a flat list of figures.
#pragma once

#include "cpx/report/evaluation_record.h"

namespace cpx::report {

/// Collects figures from JSON values. Objects lengthen the path by their keys, lists of objects by
/// what names each element (`task`, `group`, `scorer`, ...; else its number).
class FigureReader {
 public:
  /// Reads a value that stands at `path`.
  void read(const JsonValue& value, const FigurePath& path);
  /// The figures; intervals, errors and differences have been put to the figures that they are
  /// about. Those without such a figure are figures of their own.
  FigureList take();

 private:
  void read_members(const JsonValue& object, const FigurePath& path, std::string_view left_out);
  void read_list(const JsonValue& list, const FigurePath& path);

  FigureList figures_;
};

/// The text of a value that is neither a list nor an object; empty for null.
std::string scalar_text(const JsonValue& value);

/// `path` with one more key.
FigurePath below(const FigurePath& path, std::string_view key);

}  // namespace cpx::report
