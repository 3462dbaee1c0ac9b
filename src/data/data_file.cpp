// SPDX-License-Identifier: Apache-2.0
#include "data_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "cpx/core/nearest.h"
#include "cpx/core/text.h"
#include "cpx/core/text_file.h"
#include "cpx/data/record.h"

namespace cpx::data {

namespace {

constexpr std::string_view kSuffixes[] = {"_rouge", "_toxigenscore"};

}  // namespace

std::vector<TextLine> read_text_lines(const std::filesystem::path& file, Faults& faults) {
  const auto read = [&] {
    std::vector<TextLine> lines;
    LineReader reader(file);
    while (const auto line = reader.next()) {
      if (!is_blank(*line)) lines.push_back({std::string(*line), reader.line_number()});
    }
    if (!lines.empty()) return lines;
    throw_<DataError>("[{}] got no line with text, expected a text a line.", file.string());
  };
  return faults.collect(read).value_or(std::vector<TextLine>{});
}

std::string place_of(const JsonValue& value) {
  const std::string& place = value.place();
  return place.substr(1, place.size() - 2);
}

std::string unescaped_text(const JsonValue& value) {
  std::string text = unescape(value.text());
  if (is_blank(text)) value.fail(kSomeText);
  return text;
}

std::string optional_text(const JsonValue& object, std::string_view key) {
  const auto value = object.find(key);
  if (!value) return {};
  if (value->is_number()) return std::string(value->digits());
  if (!value->is_text()) value->fail("a text or a number");
  return value->text();
}

std::string missing(const JsonValue& object, std::string_view key, std::string_view expected,
                    std::string_view hint) {
  return at_place(object.place(), fmt::format("'{}' is missing (keys: {}), expected {}.{}", key,
                                              object.names(), expected, hint));
}

std::string nearest_key_hint(const JsonValue& object, std::string_view key,
                             std::string_view known) {
  std::vector<std::string> others = object.keys();
  std::erase_if(others, [&](const std::string& other) {
    const auto has_suffix = [&](std::string_view suffix) { return other.ends_with(suffix); };
    return other == known || std::ranges::any_of(kSuffixes, has_suffix);
  });
  const auto nearest = nearest_name(std::string(key), others);
  return nearest ? fmt::format(" Is '{}' meant?", *nearest) : "";
}

}  // namespace cpx::data
