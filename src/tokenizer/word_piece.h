// SPDX-License-Identifier: Apache-2.0
// WordPiece: the longest token that begins a word, then the longest that goes on, and so on.
// Source: Devlin et al., "BERT", arXiv 1810.04805, and its released tokenizer; options as in
// tokenizer.json's model of type WordPiece.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "word_model.h"

namespace cpx::tokenizer {

struct WordPieceOptions {
  TokenId unknown_id = 0;           // of a word that tokens cannot spell
  std::string continuation = "##";  // in front of a token within a word
  size_t most_characters = 100;     // of a word; a longer one is unknown
};

/// Immutable after construction.
class WordPiece final : public WordModel {
 public:
  WordPiece(StringMap<TokenId> vocabulary, WordPieceOptions options);

  void encode(std::string_view word, std::vector<WordToken>& tokens) const override;

 private:
  WordPieceOptions options_;
  size_t longest_ = 0;  // bytes of a token
};

/// The vocabulary of a vocab.txt: one token a line, its id is the number of its line from 0.
/// Throws DataError if there is none.
StringMap<TokenId> read_vocab_txt(const std::filesystem::path& file);

}  // namespace cpx::tokenizer
