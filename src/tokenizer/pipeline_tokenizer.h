// SPDX-License-Identifier: Apache-2.0
// Byte pair encoding tokenizers as tokenizer.json describes them: added tokens, normalizer,
// pre-tokenizer, model, post-processor, detokenizer. A GGUF's byte-level vocabulary is one as well.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "added_tokens.h"
#include "cpx/tokenizer/tokenizer.h"
#include "detokenizer.h"
#include "normalizer.h"
#include "post_processor.h"
#include "pre_tokenizer.h"
#include "word_model.h"

namespace cpx::tokenizer {

/// What every tokenizer knows beside its vocabulary.
struct TokenizerTraits {
  std::optional<TokenId> bos_id;
  std::optional<TokenId> eos_id;
  std::string chat_template;
};

/// Highest number of ids that a vocabulary may have; keeps a damaged file from taking all memory.
inline constexpr int64_t kMaxVocabularySize = int64_t{1} << 24;

struct PipelineParts {
  std::unique_ptr<const WordModel> model;
  std::vector<AddedToken> added_tokens;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  PostProcessor post_processor;
  Detokenizer detokenizer;
  TokenizerTraits traits;

  /// Ids that are decoded to nothing (a GGUF's padding tokens).
  std::vector<TokenId> silent_ids;

  /// The id spelled like that, added tokens first.
  std::optional<TokenId> find(std::string_view piece) const;
  /// The model's own tokens; valid while `model` lives.
  BaseVocabulary base_vocabulary() const;
  /// True where an added token has that spelling.
  bool has_added(std::string_view piece) const;
};

class PipelineTokenizer final : public Tokenizer {
 public:
  /// `source` (a file's name) is for messages; throws DataError on ids that collide or that are
  /// not of the vocabulary.
  PipelineTokenizer(PipelineParts parts, const std::string& source);

  Encoding encode(std::string_view text, bool add_special_tokens) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const override;
  int64_t vocabulary_size() const override { return static_cast<int64_t>(pieces_.size()); }
  std::string piece(TokenId id) const override;
  std::optional<TokenId> find(std::string_view piece) const override;
  bool is_special(TokenId id) const override;
  std::optional<TokenId> bos_id() const override { return parts_.traits.bos_id; }
  std::optional<TokenId> eos_id() const override { return parts_.traits.eos_id; }
  const std::string& chat_template() const override { return parts_.traits.chat_template; }

 private:
  void set_piece(TokenId id, const std::string& piece, const std::string& source);
  void check_special_ids(const std::string& source) const;
  void append_tokens(const PieceList& pieces, std::string_view original, Encoding& encoding) const;

  PipelineParts parts_;
  AddedTokens added_tokens_;
  // By id; an id that stands for nothing has none.
  std::vector<std::optional<std::string>> pieces_;
};

/// True where `id` is one of `size` ids, false above them; throws std::invalid_argument below 0.
bool is_known_id(TokenId id, int64_t size);

}  // namespace cpx::tokenizer
