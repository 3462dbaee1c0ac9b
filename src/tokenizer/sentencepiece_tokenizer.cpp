// SPDX-License-Identifier: Apache-2.0
#include "sentencepiece_tokenizer.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <sentencepiece_processor.h>

#include "cpx/core/error.h"

namespace cpx::tokenizer {

namespace {

using sentencepiece::SentencePieceProcessor;

// ---- The model file's format: protocol buffers, fields as in sentencepiece_model.proto ----------

constexpr int kVarint = 0;
constexpr int kBytes = 2;
constexpr int kFixed32 = 5;

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
  out += static_cast<char>(value);
}

void append_integer(std::string& out, int field, uint64_t value) {
  append_varint(out, static_cast<uint64_t>(field << 3 | kVarint));
  append_varint(out, value);
}

void append_bytes(std::string& out, int field, std::string_view bytes) {
  append_varint(out, static_cast<uint64_t>(field << 3 | kBytes));
  append_varint(out, bytes.size());
  out += bytes;
}

void append_float(std::string& out, int field, float value) {
  append_varint(out, static_cast<uint64_t>(field << 3 | kFixed32));
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(bits >> shift);
}

constexpr int kModelPieces = 1;
constexpr int kModelTrainer = 2;
constexpr int kModelNormalizer = 3;
constexpr int kTrainerModelType = 3;
constexpr uint64_t kModelTypeBpe = 2;
constexpr int kTrainerByteFallback = 35;
constexpr uint64_t kModelTypeUnigram = 1;
constexpr int kNormalizerCharacterMap = 2;
constexpr int kNormalizerAddsDummyPrefix = 3;
constexpr int kNormalizerRemovesExtraSpaces = 4;

std::string normalizer_message(bool adds_dummy_prefix) {
  std::string message;
  append_integer(message, kNormalizerAddsDummyPrefix, adds_dummy_prefix ? 1 : 0);
  return message;
}

// Reads the fields of a message one after the other; stops at a damaged one.
class FieldReader {
 public:
  explicit FieldReader(std::string_view message) : rest_(message) {}

  bool next() {
    number_ = 0;
    bytes_ = {};
    const uint64_t tag = read_varint();
    if (tag == 0) return false;
    field_ = static_cast<int>(tag >> 3);
    const auto kind = static_cast<int>(tag & 7);
    if (kind == kVarint) {
      number_ = read_varint();
    } else {
      const size_t size = kind == kBytes ? read_varint() : kind == kFixed32 ? 4 : 8;
      bytes_ = rest_.substr(0, size);
      rest_.remove_prefix(bytes_.size());
    }
    return true;
  }

  int field() const { return field_; }
  uint64_t number() const { return number_; }
  std::string_view bytes() const { return bytes_; }

 private:
  uint64_t read_varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7FU) << shift;
      if ((byte & 0x80U) == 0) break;
    }
    return value;
  }

  std::string_view rest_;
  int field_ = 0;
  uint64_t number_ = 0;
  std::string_view bytes_;
};

// ---- The library --------------------------------------------------------------------------------

void load(SentencePieceProcessor& processor, const std::string& model, const std::string& source) {
  const auto status = processor.LoadFromSerializedProto(model);
  if (!status.ok()) {
    throw_<DataError>("[tokenizer] {} is not a sentencepiece model: {}. Is the file complete?",
                      source, status.message());
  }
}

}  // namespace

std::string make_sentencepiece_model(const std::vector<SentencePiece>& pieces,
                                     bool adds_dummy_prefix) {
  std::string model;
  bool has_bytes = false;
  for (const auto& piece : pieces) {
    std::string message;
    append_bytes(message, 1, piece.spelling);
    append_float(message, 2, piece.score);
    append_integer(message, 3, static_cast<uint64_t>(piece.type));
    append_bytes(model, kModelPieces, message);
    has_bytes |= piece.type == SentencePieceType::kByte;
  }
  std::string trainer;
  append_integer(trainer, kTrainerModelType, kModelTypeBpe);
  append_integer(trainer, kTrainerByteFallback, has_bytes ? 1 : 0);
  append_bytes(model, kModelTrainer, trainer);
  std::string normalizer = normalizer_message(adds_dummy_prefix);
  append_integer(normalizer, kNormalizerRemovesExtraSpaces, 0);
  append_bytes(model, kModelNormalizer, normalizer);
  return model;
}

