// SPDX-License-Identifier: Apache-2.0
// The values of a data file one by one, in the memory of one value: those of a JSON list, JSON
// lines, or objects that are written over several lines. The content tells which, not the name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/json.h"
#include "cpx/core/text_file.h"

namespace cpx {

/// Reads the values of one file in their order. Their place is "[a.json: record 3]", or of values
/// that are not in a list "[a.jsonl: record 3, line 4]".
class JsonStream {
 public:
  /// `noun` is what a value is called in messages ("record"). Throws DataError where the file
  /// cannot be read, is of a form that is no text, or holds no value.
  JsonStream(const std::filesystem::path& file, std::string_view noun);

  /// The next value, or nothing at the end. A value that is no JSON is a DataError; the next call
  /// goes on behind it.
  std::optional<JsonValue> next();

  /// The file is one JSON list.
  bool is_list() const { return is_list_; }
  /// How far the file is read, and its size, in bytes.
  int64_t bytes_read() const { return static_cast<int64_t>(offset_); }
  int64_t num_bytes() const { return pieces_.size(); }

 private:
  enum class Ends { kAtLine, kWithValue };

  bool fill();
  std::optional<char> peek(size_t ahead = 0);
  void skip(size_t count);
  void skip_blanks();
  size_t size_of_value();
  size_t size_of_line();
  bool has_line_of_its_own();
  JsonValue parse(size_t size, std::string place);
  [[noreturn]] void fail_at_line(std::string_view what, std::string_view expected);
  bool enter_element();
  void open();

  FilePieces pieces_;
  std::string name_;
  std::string noun_;
  std::string buffer_;
  size_t begin_ = 0;   // of what is not given out yet, in the buffer
  size_t offset_ = 0;  // of the same in the file
  int64_t line_ = 1;
  bool is_complete_ = false;
  bool is_list_ = false;
  bool is_done_ = false;
  Ends ends_ = Ends::kAtLine;
  int64_t num_values_ = 0;
};

/// True for a file of JSON: one that is named so (.json, .jsonl, .ndjson, .jsonlines), or, where
/// the name is not .txt, one whose first character is a [ or {. Throws DataError as JsonStream
/// does.
bool holds_json(const std::filesystem::path& file);

/// Hands the values of a file to `use` one by one; what is wrong with the file, and what `use`
/// throws as a DataError, is added to `faults`, and nothing is thrown.
void for_each_json(const std::filesystem::path& file, std::string_view noun,
                   std::vector<std::string>& faults,
                   const std::function<void(const JsonValue&)>& use);

/// All values of a file, and what is wrong with it.
struct JsonItems {
  std::vector<JsonValue> values;
  std::vector<std::string> faults;
};

/// Reads a file to its end; nothing is thrown.
JsonItems read_json_items(const std::filesystem::path& file, std::string_view noun);

}  // namespace cpx
