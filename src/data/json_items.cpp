// SPDX-License-Identifier: Apache-2.0
#include "json_items.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/core/utf8.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr size_t kQuotedBytes = 40;
constexpr size_t kFaultsOfAFile = 20;

bool has_no_text(std::string_view text) {
  return text.find_first_not_of(kBlanks) == std::string_view::npos;
}

int64_t line_at(std::string_view text, size_t offset) {
  return 1 + std::count(text.begin(), text.begin() + std::min(offset, text.size()), '\n');
}

/// What the parser said, without its own prefix ("[json.exception...] parse error at ...: ").
std::string parser_reason(const Json::parse_error& error) {
  const std::string_view text = error.what();
  const size_t start = text.find("column");
  const size_t colon = start == text.npos ? text.npos : text.find(": ", start);
  return std::string(colon == text.npos ? text : text.substr(colon + 2));
}

/// Reads a text once for what the document tree cannot tell: where it stops being JSON, and keys
/// that an object holds twice (the tree keeps the last one).
class Scan final : public nlohmann::json_sax<Json> {
 public:
  /// `item_depth`: the number of brackets around an item (1 in a list, 0 in a line).
  explicit Scan(size_t item_depth) : item_depth_(item_depth) {}

  bool null() override { return count_item(); }
  bool boolean(bool) override { return count_item(); }
  bool number_integer(number_integer_t) override { return count_item(); }
  bool number_unsigned(number_unsigned_t) override { return count_item(); }
  bool number_float(number_float_t, const string_t&) override { return count_item(); }
  bool string(string_t&) override { return count_item(); }
  bool binary(binary_t&) override { return count_item(); }
  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) repeated_[item_].push_back(name);
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    error_offset_ = position == 0 ? 0 : position - 1;
    // The parser hands its errors of syntax as parse_error, numbers too large as out_of_range.
    const auto* syntax = dynamic_cast<const Json::parse_error*>(&error);
    reason_ = syntax != nullptr ? parser_reason(*syntax) : "a number is out of range";
    return false;
  }

  const std::string& reason() const { return reason_; }
  size_t error_offset() const { return error_offset_; }
  std::vector<std::string> repeated_keys(int64_t item) const {
    const auto found = repeated_.find(item);
    return found == repeated_.end() ? std::vector<std::string>{} : found->second;
  }

 private:
  bool count_item() {
    item_ += keys_.size() == item_depth_ ? 1 : 0;
    return true;
  }
  bool open() {
    count_item();
    keys_.emplace_back();
    return true;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  size_t item_depth_;
  int64_t item_ = -1;
  std::vector<std::set<std::string>> keys_;  // of the objects and lists that are open
  std::map<int64_t, std::vector<std::string>> repeated_;
  std::string reason_;
  size_t error_offset_ = 0;
};

std::string not_json(const std::string& where, const Scan& scan) {
  return fmt::format("[{}] not JSON: got {}, expected JSON.", where, scan.reason());
}

void read_list(const std::string& text, const std::string& name, std::string_view noun,
               JsonItems& result) {
  Scan scan(/*item_depth=*/1);
  if (!Json::sax_parse(text, &scan)) {
    const auto line = line_at(text, scan.error_offset());
    result.faults.push_back(not_json(fmt::format("{}: line {}", name, line), scan));
    return;
  }
  Json list = Json::parse(text);
  if (!list.is_array()) {
    result.faults.push_back(
        fmt::format("[{}] top level: got {}, expected a list of {}s. A {} a line needs a name that "
                    "ends in .jsonl.",
                    name, describe(list), noun, noun));
    return;
  }
  for (int64_t i = 0; Json & value : list) {
    result.items.push_back({.value = std::move(value),
                            .where = fmt::format("{}: {} {}", name, noun, i + 1),
                            .repeated_keys = scan.repeated_keys(i)});
    ++i;
  }
}

void read_lines(std::string_view text, const std::string& name, std::string_view noun,
                JsonItems& result) {
  int64_t num_items = 0;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (!has_no_text(line)) {
      read_json_line(line, fmt::format("{}: {} {}, line {}", name, noun, ++num_items, number),
                     result);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

std::string not_utf8(const fs::path& file, int64_t line, char byte, size_t offset) {
  return fmt::format(
      "[{}: line {}] not UTF-8: got the byte 0x{:02X} at offset {}, expected UTF-8. Convert the "
      "file, for example with iconv.",
      file.string(), line, static_cast<unsigned char>(byte), offset);
}

void read_json_line(std::string_view line, const std::string& where, JsonItems& result) {
  Scan scan(/*item_depth=*/0);
  if (!Json::sax_parse(line, &scan)) {
    result.faults.push_back(not_json(where, scan));
    return;
  }
  result.items.push_back(
      {.value = Json::parse(line), .where = where, .repeated_keys = scan.repeated_keys(0)});
}

std::string read_utf8_file(const fs::path& file, std::vector<std::string>& faults) {
  std::string text;
  try {
    text = read_text_file(file);
  } catch (const DataError& error) {
    faults.emplace_back(error.what());
    return {};
  }
  if (const auto offset = first_invalid_utf8(text)) {
    faults.push_back(not_utf8(file, line_at(text, *offset), text[*offset], *offset));
    return {};
  }
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return text;
}

JsonItems read_json_items(const fs::path& file, std::string_view noun) {
  JsonItems result;
  const std::string name = file.string();
  const std::string text = read_utf8_file(file, result.faults);
  if (!result.faults.empty()) return result;
  if (has_no_text(text)) {
    result.faults.push_back(fmt::format("[{}] got an empty file, expected {}s.", name, noun));
  } else if (file.extension() == ".jsonl") {
    read_lines(text, name, noun, result);
  } else {
    read_list(text, name, noun, result);
    if (result.items.empty() && result.faults.empty()) {
      result.faults.push_back(fmt::format("[{}] got an empty list, expected {}s.", name, noun));
    }
  }
  return result;
}

std::string quote(const std::string& text) {
  size_t end = 0;
  while (end < text.size() && end < kQuotedBytes) {
    end += decode_utf8(text, end).length;
  }
  const std::string_view end_mark = end < text.size() ? "..." : "";
  return Json(text.substr(0, end)).dump() + std::string(end_mark);
}

std::string describe(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  if (value.is_string()) return "the text " + quote(value.get_ref<const std::string&>());
  if (value.is_number()) return "the number " + value.dump();
  return value.dump();  // null, true, false
}

std::string names_of(const Json& object) {
  std::string names;
  for (const auto& [key, value] : object.items()) {
    names += (names.empty() ? "" : ", ") + key;
  }
  return names.empty() ? "no keys" : names;
}

void append_faults(const fs::path& file, const std::vector<std::string>& of_file,
                   std::vector<std::string>& all) {
  const size_t num_shown = std::min(of_file.size(), kFaultsOfAFile);
  all.insert(all.end(), of_file.begin(), of_file.begin() + static_cast<ptrdiff_t>(num_shown));
  if (num_shown < of_file.size()) {
    all.push_back(
        fmt::format("[{}] and {} more faults.", file.string(), of_file.size() - num_shown));
  }
}

}  // namespace cpx::data
