// SPDX-License-Identifier: Apache-2.0
#include "added_tokens.h"

#include <algorithm>

#include "cpx/core/log.h"
#include "cpx/core/text.h"
#include "cpx/core/utf8.h"
#include "regex.h"

namespace cpx::tokenizer {

namespace {

// Characters of words: Alphabetic, marks, decimal digits, connectors, joiners.
const Regex& word_character() {
  static const Regex regex(
      "[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200C}\\x{200D}\\x{24B6}-\\x{24E9}"
      "\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}]");
  return regex;
}

// Start of the character that ends before `end` (> 0).
size_t previous_character(std::string_view text, size_t end) {
  size_t position = end - 1;
  while (position > 0 && (text[position] & 0xC0) == 0x80) --position;
  return position;
}

bool is_word_at(std::string_view text, size_t position) {
  const size_t length = decode_utf8(text, position).length;
  return word_character().find(text.substr(position, length), 0).has_value();
}

bool is_single_word(std::string_view text, ByteRange range) {
  if (range.begin > 0 && is_word_at(text, previous_character(text, range.begin))) return false;
  return range.end == text.size() || !is_word_at(text, range.end);
}

// Where the white space in front of `position` starts, not before `floor`.
size_t skip_spaces_left(std::string_view text, size_t position, size_t floor) {
  while (position > floor) {
    const size_t previous = previous_character(text, position);
    if (!is_white_space(decode_utf8(text, previous).code_point)) break;
    position = previous;
  }
  return position;
}

size_t skip_spaces_right(std::string_view text, size_t position) {
  while (position < text.size()) {
    const auto character = decode_utf8(text, position);
    if (!is_white_space(character.code_point)) break;
    position += character.length;
  }
  return position;
}

}  // namespace

void number_added_tokens(std::vector<AddedToken>& tokens, const BaseVocabulary& vocabulary,
                         const std::string& source) {
  auto next = static_cast<TokenId>(vocabulary.size);
  std::unordered_map<std::string, TokenId> numbered;
  for (AddedToken& token : tokens) {
    const auto known = vocabulary.find(token.content);
    const auto before = numbered.find(token.content);
    TokenId id = known ? *known : before != numbered.end() ? before->second : next;
    const bool is_new = !known && before == numbered.end();
    if (is_new && vocabulary.has(id) && token.id != AddedToken::kNoId) id = token.id;
    if (token.id != AddedToken::kNoId && token.id != id) {
      log_warning(
          "[tokenizer] {}: the added token {} is given id {} and has {}, as in Hugging Face's "
          "tokenizers, which number added tokens behind the vocabulary's {}.",
          source, quote(token.content), token.id, id, vocabulary.size);
    }
    token.id = id;
    numbered.emplace(token.content, id);
    next = std::max(next, id + 1);
  }
}

void ByteTrie::insert(std::string_view key, int32_t value) {
  if (!key.empty()) starts_[static_cast<uint8_t>(key[0])] = true;
  uint32_t node = 0;
  for (const char c : key) {
    const uint64_t edge = uint64_t{node} * 256 + static_cast<uint8_t>(c);
    const auto [child, is_new] = children_.emplace(edge, static_cast<uint32_t>(nodes_.size()));
    if (is_new) nodes_.push_back(kNoValue);
    node = child->second;
  }
  if (nodes_[node] == kNoValue) nodes_[node] = value;
}

std::optional<ByteTrie::Match> ByteTrie::longest_match(std::string_view text,
                                                       size_t position) const {
  if (!starts_[static_cast<uint8_t>(text[position])]) return std::nullopt;
  std::optional<Match> best;
  uint32_t node = 0;
  for (size_t end = position; end < text.size();) {
    const auto child = children_.find(uint64_t{node} * 256 + static_cast<uint8_t>(text[end]));
    if (child == children_.end()) break;
    node = child->second;
    ++end;
    if (nodes_[node] != kNoValue) best = {nodes_[node], end - position};
  }
  return best;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer)
    : tokens_(std::move(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    index_by_id_.emplace(token.id, i);
    index_by_content_.emplace(token.content, i);
    spellings_.push_back(token.normalized ? normalize(normalizer, token.content) : token.content);
    if (spellings_.back().empty()) continue;
    auto& trie = token.normalized ? normalized_ : verbatim_;
    trie.insert(spellings_.back(), static_cast<int32_t>(i));
  }
}

const AddedToken* AddedTokens::find(TokenId id) const {
  const auto found = index_by_id_.find(id);
  return found == index_by_id_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = index_by_content_.find(std::string(content));
  return found == index_by_content_.end() ? nullptr : &tokens_[found->second];
}

const std::string& AddedTokens::decoded_spelling(TokenId id) const {
  return spellings_[index_by_id_.at(id)];
}

void AddedTokens::split(PieceList& pieces, const ByteTrie& trie) const {
  if (trie.is_empty()) return;
  pieces.split([&](std::string_view text, const PieceList::Emit& emit) {
    size_t done = 0;
    for (size_t position = 0; position < text.size();) {
      const auto match = trie.longest_match(text, position);
      if (!match) {
        ++position;
        continue;
      }
      const AddedToken& token = tokens_[static_cast<size_t>(match->value)];
      ByteRange range{position, position + match->length};
      position = range.end;
      if (token.single_word && !is_single_word(text, range)) continue;
      if (token.lstrip) range.begin = skip_spaces_left(text, range.begin, done);
      if (token.rstrip) range.end = skip_spaces_right(text, range.end);
      // White space that the token before took with it may have been a token of its own.
      if (range.end <= done) continue;
      range.begin = std::max(range.begin, done);
      emit({done, range.begin}, std::nullopt);
      emit(range, token.id);
      done = range.end;
    }
    emit({done, text.size()}, std::nullopt);
  });
}

}  // namespace cpx::tokenizer
