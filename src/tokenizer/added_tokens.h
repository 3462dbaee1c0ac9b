// SPDX-License-Identifier: Apache-2.0
// Tokens that are found in the text before anything else: control tokens and what users added.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "aligned_text.h"
#include "cpx/tokenizer/tokenizer.h"
#include "normalizer.h"

namespace cpx::tokenizer {

/// A token that is found as a whole; the flags are those of tokenizer.json's `added_tokens`.
struct AddedToken {
  /// Of a token that a file names without its id.
  static constexpr TokenId kNoId = -1;

  std::string content;
  TokenId id = 0;
  /// Not found inside a longer word.
  bool single_word = false;
  /// Takes the white space on that side with it.
  bool lstrip = false;
  bool rstrip = false;
  /// Found in the normalised text in its normalised form, instead of in the text as it is.
  bool normalized = false;
  bool is_special = false;
};

/// The vocabulary that tokens are added to.
struct BaseVocabulary {
  std::function<std::optional<TokenId>(const std::string&)> find;
  std::function<bool(TokenId)> has;  // whether a token has that id
  int64_t size = 0;                  // number of tokens
};

/// Numbers `tokens` as Hugging Face's tokenizers 0.23 (AddedVocabulary::add_tokens) does, whatever
/// the files say: a token of the vocabulary has its id there, every other one the number after the
/// highest one before it, the first of them the vocabulary's size. Tells where that is another id
/// than the file's, which stays only where its number is taken. `source` is for messages.
void number_added_tokens(std::vector<AddedToken>& tokens, const BaseVocabulary& vocabulary,
                         const std::string& source);

/// Byte strings with a number each; finds the longest of them that starts at a position.
class ByteTrie {
 public:
  /// `value` must not be negative; a string that is there already keeps its value.
  void insert(std::string_view key, int32_t value);
  struct Match {
    int32_t value;
    size_t length;
  };
  std::optional<Match> longest_match(std::string_view text, size_t position) const;
  bool is_empty() const { return nodes_.size() == 1; }

 private:
  static constexpr int32_t kNoValue = -1;
  // Child of a node for a byte: key node * 256 + byte.
  std::unordered_map<uint64_t, uint32_t> children_;
  std::vector<int32_t> nodes_ = {kNoValue};
  std::array<bool, 256> starts_ = {};
};

/// The added tokens of a tokenizer.
class AddedTokens {
 public:
  AddedTokens() = default;
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer);

  /// Cuts the tokens that are not normalised out of the open pieces; call before normalisation.
  void split_verbatim(PieceList& pieces) const { split(pieces, verbatim_); }
  /// Cuts the normalised tokens out; call after normalisation.
  void split_normalized(PieceList& pieces) const { split(pieces, normalized_); }

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  /// The token of that id, or null.
  const AddedToken* find(TokenId id) const;
  /// The token spelled like that, or null.
  const AddedToken* find(std::string_view content) const;
  /// How the token of that id is spelled when it is decoded: its normalised form where it has one.
  const std::string& decoded_spelling(TokenId id) const;

 private:
  void split(PieceList& pieces, const ByteTrie& trie) const;

  std::vector<AddedToken> tokens_;
  std::vector<std::string> spellings_;  // normalised where the token is
  std::unordered_map<TokenId, size_t> index_by_id_;
  std::unordered_map<std::string, size_t> index_by_content_;
  ByteTrie verbatim_;
  ByteTrie normalized_;
};

}  // namespace cpx::tokenizer
