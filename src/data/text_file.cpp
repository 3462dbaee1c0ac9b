// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/text_file.h"

#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/json_stream.h"
#include "data_file.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

// The value under a key: by its whole name, or by names with dots between.
std::optional<JsonValue> find_by_path(const JsonValue& object, std::string_view path) {
  if (!object.is_object()) return std::nullopt;
  if (auto whole = object.find(path)) return whole;
  const size_t dot = path.find('.');
  if (dot == path.npos) return std::nullopt;
  const auto outer = object.find(path.substr(0, dot));
  return outer ? find_by_path(*outer, path.substr(dot + 1)) : std::nullopt;
}

std::string text_of(const JsonValue& value, const std::vector<std::string>& keys) {
  if (value.is_text()) return value.text();
  const std::string names = keys.size() == 1
                                ? fmt::format("the key '{}'", keys.front())
                                : fmt::format("one of the keys {}", fmt::join(keys, ", "));
  if (!value.is_object()) value.fail(fmt::format("a text, or an object with {}", names));
  std::optional<JsonValue> other;  // the first that is no text
  for (const std::string& key : keys) {
    const auto found = find_by_path(value, key);
    if (found && found->is_text()) return found->text();
    if (!other) other = found;
  }
  if (other) other->fail("a text");
  throw DataError(missing(value, keys.front(),
                          keys.size() == 1 ? "a text" : fmt::format("a text under {}", names)));
}

std::vector<std::string> read_json(const fs::path& file, const std::vector<std::string>& keys,
                                   Faults& faults) {
  std::vector<std::string> texts;
  for_each_json(file, "text", faults,
                [&](const JsonValue& value) { texts.push_back(text_of(value, keys)); });
  return texts;
}

std::vector<std::string> read_lines(const fs::path& file, Faults& faults) {
  std::vector<std::string> texts;
  for (TextLine& line : read_text_lines(file, faults)) texts.push_back(std::move(line.text));
  return texts;
}

}  // namespace

std::vector<std::string> usual_prompt_keys() { return {"prompt", "prompt.text", "text", "input"}; }

TextFileContent read_texts(const fs::path& file, const std::vector<std::string>& keys) {
  TextFileContent content;
  Faults faults;
  const auto is_json = faults.collect([&] { return holds_json(file); });
  if (is_json) content.texts = *is_json ? read_json(file, keys, faults) : read_lines(file, faults);
  content.faults.append_file(file.string(), faults);
  return content;
}

}  // namespace cpx::data
