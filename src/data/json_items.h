// SPDX-License-Identifier: Apache-2.0
// JSON lists and JSONL files value by value, each with its place; what is wrong with a file is
// collected, never thrown.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace cpx::data {

/// Keeps the file's order of keys.
using Json = nlohmann::ordered_json;

/// One value of the list, or of a line.
struct JsonItem {
  Json value = {};
  std::string where = {};                       // "a.json: record 3" or "a.jsonl: record 3, line 4"
  std::vector<std::string> repeated_keys = {};  // keys that one of its objects holds twice
};

struct JsonItems {
  std::vector<JsonItem> items;
  std::vector<std::string> faults;
};

/// The values of `file`: of a JSON list, or of the lines where the name ends in ".jsonl" (blank
/// lines are passed over). `noun` is what a value is called in messages ("record"). Not readable,
/// not UTF-8, not JSON, not a list, and nothing in it are faults.
JsonItems read_json_items(const std::filesystem::path& file, std::string_view noun);

/// The content of `file` without a byte order mark; a file that cannot be read or is not UTF-8
/// gives a fault and an empty text.
std::string read_utf8_file(const std::filesystem::path& file, std::vector<std::string>& faults);

/// The value in a few words for messages: "null", "the number 3", "the text \"abc\"", "a list".
std::string describe(const Json& value);

/// `text` as a JSON string on one line, cut to a few words.
std::string quote(const std::string& text);

/// The keys of an object, for messages: "input, id".
std::string names_of(const Json& object);

/// Appends a file's faults to `all`, the first twenty and the number of the others.
void append_faults(const std::filesystem::path& file, const std::vector<std::string>& of_file,
                   std::vector<std::string>& all);

}  // namespace cpx::data
