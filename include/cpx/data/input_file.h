// SPDX-License-Identifier: Apache-2.0
// Input texts for making data, with what their file says about them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cpx/core/faults.h"

namespace cpx::data {

struct Input {
  std::string text = {};
  std::string group = {};  // as in Record; empty if the file has none
  std::string id = {};     // as in Record; empty if the file has none
  /// Its place in the file for messages, counted from 1: "a.txt: line 3", "a.json: input 2".
  std::string where = {};
  bool is_line = false;  // from a file with one text per line
  /// The JSON object that contained the text, so that its other keys can be kept; otherwise empty.
  std::string json = {};
};

/// The inputs of a file in order, and every fault found.
struct InputContent {
  std::vector<Input> inputs = {};
  /// "[file: line or input] ...: got ..., expected ...".
  Faults faults = {};
};

/// Reads one text per line (blank lines are skipped), or JSON lists and JSON lines (see
/// holds_json()) of texts or of objects with the text under `input` or else `text`, such as
/// contrast shards; `group` and `id` of an object are read too. All texts are unescaped, as those
/// of shards are. Faults, including blank texts, are collected, never thrown; an input with a fault
/// is left out.
InputContent read_inputs(const std::filesystem::path& file);

}  // namespace cpx::data
