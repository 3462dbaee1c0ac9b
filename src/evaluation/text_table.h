// SPDX-License-Identifier: Apache-2.0
// Columns of text for a terminal.
#pragma once

#include <string>
#include <vector>

namespace cpx::evaluation {

/// The rows with their cells aligned, the first column to the left, the others to the right; two
/// blanks between columns, a line break after each row. Rows may differ in length.
std::string align_columns(const std::vector<std::vector<std::string>>& rows);

}  // namespace cpx::evaluation
