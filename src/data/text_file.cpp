// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/text_file.h"

#include <fmt/format.h>

#include "json_items.h"
#include "text_lines.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPlainTextKey = "text";

std::vector<std::string> read_plain_lines(const fs::path& file, std::vector<std::string>& faults) {
  std::vector<std::string> texts;
  for (TextLine& line : read_text_lines(file, faults)) texts.push_back(std::move(line.text));
  return texts;
}

std::vector<std::string> read_list(const fs::path& file, std::vector<std::string>& faults) {
  std::vector<std::string> texts;
  JsonItems read = read_json_items(file, "text");
  faults = std::move(read.faults);
  for (const JsonItem& item : read.items) {
    if (item.value.is_string()) {
      texts.push_back(item.value.get<std::string>());
    } else {
      faults.push_back(
          fmt::format("[{}] got {}, expected a text.", item.where, describe(item.value)));
    }
  }
  return texts;
}

std::vector<std::string> read_objects(const fs::path& file, std::vector<std::string>& faults) {
  std::vector<std::string> texts;
  JsonItems read = read_json_items(file, "text");
  faults = std::move(read.faults);
  for (const JsonItem& item : read.items) {
    if (!item.value.is_object()) {
      faults.push_back(fmt::format("[{}] got {}, expected an object with the key '{}'.", item.where,
                                   describe(item.value), kPlainTextKey));
      continue;
    }
    const auto text = item.value.find(kPlainTextKey);
    if (text != item.value.end() && text->is_string()) {
      texts.push_back(text->get<std::string>());
    } else {
      const std::string got = text == item.value.end() ? "no such key" : describe(*text);
      faults.push_back(
          fmt::format("[{}] {}: got {}, expected a text.", item.where, kPlainTextKey, got));
    }
  }
  return texts;
}

std::vector<std::string> read_texts_by_ending(const fs::path& file,
                                              std::vector<std::string>& faults) {
  const fs::path ending = file.extension();
  if (ending == ".txt") return read_plain_lines(file, faults);
  if (ending == ".json") return read_list(file, faults);
  if (ending == ".jsonl") return read_objects(file, faults);
  faults.push_back(fmt::format(
      "[{}] the name's ending tells the format: got '{}', expected .txt (a text a line), .json (a "
      "list of texts) or .jsonl (objects with the key '{}').",
      file.string(), ending.string(), kPlainTextKey));
  return {};
}

}  // namespace

TextFileContent read_texts(const fs::path& file) {
  TextFileContent content;
  std::vector<std::string> faults;
  content.texts = read_texts_by_ending(file, faults);
  append_faults(file, faults, content.faults);
  return content;
}

}  // namespace cpx::data
