// SPDX-License-Identifier: Apache-2.0
#include "inspect.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "cpx/core/utf8.h"

namespace cpx::recipes {

namespace {

constexpr std::string_view kIndent = "  ";
constexpr size_t kLabelWidth = 8;

// A piece without control characters and spaces, so that columns stay columns.
std::string printable(const std::string& piece) {
  std::string text;
  for (size_t at = 0; at < piece.size();) {
    const Utf8Char c = decode_utf8(piece, at);
    if (c.code_point < 0x20 || c.code_point == 0x7f) {
      text += fmt::format("\\x{:02x}", static_cast<uint32_t>(c.code_point));
    } else if (c.code_point == ' ') {
      text += '_';
    } else {
      append_utf8(text, c.code_point);
    }
    at += c.length;
  }
  return text;
}

size_t num_characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string padded(const std::string& text, size_t width) {
  return text + std::string(width - std::min(width, num_characters(text)) + 1, ' ');
}

struct Rows {
  std::string pieces, ids, mask;
};

std::string finished(const Rows& rows) {
  const auto line = [](std::string_view label, std::string text) {
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return fmt::format("{}{:<{}}{}\n", kIndent, label, kLabelWidth, text);
  };
  return line("pieces", rows.pieces) + line("ids", rows.ids) + line("mask", rows.mask);
}

std::string masked_table(const tokenizer::Tokenizer& tokenizer,
                         std::span<const tokenizer::TokenId> ids,
                         const std::vector<bool>& is_predicted, size_t width) {
  std::string table;
  Rows rows;
  size_t used = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string piece = printable(tokenizer.piece(ids[i]));
    const std::string id = fmt::format("{}", ids[i]);
    const size_t column = std::max(num_characters(piece), id.size());
    if (used > 0 && kIndent.size() + kLabelWidth + used + column > width) {
      table += finished(rows);
      rows = {};
      used = 0;
    }
    rows.pieces += padded(piece, column);
    rows.ids += padded(id, column);
    rows.mask += padded(is_predicted[i] ? "1" : "0", column);
    used += column + 1;
  }
  return used > 0 ? table + finished(rows) : table;
}

}  // namespace

std::string token_table(const tokenizer::Tokenizer& tokenizer,
                        std::span<const tokenizer::TokenId> ids, size_t width, size_t num_given) {
  std::vector<bool> is_predicted(ids.size(), true);
  std::fill_n(is_predicted.begin(), std::min(num_given, ids.size()), false);
  return masked_table(tokenizer, ids, is_predicted, width);
}

std::string token_table(const tokenizer::Tokenizer& tokenizer,
                        std::span<const tokenizer::TokenId> ids,
                        std::span<const data::PredictedSpan> predicted, size_t width) {
  std::vector<bool> is_predicted(ids.size(), false);
  for (const data::PredictedSpan& span : predicted) {
    std::fill(is_predicted.begin() + span.begin, is_predicted.begin() + span.end, true);
  }
  return masked_table(tokenizer, ids, is_predicted, width);
}

std::string pair_tables(const tokenizer::Tokenizer& tokenizer, const data::EncodedPair& pair,
                        size_t width) {
  std::string text = fmt::format("prompt of all answers: {} tokens{}\n", pair.prompt.size(),
                                 pair.is_prompt_cut ? ", cut" : "");
  text += token_table(tokenizer, pair.prompt, width, pair.prompt.size());
  for (size_t i = 0; i < pair.answers.size(); ++i) {
    const data::EncodedAnswer& answer = pair.answers[i];
    text += fmt::format("{}: {} tokens, {} predicted{}\n", i == 0 ? "chosen" : "rejected",
                        answer.ids.size(), pair.num_predicted(static_cast<int64_t>(i)),
                        answer.is_cut ? ", cut" : "");
    text += token_table(tokenizer, answer.ids, width, pair.prompt.empty() ? 1 : 0);
  }
  return text;
}

}  // namespace cpx::recipes
