// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/input_file.h"

#include <optional>

#include <fmt/format.h>

#include "cpx/data/record.h"
#include "json_items.h"
#include "text_lines.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

/// Reads one value of JSON and collects what is wrong with it.
class InputReader {
 public:
  InputReader(const JsonItem& item, std::vector<std::string>& faults)
      : item_(item), faults_(faults) {}

  /// The input, or nothing when it has a fault.
  std::optional<Input> read() {
    const size_t num_faults_before = faults_.size();
    Input input = item_.value.is_string() ? read_text() : read_object();
    if (faults_.size() > num_faults_before) return std::nullopt;
    return input;
  }

 private:
  void fault(std::string_view key, std::string_view got, std::string_view expected) {
    faults_.push_back(
        fmt::format("[{}] {}: got {}, expected {}.", item_.where, key, got, expected));
  }

  Input read_text() {
    return {.text = checked("text", item_.value.get<std::string>()), .where = item_.where};
  }

  Input read_object() {
    if (!item_.value.is_object()) {
      faults_.push_back(fmt::format("[{}] got {}, expected a text or an object with one.",
                                    item_.where, describe(item_.value)));
      return {};
    }
    for (const auto& key : item_.repeated_keys) {
      fault(quote(key), "the key twice in one object", "it once");
    }
    const char* text_key = item_.value.contains("input") ? "input" : "text";
    return {
        .text = checked(text_key, read_key(text_key, "a text under 'input' or 'text'")),
        .group = read_optional("group", "a text"),
        .id = read_id(),
        .where = item_.where,
        .json = item_.value.dump(),
    };
  }

  std::string checked(std::string_view key, const std::optional<std::string>& raw) {
    if (!raw) return {};
    std::string text = unescape(*raw);
    if (is_blank(text)) {
      fault(key, text.empty() ? "an empty text" : "only blanks", "a text");
    }
    return text;
  }

  std::optional<std::string> read_key(const char* key, std::string_view expected) {
    const auto found = item_.value.find(key);
    if (found != item_.value.end() && found->is_string()) return found->get<std::string>();
    fault(key, found == item_.value.end() ? "no such key" : describe(*found), expected);
    return std::nullopt;
  }

  std::string read_optional(const char* key, std::string_view expected) {
    return item_.value.contains(key) ? read_key(key, expected).value_or("") : "";
  }

  std::string read_id() {
    const auto found = item_.value.find("id");
    const bool is_number = found != item_.value.end() && found->is_number();
    return is_number ? found->dump() : read_optional("id", "a text or a number");
  }

  const JsonItem& item_;
  std::vector<std::string>& faults_;
};

std::vector<Input> read_json(const fs::path& file, std::vector<std::string>& faults) {
  std::vector<Input> inputs;
  JsonItems read = read_json_items(file, "input");
  faults = std::move(read.faults);
  for (const JsonItem& item : read.items) {
    if (auto input = InputReader(item, faults).read()) inputs.push_back(std::move(*input));
  }
  return inputs;
}

std::vector<Input> read_lines(const fs::path& file, std::vector<std::string>& faults) {
  std::vector<Input> inputs;
  for (const TextLine& line : read_text_lines(file, faults)) {
    Input input = {.text = unescape(line.text),
                   .where = fmt::format("{}: line {}", file.string(), line.number)};
    if (is_blank(input.text)) {
      faults.push_back(fmt::format("[{}] got only blanks, expected a text.", input.where));
    } else {
      inputs.push_back(std::move(input));
    }
  }
  return inputs;
}

std::vector<Input> read_by_ending(const fs::path& file, std::vector<std::string>& faults) {
  const fs::path ending = file.extension();
  if (ending == ".txt") return read_lines(file, faults);
  if (ending == ".json" || ending == ".jsonl") return read_json(file, faults);
  faults.push_back(fmt::format(
      "[{}] the name's ending tells the format: got '{}', expected .txt (a text a line), .json (a "
      "list) or .jsonl (texts, or objects with the key 'input' or 'text').",
      file.string(), ending.string()));
  return {};
}

}  // namespace

InputContent read_inputs(const fs::path& file) {
  InputContent content;
  std::vector<std::string> faults;
  content.inputs = read_by_ending(file, faults);
  append_faults(file, faults, content.faults);
  return content;
}

}  // namespace cpx::data
