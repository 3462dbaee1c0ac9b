// SPDX-License-Identifier: Apache-2.0
// Reads lists of texts: one text per line, or JSON lists and JSON lines.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cpx/core/faults.h"

namespace cpx::data {

/// The texts of a file in order, and every fault found.
struct TextFileContent {
  std::vector<std::string> texts;
  /// "[file: text i] ... is ..., expected ...", with a line number for JSONL.
  Faults faults;
};

/// Reads one text per line (blank lines are skipped), or JSON lists and JSON lines (see
/// holds_json()) of texts or of objects with the text under the first of `keys` that they have. A
/// key is a name, or several with dots for an object in an object ("prompt.text"). Texts are not
/// unescaped, and those of JSON may be empty. Faults are collected, never thrown; a text with a
/// fault is left out.
TextFileContent read_texts(const std::filesystem::path& file,
                           const std::vector<std::string>& keys = {"text"});

/// The keys under which objects usually have their prompt.
std::vector<std::string> usual_prompt_keys();

}  // namespace cpx::data
