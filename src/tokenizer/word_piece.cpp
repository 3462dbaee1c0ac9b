// SPDX-License-Identifier: Apache-2.0
#include "word_piece.h"

#include <algorithm>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/text_file.h"
#include "cpx/core/utf8.h"
#include "pipeline_tokenizer.h"
#include "regex.h"

namespace cpx::tokenizer {

namespace {

// Start of the character that ends before `end`.
size_t start_of_last_character(std::string_view text, size_t end) {
  size_t position = end - 1;
  while (position > 0 && (text[position] & 0xC0) == 0x80) --position;
  return position;
}

size_t num_characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char byte) { return (byte & 0xC0) != 0x80; }));
}

std::string_view without_trailing_space(std::string_view line) {
  while (!line.empty()) {
    const size_t last = start_of_last_character(line, line.size());
    if (!is_white_space(decode_utf8(line, last).code_point)) break;
    line = line.substr(0, last);
  }
  return line;
}

}  // namespace

WordPiece::WordPiece(StringMap<TokenId> vocabulary, WordPieceOptions options)
    : WordModel(std::move(vocabulary)), options_(std::move(options)) {
  for (const auto& [piece, id] : this->vocabulary()) longest_ = std::max(longest_, piece.size());
}

void WordPiece::encode(std::string_view word, std::vector<WordToken>& tokens) const {
  const size_t num_before = tokens.size();
  const auto set_unknown = [&] {
    tokens.resize(num_before);
    tokens.push_back({options_.unknown_id, static_cast<uint32_t>(word.size())});
  };
  if (num_characters(word) > options_.most_characters) return set_unknown();
  std::string piece;
  for (size_t begin = 0; begin < word.size();) {
    size_t end = std::min(word.size(), begin + longest_);
    if (end < word.size()) end = start_of_last_character(word, end + 1);
    std::optional<TokenId> id;
    for (; end > begin; end = start_of_last_character(word, end)) {
      piece.assign(begin > 0 ? options_.continuation : "");
      piece += word.substr(begin, end - begin);
      id = find(piece);
      if (id) break;
    }
    if (!id) return set_unknown();
    tokens.push_back({*id, static_cast<uint32_t>(end - begin)});
    begin = end;
  }
}

StringMap<TokenId> read_vocab_txt(const std::filesystem::path& file) {
  const std::string content = read_text(file);
  StringMap<TokenId> vocabulary;
  TokenId id = 0;
  for (std::string_view rest = content; !rest.empty(); ++id) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const auto token = without_trailing_space(rest.substr(0, end));
    vocabulary.insert_or_assign(std::string(token), id);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (vocabulary.empty() || id > kMaxVocabularySize) {
    throw_<DataError>("[tokenizer] {}: got {} lines, expected 1 to {} with a token each.",
                      file.string(), id, kMaxVocabularySize);
  }
  return vocabulary;
}

}  // namespace cpx::tokenizer
