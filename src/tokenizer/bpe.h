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

#include "word_model.h"

namespace cpx::tokenizer {

struct BpeOptions {
  /// Spelling and id of the token for what the vocabulary cannot spell; none: it is dropped.
  std::optional<TokenId> unknown_id = {};
  bool fuses_unknown = false;
  /// Characters outside the vocabulary become tokens <0x00> to <0xFF>.
  bool has_byte_fallback = false;
  /// A word that is a token as a whole is that token.
  bool ignores_merges = false;
};

/// Immutable but for a cache of words; may be used from several threads at once.
class Bpe final : public WordModel {
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

  void encode(std::string_view word, std::vector<WordToken>& tokens) const override;

  static uint64_t pair_key(TokenId left, TokenId right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) |
           static_cast<uint32_t>(right);
  }

 private:
  std::vector<WordToken> split_characters(std::string_view word) const;
  bool append_bytes(std::string_view character, std::vector<WordToken>& tokens) const;
  void merge(std::vector<WordToken>& tokens) const;

  MergeMap merges_;
  BpeOptions options_;
  std::vector<std::optional<TokenId>> byte_ids_;

  mutable std::shared_mutex cache_mutex_;
  mutable StringMap<std::vector<WordToken>> cache_;
};

}  // namespace cpx::tokenizer