std::optional<TokenId> SentencePieceVocabulary::find(std::string_view piece) const {
  const auto found = ids.find(piece);
  if (found == ids.end()) return std::nullopt;
  return found->second;
}

SentencePieceVocabulary read_sentencepiece_vocabulary(const std::string& model,
                                                      const std::string& source) {
  SentencePieceProcessor processor;
  load(processor, model, source);
  SentencePieceVocabulary vocabulary;
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    vocabulary.ids.emplace(processor.IdToPiece(id), id);
  }
  if (processor.bos_id() >= 0) vocabulary.bos_id = processor.bos_id();
  if (processor.eos_id() >= 0) vocabulary.eos_id = processor.eos_id();
  return vocabulary;
}

UnigramFile read_unigram_file(const std::string& model, const std::string& source) {
  SentencePieceProcessor processor;
  load(processor, model, source);
  UnigramFile file;
  uint64_t type = kModelTypeUnigram;
  for (FieldReader fields(model); fields.next();) {
    for (FieldReader inner(fields.bytes()); fields.field() > kModelPieces && inner.next();) {
      if (fields.field() == kModelTrainer && inner.field() == kTrainerModelType) {
        type = inner.number();
      } else if (fields.field() == kModelNormalizer && inner.field() == kNormalizerCharacterMap) {
        file.character_map = inner.bytes();
      }
    }
  }
  if (type != kModelTypeUnigram) {
    throw_<DataError>("[tokenizer] {}: is a sentencepiece model of type {}, expected 1 (unigram).",
                      source, type);
  }
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    const auto kind = processor.IsControl(id)   ? SentencePieceType::kControl
                      : processor.IsUnknown(id) ? SentencePieceType::kUnknown
                                                : SentencePieceType::kNormal;
    file.pieces.push_back({processor.IdToPiece(id), processor.GetScore(id), kind});
  }
  return file;
}

struct SentencePieceTokenizer::Model {
  SentencePieceProcessor with_prefix;
  SentencePieceProcessor without_prefix;

  Model(const std::string& model, const std::string& source) {
    load(with_prefix, model, source);
    // A message that comes twice is merged: the model as it is, but without the dummy prefix.
    std::string changed = model;
    append_bytes(changed, kModelNormalizer, normalizer_message(/*adds_dummy_prefix=*/false));
    load(without_prefix, changed, source);
  }

  bool has_dummy_prefix() const {
    return with_prefix.Normalize("a") != without_prefix.Normalize("a");
  }
};

SentencePieceTokenizer::SentencePieceTokenizer(const std::string& model,
                                               std::vector<AddedToken> added_tokens,
                                               SentencePieceOptions options, TokenizerTraits traits,
                                               const std::string& source)
    : model_(std::make_unique<const Model>(model, source)),
      options_(options),
      traits_(std::move(traits)) {
  if (!model_->has_dummy_prefix()) options_.dummy_prefix = DummyPrefix::kNone;
  detokenizer_ = llama_detokenizer(/*strips_space=*/options_.dummy_prefix != DummyPrefix::kNone);
  read_pieces(std::move(added_tokens), source);
}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

void SentencePieceTokenizer::read_pieces(std::vector<AddedToken> added_tokens,
                                         const std::string& source) {
  const auto& processor = model_->with_prefix;
  const int size = processor.GetPieceSize();
  for (int id = 0; id < size; ++id) {
    pieces_.push_back(processor.IdToPiece(id));
    ids_.emplace(pieces_.back(), id);
    const auto is_listed = [&](const AddedToken& token) { return token.content == pieces_.back(); };
    const bool is_control = processor.IsControl(id) || processor.IsUnknown(id);
    if (is_control && std::none_of(added_tokens.begin(), added_tokens.end(), is_listed)) {
      added_tokens.push_back({.content = pieces_.back(), .id = id, .is_special = true});
    }
  }
  for (const auto& token : added_tokens) {
    const auto index = static_cast<size_t>(token.id);
    if (index >= pieces_.size()) pieces_.resize(index + 1);
    if (pieces_[index].empty()) pieces_[index] = token.content;
    const auto known = ids_.emplace(token.content, token.id).first->second;
    if (pieces_[index] != token.content || known != token.id) {
      throw_<DataError>("[tokenizer] {}: the added token '{}' has id {}, which is '{}'.", source,
                        token.content, token.id, pieces_[index]);
    }
  }
  added_tokens_ = AddedTokens(std::move(added_tokens), nullptr);
}

