// SPDX-License-Identifier: Apache-2.0
// A tokenizer whose merges can be read off a list: at each place the longest piece that fits is a
// token (its number in the list + 300), else the byte itself; BOS is 256, EOS is 257.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "byte_tokenizer.h"

namespace cpx {

class PieceTokenizer final : public tokenizer::Tokenizer {
 public:
  static constexpr tokenizer::TokenId kFirstPiece = 300;

  explicit PieceTokenizer(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}

  bool adds_bos = true;
  bool adds_eos = false;

  tokenizer::Encoding encode(std::string_view text, bool add_special_tokens) const override {
    tokenizer::Encoding encoding;
    if (add_special_tokens && adds_bos) add(ByteTokenizer::kBos, 0, 0, encoding);
    for (size_t at = 0; at < text.size();) {
      const auto [id, length] = next(text.substr(at));
      add(id, at, at + length, encoding);
      at += length;
    }
    // As the tokenizers of cpx do: special tokens they add have the range 0, 0 wherever they stand.
    if (add_special_tokens && adds_eos) add(ByteTokenizer::kEos, 0, 0, encoding);
    return encoding;
  }

  std::string decode(std::span<const tokenizer::TokenId> ids, bool) const override {
    std::string text;
    for (const tokenizer::TokenId id : ids) text += piece(id);
    return text;
  }

  int64_t vocabulary_size() const override { return kFirstPiece + std::ssize(pieces_); }
  std::string piece(tokenizer::TokenId id) const override {
    return id < kFirstPiece ? bytes_.piece(id) : pieces_.at(id - kFirstPiece);
  }
  std::optional<tokenizer::TokenId> find(std::string_view) const override { return std::nullopt; }
  bool is_special(tokenizer::TokenId id) const override { return bytes_.is_special(id); }
  std::optional<tokenizer::TokenId> bos_id() const override { return bytes_.bos_id(); }
  std::optional<tokenizer::TokenId> eos_id() const override { return bytes_.eos_id(); }
  const std::string& chat_template() const override { return bytes_.template_text; }

 private:
  static void add(tokenizer::TokenId id, size_t begin, size_t end, tokenizer::Encoding& encoding) {
    encoding.ids.push_back(id);
    encoding.offsets.emplace_back(begin, end);
  }

  std::pair<tokenizer::TokenId, size_t> next(std::string_view text) const {
    std::pair<tokenizer::TokenId, size_t> best = {static_cast<unsigned char>(text.front()), 1};
    if (text.starts_with("<s>")) best = {ByteTokenizer::kBos, 3};
    if (text.starts_with("</s>")) best = {ByteTokenizer::kEos, 4};
    for (size_t i = 0; i < pieces_.size(); ++i) {
      if (pieces_[i].size() > best.second && text.starts_with(pieces_[i])) {
        best = {kFirstPiece + static_cast<tokenizer::TokenId>(i), pieces_[i].size()};
      }
    }
    return best;
  }

  std::vector<std::string> pieces_;
  ByteTokenizer bytes_;
};

}  // namespace cpx
