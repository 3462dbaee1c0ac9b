// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/text_file.h"

#include <fmt/format.h>

#include "cpx/core/json_stream.h"
#include "data_file.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPlainTextKey = "text";

std::string text_of(const JsonValue& value) {
  if (value.is_text()) return value.text();
  if (!value.is_object()) {
    value.fail(fmt::format("a text, or an object with the key '{}'", kPlainTextKey));
  }
  const auto text = value.find(kPlainTextKey);
  if (!text) throw DataError(missing(value, kPlainTextKey, "a text"));
  return text->text();
}

std::vector<std::string> read_json(const fs::path& file, std::vector<std::string>& faults) {
  std::vector<std::string> texts;
  for_each_json(file, "text", faults,
                [&](const JsonValue& value) { texts.push_back(text_of(value)); });
  return texts;
}

std::vector<std::string> read_lines(const fs::path& file, std::vector<std::string>& faults) {
  std::vector<std::string> texts;
  for (TextLine& line : read_text_lines(file, faults)) texts.push_back(std::move(line.text));
  return texts;
}

}  // namespace

TextFileContent read_texts(const fs::path& file) {
  TextFileContent content;
  std::vector<std::string> faults;
  const auto is_json = read_or_fault(faults, [&] { return holds_json(file); });
  if (is_json) content.texts = *is_json ? read_json(file, faults) : read_lines(file, faults);
  append_faults(file, faults, content.faults);
  return content;
}

}  // namespace cpx::data