Encoding SentencePieceTokenizer::encode(std::string_view text, bool add_special_tokens) const {
  PieceList pieces{AlignedText(text)};
  added_tokens_.split_verbatim(pieces);
  added_tokens_.split_normalized(pieces);

  Encoding encoding;
  const auto append = [&](TokenId id, size_t begin, size_t end) {
    encoding.ids.push_back(id);
    encoding.offsets.emplace_back(begin, end);
  };
  if (add_special_tokens && options_.adds_bos && traits_.bos_id) append(*traits_.bos_id, 0, 0);
  for (const auto& piece : pieces.pieces()) {
    if (piece.token) {
      const OriginalRange origin = pieces.text().origin(piece.range);
      append(*piece.token, origin.begin, origin.end);
    } else {
      append_text(pieces.text(), piece.range, encoding);
    }
  }
  if (add_special_tokens && options_.adds_eos && traits_.eos_id) append(*traits_.eos_id, 0, 0);
  return encoding;
}

void SentencePieceTokenizer::append_text(const AlignedText& text, ByteRange range,
                                         Encoding& encoding) const {
  const bool is_first = text.origin(range.begin).begin == 0;
  const bool has_prefix = options_.dummy_prefix == DummyPrefix::kAlways ||
                          (options_.dummy_prefix == DummyPrefix::kFirst && is_first);
  const auto& processor = has_prefix ? model_->with_prefix : model_->without_prefix;
  const auto result = processor.EncodeAsImmutableProto(text.view(range));
  size_t num_open = 0;  // byte tokens before the last one of their character
  for (size_t i = 0; i < result.pieces_size(); ++i) {
    const auto piece = result.pieces(static_cast<int>(i));
    const auto id = static_cast<TokenId>(piece.id());
    const ByteRange found{range.begin + piece.begin(), range.begin + piece.end()};
    std::pair<size_t, size_t> offsets;
    if (found.size() > 0) {
      const OriginalRange origin = text.origin(found);
      offsets = {origin.begin, origin.end};
    } else {
      const size_t position =
          found.begin < range.end ? text.origin(found.begin).begin : text.origin(range.end - 1).end;
      offsets = {position, position};
    }
    encoding.ids.push_back(id);
    encoding.offsets.push_back(offsets);
    // The library gives a character's range to its last byte; here each byte stands for it.
    if (!processor.IsByte(static_cast<int>(id))) continue;
    if (found.size() == 0) {
      ++num_open;
      continue;
    }
    std::fill(encoding.offsets.end() - static_cast<ptrdiff_t>(num_open) - 1, encoding.offsets.end(),
              offsets);
    num_open = 0;
  }
}

std::string SentencePieceTokenizer::decode(std::span<const TokenId> ids,
                                           bool skip_special_tokens) const {
  std::vector<std::string> spellings;
  spellings.reserve(ids.size());
  for (const TokenId id : ids) {
    if (!is_known_id(id, vocabulary_size())) continue;
    if (skip_special_tokens && is_special(id)) continue;
    if (options_.hides_unused && is_unused(id)) continue;
    spellings.push_back(pieces_[static_cast<size_t>(id)]);
  }
  return detokenize(detokenizer_, std::move(spellings));
}

std::string SentencePieceTokenizer::piece(TokenId id) const {
  if (!is_known_id(id, vocabulary_size())) return {};
  return pieces_[static_cast<size_t>(id)];
}

std::optional<TokenId> SentencePieceTokenizer::find(std::string_view piece) const {
  const auto found = ids_.find(piece);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

bool SentencePieceTokenizer::is_unused(TokenId id) const {
  const auto& processor = model_->with_prefix;
  return id < processor.GetPieceSize() && processor.IsUnused(id);
}

bool SentencePieceTokenizer::is_special(TokenId id) const {
  const auto* token = added_tokens_.find(id);
  return token != nullptr && token->is_special;
}

}  // namespace cpx::tokenizer
