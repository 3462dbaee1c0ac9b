// SPDX-License-Identifier: Apache-2.0
// The interface of all tokenizers: text to ids, ids to text, byte offsets, special tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cpx::tokenizer {

using TokenId = int32_t;

/// The ids of a text and, for each, the half-open byte range of the text that it represents; a
/// token that is a part of a character represents all of it. Special tokens that the tokenizer adds
/// itself have the empty range 0, 0, wherever they are.
struct Encoding {
  std::vector<TokenId> ids;
  std::vector<std::pair<size_t, size_t>> offsets;
};

/// Turns text into token ids and back. Implementations are immutable after loading and may be used
/// from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// The ids of `text` (UTF-8; invalid bytes are replaced by U+FFFD). With `add_special_tokens` the
  /// model's own post-processing applies (BOS and EOS if the tokenizer adds them).
  virtual Encoding encode(std::string_view text, bool add_special_tokens = true) const = 0;

  /// The text of `ids`. Ids above the vocabulary, which a model with a padded embedding may draw,
  /// and ids without a token give no text; negative ids throw std::invalid_argument.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const = 0;

  /// The highest id of a token, added tokens included, plus one.
  virtual int64_t vocabulary_size() const = 0;

  /// The spelling of `id` in the vocabulary, with its mark for a leading space; empty if the id has
  /// no token.
  virtual std::string piece(TokenId id) const = 0;

  /// The id whose spelling is `piece`, or nullopt.
  virtual std::optional<TokenId> find(std::string_view piece) const = 0;

  /// True for control tokens and for added tokens that are marked special.
  virtual bool is_special(TokenId id) const = 0;

  virtual std::optional<TokenId> bos_id() const = 0;
  virtual std::optional<TokenId> eos_id() const = 0;

  /// Throws TokenBeyondModel (limited.h) if the model has no row for `id`.
  virtual void check_has_row(TokenId) const {}
  /// True if encode() may throw TokenBeyondModel.
  virtual bool exceeds_model() const { return false; }

  /// The chat template stored beside the tokenizer (Jinja text); empty if there is none.
  virtual const std::string& chat_template() const = 0;
};

}  // namespace cpx::tokenizer
