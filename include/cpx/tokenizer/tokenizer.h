// SPDX-License-Identifier: Apache-2.0
// What every tokenizer of cpx offers: text to ids, ids to text, byte offsets, special tokens.
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

/// Ids of a text and, for each, the half-open byte range of the text it stands for; a token that is
/// a part of a character stands for all of it. Special tokens that the tokenizer adds itself have
/// the empty range 0, 0, wherever they stand.
struct Encoding {
  std::vector<TokenId> ids;
  std::vector<std::pair<size_t, size_t>> offsets;
};

/// Turns text into token ids and back. Implementations are immutable after loading and may be used
/// from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of `text` (UTF-8; invalid bytes are replaced by U+FFFD). With `add_special_tokens` the
  /// model's own post-processing applies (BOS and EOS where the tokenizer adds them).
  virtual Encoding encode(std::string_view text, bool add_special_tokens = true) const = 0;

  /// Text of `ids`. Ids above the vocabulary, which a model with a padded embedding may draw, and
  /// ids that stand for no token are nothing; negative ones throw std::invalid_argument.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const = 0;

  /// The highest id of a token, added tokens included, plus one.
  virtual int64_t vocabulary_size() const = 0;

  /// The vocabulary's own spelling of `id` with its mark for a leading space; empty where decode()
  /// gives nothing for want of a token.
  virtual std::string piece(TokenId id) const = 0;

  /// The id whose spelling is `piece`, or nothing.
  virtual std::optional<TokenId> find(std::string_view piece) const = 0;

  /// True for control tokens and for added tokens that are marked special.
  virtual bool is_special(TokenId id) const = 0;

  virtual std::optional<TokenId> bos_id() const = 0;
  virtual std::optional<TokenId> eos_id() const = 0;

  /// Throws TokenBeyondModel (limited.h) where the model has no row for `id`.
  virtual void check_has_row(TokenId) const {}
  /// True where encode() may throw so.
  virtual bool exceeds_model() const { return false; }

  /// The chat template as stored beside the tokenizer (Jinja text); empty where there is none.
  virtual const std::string& chat_template() const = 0;
};

}  // namespace cpx::tokenizer
