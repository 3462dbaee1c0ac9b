// SPDX-License-Identifier: Apache-2.0
// Tokenizers on the sentencepiece library: tokenizer.model files, and the "llama" vocabulary of a
// GGUF. Added tokens are cut out first, as Llama's tokenizers do.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "added_tokens.h"
#include "cpx/tokenizer/gguf_vocabulary.h"
#include "cpx/tokenizer/tokenizer.h"
#include "detokenizer.h"
#include "pipeline_tokenizer.h"

namespace cpx::tokenizer {

/// What a piece of a sentencepiece model is: GGUF has the values of the model file.
using SentencePieceType = GgufTokenType;

struct SentencePiece {
  std::string spelling;
  float score = 0;
  SentencePieceType type = SentencePieceType::kNormal;
};

/// A model of type BPE over `pieces`, serialised as a sentencepiece model file: the text is not
/// normalised, spaces are kept.
std::string make_sentencepiece_model(const std::vector<SentencePiece>& pieces,
                                     bool adds_dummy_prefix);

/// What a model file says itself about its tokens.
struct SentencePieceVocabulary {
  StringMap<TokenId> ids;
  std::optional<int64_t> bos_id;
  std::optional<int64_t> eos_id;

  std::optional<TokenId> find(std::string_view piece) const;
};

/// Reads the bytes of a model file; throws DataError, naming `source`, where they are damaged.
SentencePieceVocabulary read_sentencepiece_vocabulary(const std::string& model,
                                                      const std::string& source);

/// A model file of type unigram.
struct UnigramFile {
  std::vector<SentencePiece> pieces;  // by id
  std::string character_map;          // see CharacterMap; may be empty
};

/// Reads the bytes of a model file; throws DataError, naming `source`, where they are damaged, and
/// for a model of another type.
UnigramFile read_unigram_file(const std::string& model, const std::string& source);

/// Before which stretches of text the model's dummy prefix (a space) stands.
enum class DummyPrefix {
  kNone,
  /// Only at the start of the whole text ("new" behaviour of Llama's tokenizers).
  kFirst,
  /// After every added token as well ("legacy").
  kAlways,
};

struct SentencePieceOptions {
  DummyPrefix dummy_prefix = DummyPrefix::kAlways;
  bool adds_bos = true;
  bool adds_eos = false;
  bool hides_unused = false;  // pieces of type kUnused decode to nothing, as in llama.cpp
};

/// A loaded model and what stands beside it.
class SentencePieceTokenizer final : public Tokenizer {
 public:
  /// `model` holds the bytes of a model file, `source` (its name) is for messages. Control pieces
  /// of the model are added tokens as well, special ones. Throws DataError on a damaged model and
  /// on ids that collide.
  SentencePieceTokenizer(const std::string& model, std::vector<AddedToken> added_tokens,
                         SentencePieceOptions options, TokenizerTraits traits,
                         const std::string& source);
  ~SentencePieceTokenizer() override;

  Encoding encode(std::string_view text, bool add_special_tokens) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const override;
  int64_t vocabulary_size() const override { return static_cast<int64_t>(pieces_.size()); }
  std::string piece(TokenId id) const override;
  std::optional<TokenId> find(std::string_view piece) const override;
  bool is_special(TokenId id) const override;
  std::optional<TokenId> bos_id() const override { return traits_.bos_id; }
  std::optional<TokenId> eos_id() const override { return traits_.eos_id; }
  const std::string& chat_template() const override { return traits_.chat_template; }

 private:
  struct Model;

  void read_pieces(std::vector<AddedToken> added_tokens, const std::string& source);
  bool is_unused(TokenId id) const;
  void append_text(const AlignedText& text, ByteRange range, Encoding& encoding) const;

  std::unique_ptr<const Model> model_;
  AddedTokens added_tokens_;
  SentencePieceOptions options_;
  TokenizerTraits traits_;
  std::vector<std::string> pieces_;
  StringMap<TokenId> ids_;
  Detokenizer detokenizer_;
};

}  // namespace cpx::tokenizer
