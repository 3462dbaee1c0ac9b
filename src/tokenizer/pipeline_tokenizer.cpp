// SPDX-License-Identifier: Apache-2.0
#include "pipeline_tokenizer.h"

#include <unordered_set>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/text.h"

namespace cpx::tokenizer {

bool is_known_id(TokenId id, int64_t size) {
  CPX_CHECK(id >= 0, "[tokenizer] token id {}: expected 0 or more.", id);
  return id < size;
}

std::optional<TokenId> PipelineParts::find(std::string_view piece) const {
  for (const auto& token : added_tokens) {
    if (token.content == piece) return token.id;
  }
  return model->find(piece);
}

BaseVocabulary PipelineParts::base_vocabulary() const {
  std::unordered_set<TokenId> ids;
  for (const auto& [piece, id] : model->vocabulary()) ids.insert(id);
  return {.find = [this](const std::string& piece) { return model->find(piece); },
          .has = [ids = std::move(ids)](TokenId id) { return ids.contains(id); },
          .size = std::ssize(model->vocabulary())};
}

bool PipelineParts::has_added(std::string_view piece) const {
  for (const auto& token : added_tokens) {
    if (token.content == piece) return true;
  }
  return false;
}

PipelineTokenizer::PipelineTokenizer(PipelineParts parts, const std::string& source)
    : parts_(std::move(parts)), added_tokens_(parts_.added_tokens, parts_.normalizer) {
  for (const auto& [piece, id] : parts_.model->vocabulary()) set_piece(id, piece, source);
  for (const auto& token : added_tokens_.tokens()) set_piece(token.id, token.content, source);
  check_special_ids(source);
  for (const TokenId id : parts_.silent_ids) pieces_[static_cast<size_t>(id)].reset();
}

void PipelineTokenizer::set_piece(TokenId id, const std::string& piece, const std::string& source) {
  const auto index = static_cast<size_t>(id);
  if (index >= pieces_.size()) pieces_.resize(index + 1);
  auto& slot = pieces_[index];
  if (slot && *slot != piece) {
    throw_<DataError>("[tokenizer] {}: the tokens {} and {} both have id {}.", source,
                      quote(std::min(*slot, piece)), quote(std::max(*slot, piece)), id);
  }
  slot = piece;
}

void PipelineTokenizer::check_special_ids(const std::string& source) const {
  const auto check = [&](TokenId id) {
    if (id < 0 || id >= vocabulary_size()) {
      throw_<DataError>("[tokenizer] {}: special token id {} is not in the vocabulary of {} ids.",
                        source, id, vocabulary_size());
    }
  };
  for (const TokenId id : parts_.post_processor.before) check(id);
  for (const TokenId id : parts_.post_processor.after) check(id);
}

Encoding PipelineTokenizer::encode(std::string_view text, bool add_special_tokens) const {
  PieceList pieces{AlignedText(text)};
  added_tokens_.split_verbatim(pieces);
  if (parts_.normalizer) pieces.rewrite(parts_.normalizer);
  added_tokens_.split_normalized(pieces);
  if (parts_.pre_tokenizer) parts_.pre_tokenizer(pieces);

  Encoding encoding;
  const auto append_special = [&](const std::vector<TokenId>& ids) {
    if (!add_special_tokens) return;
    encoding.ids.insert(encoding.ids.end(), ids.begin(), ids.end());
    encoding.offsets.insert(encoding.offsets.end(), ids.size(), {0, 0});
  };
  append_special(parts_.post_processor.before);
  append_tokens(pieces, text, encoding);
  append_special(parts_.post_processor.after);
  return encoding;
}

void PipelineTokenizer::append_tokens(const PieceList& pieces, std::string_view original,
                                      Encoding& encoding) const {
  const AlignedText& text = pieces.text();
  bool is_first = true;
  const auto append = [&](TokenId id, ByteRange range) {
    const OriginalRange origin = text.origin(range);
    std::pair<size_t, size_t> offsets{origin.begin, origin.end};
    if (parts_.post_processor.trims_offsets) {
      offsets = trim_offsets(parts_.post_processor, text.view(range), is_first, original, offsets);
    }
    encoding.ids.push_back(id);
    encoding.offsets.push_back(offsets);
    is_first = false;
  };
  std::vector<WordToken> tokens;
  for (const auto& piece : pieces.pieces()) {
    if (piece.token) {
      append(*piece.token, piece.range);
      continue;
    }
    tokens.clear();
    parts_.model->encode(text.view(piece.range), tokens);
    size_t begin = piece.range.begin;
    for (const auto& token : tokens) {
      append(token.id, {begin, begin + token.size});
      begin += token.size;
    }
  }
}

std::string PipelineTokenizer::decode(std::span<const TokenId> ids,
                                      bool skip_special_tokens) const {
  std::vector<std::string> spellings;
  spellings.reserve(ids.size());
  for (const TokenId id : ids) {
    if (!is_known_id(id, vocabulary_size())) continue;
    if (skip_special_tokens && is_special(id)) continue;
    if (added_tokens_.find(id) != nullptr) {
      spellings.push_back(added_tokens_.decoded_spelling(id));
    } else if (const auto& piece = pieces_[static_cast<size_t>(id)]) {
      spellings.push_back(*piece);
    }
  }
  return detokenize(parts_.detokenizer, std::move(spellings));
}

std::string PipelineTokenizer::piece(TokenId id) const {
  if (!is_known_id(id, vocabulary_size())) return {};
  return pieces_[static_cast<size_t>(id)].value_or("");
}

std::optional<TokenId> PipelineTokenizer::find(std::string_view piece) const {
  if (const auto* token = added_tokens_.find(piece)) return token->id;
  return parts_.model->find(piece);
}

bool PipelineTokenizer::is_special(TokenId id) const {
  const auto* token = added_tokens_.find(id);
  return token != nullptr && token->is_special;
}

}  // namespace cpx::tokenizer
