// SPDX-License-Identifier: Apache-2.0
#include "bpe.h"

#include <algorithm>
#include <mutex>
#include <queue>

#include "cpx/core/error.h"
#include "cpx/core/utf8.h"

namespace cpx::tokenizer {

namespace {

constexpr size_t kMaxCachedWords = 50'000;
constexpr size_t kMaxCachedBytes = 64;  // of one word
constexpr int64_t kNone = -1;

struct Candidate {
  uint32_t rank;
  int64_t position;
  TokenId result;

  // std::priority_queue takes the greatest first.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

// Neighbours of a symbol that is still there; a symbol of size 0 was joined to its left neighbour.
struct Links {
  int64_t previous;
  int64_t next;
};

}  // namespace

Bpe::Bpe(StringMap<TokenId> vocabulary, MergeMap merges, BpeOptions options)
    : WordModel(std::move(vocabulary)), merges_(std::move(merges)), options_(options) {
  for (int byte = 0; byte < 256; ++byte) byte_ids_.push_back(find(fmt::format("<0x{:02X}>", byte)));
}

void Bpe::add_merge(const StringMap<TokenId>& vocabulary, std::string_view left,
                    std::string_view right, size_t rank, const std::function<std::string()>& where,
                    MergeMap& merges) {
  const auto id_of = [&](std::string_view piece) {
    const auto found = vocabulary.find(piece);
    if (found == vocabulary.end()) {
      throw_<DataError>("{} joins '{}' and '{}', but '{}' is not in the vocabulary.", where(), left,
                        right, piece);
    }
    return found->second;
  };
  const Merge merge{static_cast<uint32_t>(rank), id_of(std::string(left) + std::string(right))};
  merges.insert_or_assign(pair_key(id_of(left), id_of(right)), merge);
}

void Bpe::encode(std::string_view word, std::vector<WordToken>& tokens) const {
  if (options_.ignores_merges) {
    if (const auto id = find(word)) {
      tokens.push_back({*id, static_cast<uint32_t>(word.size())});
      return;
    }
  }
  const bool is_cacheable = word.size() <= kMaxCachedBytes;
  if (is_cacheable) {
    const std::shared_lock lock(cache_mutex_);
    const auto cached = cache_.find(word);
    if (cached != cache_.end()) {
      tokens.insert(tokens.end(), cached->second.begin(), cached->second.end());
      return;
    }
  }
  auto word_tokens = split_characters(word);
  merge(word_tokens);
  tokens.insert(tokens.end(), word_tokens.begin(), word_tokens.end());
  if (is_cacheable) {
    const std::unique_lock lock(cache_mutex_);
    if (cache_.size() < kMaxCachedWords) cache_.emplace(word, std::move(word_tokens));
  }
}

bool Bpe::append_bytes(std::string_view character, std::vector<WordToken>& tokens) const {
  const auto id_of = [this](char byte) { return byte_ids_[static_cast<uint8_t>(byte)]; };
  if (!std::all_of(character.begin(), character.end(), id_of)) return false;
  for (const char byte : character) tokens.push_back({*id_of(byte), 1});
  return true;
}

std::vector<WordToken> Bpe::split_characters(std::string_view word) const {
  std::vector<WordToken> tokens;
  tokens.reserve(word.size());
  // Not yet appended: the peer appends unknown characters before the next known one.
  std::optional<WordToken> unknown;
  const auto flush = [&] {
    if (unknown) tokens.push_back(*unknown);
    unknown.reset();
  };
  for (size_t position = 0; position < word.size();) {
    const size_t length = decode_utf8(word, position).length;
    const auto character = word.substr(position, length);
    const auto size = static_cast<uint32_t>(length);
    position += length;
    if (const auto id = find(character)) {
      flush();
      tokens.push_back({*id, size});
    } else if (options_.has_byte_fallback && append_bytes(character, tokens)) {
      continue;
    } else if (!options_.unknown_id) {
      // Dropped; its bytes go to the neighbour on the left, so that later offsets stay right.
      if (!tokens.empty()) tokens.back().size += size;
    } else if (unknown && options_.fuses_unknown) {
      unknown->size += size;
    } else {
      flush();
      unknown = WordToken{*options_.unknown_id, size};
    }
  }
  flush();
  return tokens;
}

void Bpe::merge(std::vector<WordToken>& tokens) const {
  const auto count = static_cast<int64_t>(tokens.size());
  if (count < 2) return;
  std::vector<Links> links;
  links.reserve(tokens.size());
  for (int64_t i = 0; i < count; ++i) links.push_back({i - 1, i + 1 < count ? i + 1 : kNone});

  const auto merge_at = [&](int64_t left) -> const Merge* {
    if (left == kNone || links[left].next == kNone) return nullptr;
    const auto found = merges_.find(pair_key(tokens[left].id, tokens[links[left].next].id));
    return found == merges_.end() ? nullptr : &found->second;
  };
  std::priority_queue<Candidate> queue;
  const auto propose = [&](int64_t left) {
    if (const Merge* merge = merge_at(left)) queue.push({merge->rank, left, merge->result});
  };
  for (int64_t i = 0; i + 1 < count; ++i) propose(i);

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const int64_t left = best.position;
    if (tokens[left].size == 0) continue;
    // The pair may have changed since it was proposed.
    const Merge* merge = merge_at(left);
    if (merge == nullptr || merge->result != best.result) continue;
    const int64_t right = links[left].next;
    tokens[left] = {best.result, tokens[left].size + tokens[right].size};
    tokens[right].size = 0;
    links[left].next = links[right].next;
    if (links[right].next != kNone) links[links[right].next].previous = left;
    propose(links[left].previous);
    propose(left);
  }
  std::erase_if(tokens, [](const WordToken& token) { return token.size == 0; });
}

}  // namespace cpx::tokenizer
