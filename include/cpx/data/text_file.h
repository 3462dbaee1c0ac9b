// SPDX-License-Identifier: Apache-2.0
// Plain lists of texts: a text a line, or JSON lists and lines.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cpx::data {

/// The texts of a file in its order, and every fault found.
struct TextFileContent {
  std::vector<std::string> texts;
  /// "[file: text i] ... is ..., expected ...", or with a line for JSONL.
  std::vector<std::string> faults;
};

/// Reads a text a line (blank lines are passed over) or JSON lists and lines (see holds_json()),
/// whose values are texts, or objects with the text under the first of `keys` that they have. A key
/// is a name, or names with dots for an object in an object ("prompt.text"). Texts stay as they
/// are: nothing is unescaped, and those of JSON may be empty. Faults are collected, never thrown; a
/// text with one is left out.
TextFileContent read_texts(const std::filesystem::path& file,
                           const std::vector<std::string>& keys = {"text"});

/// Where prompts usually stand in an object.
std::vector<std::string> usual_prompt_keys();

}  // namespace cpx::data
