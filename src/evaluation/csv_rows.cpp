// SPDX-License-Identifier: Apache-2.0
#include "csv_rows.h"

#include <utility>

namespace cpx::evaluation {

namespace {

// Reads one character after the other.
class CsvReader {
 public:
  void take(char letter) {
    if (is_quoted_) {
      take_quoted(letter);
    } else if (letter == '"' && (is_at_start_ || after_quote_)) {
      if (after_quote_) field_ += letter;  // doubled
      is_quoted_ = true;
      is_at_start_ = false;
      after_quote_ = false;
    } else if (letter == ',') {
      end_field();
    } else if (letter == '\n') {
      end_row();
    } else {
      field_ += letter;
      is_at_start_ = false;
      after_quote_ = false;
    }
    if (letter == '\n') ++line_;
  }

  std::vector<CsvRow> finish() {
    end_row();
    return std::move(rows_);
  }

 private:
  void take_quoted(char letter) {
    if (letter == '"') {
      is_quoted_ = false;
      after_quote_ = true;
      return;
    }
    field_ += letter;
  }

  void end_field() {
    row_.fields.push_back(std::exchange(field_, {}));
    is_at_start_ = true;
    after_quote_ = false;
  }

  void end_row() {
    const bool is_blank = row_.fields.empty() && field_.empty() && is_at_start_;
    if (!is_blank) {
      end_field();
      rows_.push_back(std::exchange(row_, {}));
    }
    row_.line = line_ + 1;
    is_at_start_ = true;
  }

  std::vector<CsvRow> rows_;
  CsvRow row_;
  std::string field_;
  int64_t line_ = 1;
  bool is_at_start_ = true;  // of a field
  bool is_quoted_ = false;
  bool after_quote_ = false;  // a second quote would belong to the field
};

}  // namespace

std::vector<CsvRow> csv_rows(std::string_view text) {
  CsvReader reader;
  for (const char letter : text) reader.take(letter);
  return reader.finish();
}

}  // namespace cpx::evaluation
