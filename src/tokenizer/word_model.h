// SPDX-License-Identifier: Apache-2.0
// What cuts a word into the tokens of a vocabulary: the `model` of a tokenizer.json.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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

/// A token of a word and how many of the word's bytes it stands for.
struct WordToken {
  TokenId id;
  uint32_t size;
};

/// The vocabulary, and how a word becomes tokens. May be used from several threads at once.
class WordModel {
 public:
  explicit WordModel(StringMap<TokenId> vocabulary) : vocabulary_(std::move(vocabulary)) {}
  virtual ~WordModel() = default;

  /// Appends the tokens of `word` to `tokens`.
  virtual void encode(std::string_view word, std::vector<WordToken>& tokens) const = 0;

  std::optional<TokenId> find(std::string_view piece) const {
    const auto found = vocabulary_.find(piece);
    if (found == vocabulary_.end()) return std::nullopt;
    return found->second;
  }
  const StringMap<TokenId>& vocabulary() const { return vocabulary_; }

 private:
  StringMap<TokenId> vocabulary_;
};

}  // namespace cpx::tokenizer
