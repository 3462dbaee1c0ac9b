// SPDX-License-Identifier: Apache-2.0
// Byte pair encoding of one word: characters are joined pair by pair, best rank first.
// Source: Sennrich, Haddow, Birch, "Neural Machine Translation of Rare Words with Subword Units",
// ACL 2016, section 3.2; options as in tokenizer.json's model of type BPE.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cpx/tokenizer/tokenizer.h"

namespace cpx::tokenizer {

/// Lets maps with string keys be asked with a std::string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

struct BpeOptions {
  /// Spelling and id of the token for what the vocabulary cannot spell; none: it is dropped.
  std::optional<TokenId> unknown_id = {};
  bool fuses_unknown = false;
  /// Characters outside the vocabulary become tokens <0x00> to <0xFF>.
  bool has_byte_fallback = false;
  /// A word that is a token as a whole is that token.
  bool ignores_merges = false;
};

/// A token of a word and how many of the word's bytes it stands for.
struct WordToken {
  TokenId id;
  uint32_t size;
};

/// Immutable but for a cache of words; may be used from several threads at once.
class Bpe {
 public:
  /// What two neighbours become, and how early: lower ranks first, then the leftmost.
  struct Merge {
    uint32_t rank;
    TokenId result;
  };
  using MergeMap = std::unordered_map<uint64_t, Merge>;

  Bpe(StringMap<TokenId> vocabulary, MergeMap merges, BpeOptions options);

  /// The map's entry for joining `left` and `right` with `rank`. Throws DataError, starting with
  /// what `where` returns, where a part or what they join to is not in `vocabulary`.
  static void add_merge(const StringMap<TokenId>& vocabulary, std::string_view left,
                        std::string_view right, size_t rank,
                        const std::function<std::string()>& where, MergeMap& merges);

  /// Appends the tokens of `word` to `tokens`.
  void encode(std::string_view word, std::vector<WordToken>& tokens) const;

  std::optional<TokenId> find(std::string_view piece) const;
  const StringMap<TokenId>& vocabulary() const { return vocabulary_; }

  static uint64_t pair_key(TokenId left, TokenId right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) |
           static_cast<uint32_t>(right);
  }

 private:
  std::vector<WordToken> split_characters(std::string_view word) const;
  bool append_bytes(std::string_view character, std::vector<WordToken>& tokens) const;
  void merge(std::vector<WordToken>& tokens) const;

  StringMap<TokenId> vocabulary_;
  MergeMap merges_;
  BpeOptions options_;
  std::vector<std::optional<TokenId>> byte_ids_;

  mutable std::shared_mutex cache_mutex_;
  mutable StringMap<std::vector<WordToken>> cache_;
};

}  // namespace cpx::tokenizer
