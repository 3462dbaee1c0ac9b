// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/input_file.h"

#include <fmt/format.h>

#include "cpx/core/json_stream.h"
#include "cpx/core/text.h"
#include "cpx/data/record.h"
#include "data_file.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

// Reads one value of JSON and collects what is wrong with it.
class InputReader {
 public:
  InputReader(const JsonValue& value, Faults& faults) : value_(value), faults_(faults) {}

  // The input, or nothing when it has a fault.
  std::optional<Input> read() {
    const size_t num_faults_before = faults_.size();
    Input input = {.where = place_of(value_)};
    const auto text = faults_.collect([&] { return read_text(); });
    if (value_.is_object()) {
      input.group = optional("group");
      input.id = optional("id");
      input.json = value_.json();
    }
    if (faults_.size() > num_faults_before) return std::nullopt;
    input.text = *text;
    return input;
  }

 private:
  std::string read_text() const {
    if (value_.is_text()) return unescaped_text(value_);
    if (!value_.is_object()) value_.fail("a text or an object with one");
    auto text = value_.find("input");
    if (!text) text = value_.find("text");
    if (!text) throw DataError(missing(value_, "input", "a text under 'input' or 'text'"));
    return unescaped_text(*text);
  }

  std::string optional(std::string_view key) {
    return faults_.collect([&] { return optional_text(value_, key); }).value_or("");
  }

  const JsonValue& value_;
  Faults& faults_;
};

std::vector<Input> read_json(const fs::path& file, Faults& faults) {
  std::vector<Input> inputs;
  for_each_json(file, "input", faults, [&](const JsonValue& value) {
    if (auto input = InputReader(value, faults).read()) inputs.push_back(std::move(*input));
  });
  return inputs;
}

std::vector<Input> read_lines(const fs::path& file, Faults& faults) {
  std::vector<Input> inputs;
  for (const TextLine& line : read_text_lines(file, faults)) {
    Input input = {.text = unescape(line.text),
                   .where = fmt::format("{}: line {}", file.string(), line.number),
                   .is_line = true};
    if (is_blank(input.text)) {
      faults.add(input.where, "is {}, expected {}.", quote(line.text), kSomeText);
    } else {
      inputs.push_back(std::move(input));
    }
  }
  return inputs;
}

}  // namespace

InputContent read_inputs(const fs::path& file) {
  InputContent content;
  Faults faults;
  const auto is_json = faults.collect([&] { return holds_json(file); });
  if (is_json) content.inputs = *is_json ? read_json(file, faults) : read_lines(file, faults);
  content.faults.append_file(file.string(), faults);
  return content;
}

}  // namespace cpx::data
