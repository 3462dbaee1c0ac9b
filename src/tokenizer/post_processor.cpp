// SPDX-License-Identifier: Apache-2.0
#include "post_processor.h"

#include <algorithm>
#include <limits>

#include "byte_alphabet.h"
#include "cpx/core/utf8.h"
#include "regex.h"

namespace cpx::tokenizer {

namespace {

TokenId parse_id(const JsonValue& node) {
  return static_cast<TokenId>(node.integer(0, std::numeric_limits<TokenId>::max()));
}

// Adds the ids of the special token `name` of a TemplateProcessing.
void append_special(const JsonValue& processor, const JsonValue& name, std::vector<TokenId>& ids) {
  const auto tokens = processor.find("special_tokens");
  const auto token = tokens ? tokens->find(name.text()) : std::nullopt;
  if (!token) name.fail("a token of 'special_tokens'");
  for (const auto& id : token->at("ids").elements()) ids.push_back(parse_id(id));
}

void parse_template(const JsonValue& node, PostProcessor& processor) {
  const JsonValue single = node.at("single");
  bool has_text = false;
  for (const auto& piece : single.elements()) {
    if (const auto special = piece.find("SpecialToken")) {
      append_special(node, special->at("id"), has_text ? processor.after : processor.before);
    } else if (piece.at("Sequence").at("id").text() != "A" || has_text) {
      piece.fail("one piece for the sequence 'A'");
    } else {
      has_text = true;
    }
  }
  if (!has_text) single.fail("a template with the sequence 'A'");
}

// cls and sep: [spelling, id].
TokenId parse_spelled_token(const JsonValue& node) {
  const auto parts = node.elements();
  if (parts.size() != 2) node.fail("a list of spelling and id");
  return parse_id(parts[1]);
}

void parse_into(const JsonValue& node, PostProcessor& processor) {
  const JsonValue type = node.at("type");
  if (type.text() == "Sequence") {
    for (const auto& step : node.at("processors").elements()) parse_into(step, processor);
  } else if (type.text() == "ByteLevel") {
    processor.trims_offsets = node.boolean_or("trim_offsets", true);
    processor.keeps_prefix_space = node.boolean_or("add_prefix_space", true);
  } else if (type.text() == "TemplateProcessing") {
    parse_template(node, processor);
  } else if (type.text() == "RobertaProcessing") {
    processor.trims_offsets = node.boolean_or("trim_offsets", true);
    processor.keeps_prefix_space = node.boolean_or("add_prefix_space", true);
    processor.before = {parse_spelled_token(node.at("cls"))};
    processor.after = {parse_spelled_token(node.at("sep"))};
  } else if (type.text() == "BertProcessing") {
    processor.before = {parse_spelled_token(node.at("cls"))};
    processor.after = {parse_spelled_token(node.at("sep"))};
  } else {
    type.fail(
        "a post-processor that cpx knows (Sequence, ByteLevel, TemplateProcessing, "
        "RobertaProcessing, BertProcessing)");
  }
}

bool is_space(char32_t code_point) {
  return is_white_space(code_point) || symbol_byte(code_point) == uint8_t{' '};
}

}  // namespace

PostProcessor parse_post_processor(const JsonValue& node) {
  PostProcessor processor;
  parse_into(node, processor);
  return processor;
}

std::pair<size_t, size_t> trim_offsets(const PostProcessor& processor, std::string_view spelling,
                                       bool is_first, std::string_view text,
                                       std::pair<size_t, size_t> offsets) {
  size_t leading = 0;
  size_t trailing = 0;  // since the last character that is not a space
  size_t count = 0;
  for (size_t position = 0; position < spelling.size(); ++count) {
    const auto character = decode_utf8(spelling, position);
    if (!is_space(character.code_point)) {
      trailing = 0;
    } else {
      ++trailing;
      if (leading == count) ++leading;
    }
    position += character.length;
  }
  auto [begin, end] = offsets;
  if (leading == 1 && processor.keeps_prefix_space && (is_first || begin == 0)) leading = 0;
  for (; leading > 0 && begin < end; --leading) {
    begin = std::min(begin + decode_utf8(text, begin).length, end);
  }
  for (; trailing > 0 && end > begin; --trailing) {
    --end;
    while (end > begin && (text[end] & 0xC0) == 0x80) --end;
  }
  return {begin, end};
}

}  // namespace cpx::tokenizer
