// SPDX-License-Identifier: Apache-2.0
// Texts that data is to be made from, with what their file says about them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cpx::data {

struct Input {
  std::string text = {};
  std::string group = {};  // as in Record; empty where the file has none
  std::string id = {};     // as in Record; empty where the file has none
  /// Place in its file for messages, counted from 1: "a.txt: line 3", "a.json: input 2".
  std::string where = {};
  bool is_line = false;  // of a file of a text a line
  /// The JSON object that the text stood in, so that its other keys can be kept; else empty.
  std::string json = {};
};

/// The inputs of a file in its order, and every fault found.
struct InputContent {
  std::vector<Input> inputs = {};
  /// "[file: line or input] ...: got ..., expected ...".
  std::vector<std::string> faults = {};
};

/// Reads a text a line (blank lines are passed over) or JSON lists and lines (see holds_json()),
/// whose values are texts, or objects with the text under `input` or else `text`, such as contrast
/// shards; their `group` and `id` are taken too. All texts are unescaped, as those of shards are.
/// Faults, blank texts among them, are collected, never thrown; an input with one is left out.
InputContent read_inputs(const std::filesystem::path& file);

}  // namespace cpx::data
