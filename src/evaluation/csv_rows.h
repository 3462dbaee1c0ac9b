// SPDX-License-Identifier: Apache-2.0
// Rows of comma-separated values, as Python's module csv reads them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cpx::evaluation {

/// A row and the line on which it begins.
struct CsvRow {
  std::vector<std::string> fields = {};
  int64_t line = 1;
};

/// The rows of `text`; empty lines are left out. A field may be quoted, with quotes doubled in it,
/// and then hold commas and line breaks.
std::vector<CsvRow> csv_rows(std::string_view text);

}  // namespace cpx::evaluation
