// SPDX-License-Identifier: Apache-2.0
#include "normalizer.h"

#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bert_text.h"
#include "character_map.h"
#include "cpx/core/utf8.h"

namespace cpx::tokenizer {

namespace {

Normalizer prepend(std::string prefix) {
  return
      [prefix = std::move(prefix)](const AlignedText& text, ByteRange range, AlignedText& output) {
        if (range.size() == 0) return;
        output.append(prefix, text.origin(range.begin));
        output.append(text, range);
      };
}

Normalizer replace(Regex regex, std::string content) {
  return [regex = std::move(regex), content = std::move(content)](
             const AlignedText& text, ByteRange range, AlignedText& output) {
    regex.for_each_part(text.view(range), [&](ByteRange part, bool is_match) {
      const ByteRange found{range.begin + part.begin, range.begin + part.end};
      if (is_match) {
        // As the peer aligns it: with the last character that was replaced.
        output.append(content, text.origin(found.end - 1));
      } else {
        output.append(text, found);
      }
    });
  };
}

Normalizer strip(bool strips_left, bool strips_right) {
  return [=](const AlignedText& text, ByteRange range, AlignedText& output) {
    const std::string_view bytes = text.view(range);
    std::optional<ByteRange> kept;  // from the first to the last character that is not white space
    for (size_t position = 0; position < bytes.size();) {
      const auto character = decode_utf8(bytes, position);
      const size_t end = position + character.length;
      if (!is_white_space(character.code_point)) kept = {kept ? kept->begin : position, end};
      position = end;
    }
    if (!kept) kept = {bytes.size(), bytes.size()};
    if (!strips_left) kept->begin = 0;
    if (!strips_right) kept->end = bytes.size();
    output.append(text, {range.begin + kept->begin, range.begin + kept->end});
  };
}

Normalizer sequence(std::vector<Normalizer> steps) {
  return [steps = std::move(steps)](const AlignedText& text, ByteRange range, AlignedText& output) {
    AlignedText current;
    current.append(text, range);
    for (const auto& step : steps) {
      AlignedText next;
      next.reserve(current.size());
      step(current, {0, current.size()}, next);
      current = std::move(next);
    }
    output.append(current, {0, current.size()});
  };
}

Normalizer parse_bert_normalizer(const JsonValue& node) {
  return bert_normalizer({.cleans_text = node.boolean_or("clean_text", true),
                          .spaces_ideographs = node.boolean_or("handle_chinese_chars", true),
                          .strips_accents = node.find_boolean("strip_accents"),
                          .lowers_case = node.boolean_or("lowercase", true)});
}

Normalizer parse_character_map(const JsonValue& node) {
  const JsonValue table = node.at("precompiled_charsmap");
  const auto bytes = decode_base64(table.text_view());
  if (!bytes) table.fail("a table in base64");
  const auto place = fmt::format("{}: '{}'", table.place(), table.path());
  return character_map_normalizer(std::make_shared<const CharacterMap>(*bytes, place));
}

}  // namespace

Regex parse_pattern(const JsonValue& node) {
  if (const auto text = node.find("String")) {
    if (text->text().empty()) text->fail("a text that is not empty");
    return Regex::literal(text->text());
  }
  if (const auto pattern = node.find("Regex")) return Regex(pattern->text());
  node.fail("an object with 'String' or 'Regex'");
}

Normalizer parse_normalizer(const JsonValue& node) {
  const JsonValue type = node.at("type");
  if (type.text() == "Sequence") {
    std::vector<Normalizer> steps;
    for (const auto& step : node.at("normalizers").elements()) {
      steps.push_back(parse_normalizer(step));
    }
    return sequence(std::move(steps));
  }
  if (type.text() == "Prepend") return prepend(node.at("prepend").text());
  if (type.text() == "Replace") {
    return replace(parse_pattern(node.at("pattern")), node.at("content").text());
  }
  if (type.text() == "Strip") {
    return strip(node.boolean_or("strip_left", true), node.boolean_or("strip_right", true));
  }
  if (type.text() == "BertNormalizer") return parse_bert_normalizer(node);
  if (type.text() == "Precompiled") return parse_character_map(node);
  type.fail(
      "a normalizer that cpx knows (Sequence, Prepend, Replace, Strip, BertNormalizer, "
      "Precompiled)");
}

std::string normalize(const Normalizer& normalizer, const std::string& content) {
  if (!normalizer || content.empty()) return content;
  const AlignedText text(content);
  AlignedText output;
  normalizer(text, {0, text.size()}, output);
  return output.bytes();
}

}  // namespace cpx::tokenizer
