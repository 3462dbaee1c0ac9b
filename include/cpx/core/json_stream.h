// SPDX-License-Identifier: Apache-2.0
// Reads the values of a data file one at a time, in memory for a single value. The file may be a
// JSON list, JSON lines, or objects written over several lines; its content decides which, not its
// name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/faults.h"
#include "cpx/core/json.h"
#include "cpx/core/text_file.h"

namespace cpx {

/// Which words stand for numbers outside of texts.
enum class JsonNumbers {
  kStandard,  // none: NaN is a fault, as the standard has it
  /// Those that Python's json module writes: NaN is read as null, Infinity and -Infinity as the
  /// largest and the smallest double.
  kPython,
};

/// Reads the values of one file in order. Their place in messages is "[a.json: record 3]", or
/// "[a.jsonl: record 3, line 4]" if the file is not a list.
class JsonStream {
 public:
  /// `noun` is the word for a value in messages ("record"). Throws DataError if the file cannot be
  /// read, is not a text file, or contains no value.
  JsonStream(const std::filesystem::path& file, std::string_view noun,
             JsonNumbers numbers = JsonNumbers::kStandard);

  /// The next value, or nullopt at the end. Throws DataError for a value that is not JSON; the next
  /// call continues after it.
  std::optional<JsonValue> next();

  /// True if the file is one JSON list.
  bool is_list() const { return is_list_; }
  /// Bytes read so far, and the size of the file.
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
  JsonNumbers numbers_;
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

/// True if the file is JSON: its name ends in .json, .jsonl, .ndjson or .jsonlines, or its name
/// does not end in .txt and its first character is [ or {. Throws DataError as JsonStream does.
bool holds_json(const std::filesystem::path& file);

/// Calls `use` with each value of a file. Faults of the file, and each DataError that `use` throws,
/// are added to `faults`; nothing is thrown.
void for_each_json(const std::filesystem::path& file, std::string_view noun, Faults& faults,
                   const std::function<void(const JsonValue&)>& use,
                   JsonNumbers numbers = JsonNumbers::kStandard);

/// All values of a file, and its faults.
struct JsonItems {
  std::vector<JsonValue> values;
  Faults faults;
};

/// Reads the whole file; nothing is thrown.
JsonItems read_json_items(const std::filesystem::path& file, std::string_view noun);

}  // namespace cpx
