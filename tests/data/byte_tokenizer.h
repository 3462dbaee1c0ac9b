// SPDX-License-Identifier: Apache-2.0
// A tokenizer whose ids can be read off the text: a byte is its own id, BOS is 256, EOS is 257.
#pragma once

#include <string>

#include "cpx/core/error.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx {

class ByteTokenizer final : public tokenizer::Tokenizer {
 public:
  static constexpr tokenizer::TokenId kBos = 256;
  static constexpr tokenizer::TokenId kEos = 257;

  bool adds_bos = true;
  bool adds_eos = false;
  bool has_eos = true;
  std::string template_text = {};

  tokenizer::Encoding encode(std::string_view text, bool add_special_tokens) const override {
    tokenizer::Encoding encoding;
    if (add_special_tokens && adds_bos) add(kBos, 0, 0, encoding);
    for (size_t at = 0; at < text.size();) {
      const auto [id, length] = next(text.substr(at));
      add(id, at, at + length, encoding);
      at += length;
    }
    if (add_special_tokens && adds_eos) add(kEos, 0, 0, encoding);
    return encoding;
  }

  std::string decode(std::span<const tokenizer::TokenId> ids, bool) const override {
    std::string text;
    for (const tokenizer::TokenId id : ids) text += piece(id);
    return text;
  }

  int64_t vocabulary_size() const override { return 258; }

  std::string piece(tokenizer::TokenId id) const override {
    CPX_CHECK(id >= 0 && id <= kEos, "[byte_tokenizer] id: got {}, expected 0 to {}.", id, kEos);
    if (id == kBos) return "<s>";
    return id == kEos ? "</s>" : std::string(1, static_cast<char>(id));
  }

  std::optional<tokenizer::TokenId> find(std::string_view) const override { return std::nullopt; }
  bool is_special(tokenizer::TokenId id) const override { return id >= kBos; }
  std::optional<tokenizer::TokenId> bos_id() const override { return kBos; }
  std::optional<tokenizer::TokenId> eos_id() const override {
    return has_eos ? std::optional(kEos) : std::nullopt;
  }
  const std::string& chat_template() const override { return template_text; }

 private:
  static void add(tokenizer::TokenId id, size_t begin, size_t end, tokenizer::Encoding& encoding) {
    encoding.ids.push_back(id);
    encoding.offsets.emplace_back(begin, end);
  }

  std::pair<tokenizer::TokenId, size_t> next(std::string_view text) const {
    if (text.starts_with("<s>")) return {kBos, 3};
    if (text.starts_with("</s>")) return {kEos, 4};
    return {static_cast<unsigned char>(text.front()), 1};
  }
};

}  // namespace cpx
