// SPDX-License-Identifier: Apache-2.0
#include "aligned_text.h"

#include <limits>

#include "cpx/core/error.h"
#include "cpx/core/utf8.h"

namespace cpx::tokenizer {

AlignedText::AlignedText(std::string_view text) {
  CPX_CHECK(text.size() <= std::numeric_limits<uint32_t>::max(),
            "[encode] text is {} bytes long, expected less than 4 GiB.", text.size());
  reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    const auto character = decode_utf8(text, position);
    const OriginalRange origin{static_cast<uint32_t>(position),
                               static_cast<uint32_t>(position + character.length)};
    const bool is_replaced = character.code_point == 0xFFFD && character.length == 1;
    append(is_replaced ? "\xEF\xBF\xBD" : text.substr(position, character.length), origin);
    position += character.length;
  }
}

void AlignedText::append(std::string_view bytes, OriginalRange origin) {
  bytes_ += bytes;
  origins_.insert(origins_.end(), bytes.size(), origin);
}

void AlignedText::append(const AlignedText& source, ByteRange range) {
  bytes_.append(source.bytes_, range.begin, range.size());
  const auto first = source.origins_.begin();
  origins_.insert(origins_.end(), first + static_cast<ptrdiff_t>(range.begin),
                  first + static_cast<ptrdiff_t>(range.end));
}

void AlignedText::reserve(size_t size) {
  bytes_.reserve(size);
  origins_.reserve(size);
}

namespace {

// Joins a separator with its neighbour, as seen from the side `parts` is read.
std::vector<ByteRange> merge_forward(const std::vector<SplitPart>& parts) {
  std::vector<ByteRange> result;
  bool was_match = false;
  for (const auto& part : parts) {
    if (part.is_match && !was_match && !result.empty()) {
      result.back().end = part.range.end;
    } else {
      result.push_back(part.range);
    }
    was_match = part.is_match;
  }
  return result;
}

std::vector<ByteRange> merge_backward(const std::vector<SplitPart>& parts) {
  std::vector<ByteRange> reversed;
  bool was_match = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->is_match && !was_match && !reversed.empty()) {
      reversed.back().begin = part->range.begin;
    } else {
      reversed.push_back(part->range);
    }
    was_match = part->is_match;
  }
  return {reversed.rbegin(), reversed.rend()};
}

std::vector<ByteRange> join_runs(const std::vector<SplitPart>& parts) {
  std::vector<ByteRange> result;
  bool was_match = false;
  for (const auto& part : parts) {
    if (part.is_match == was_match && !result.empty()) {
      result.back().end = part.range.end;
    } else {
      result.push_back(part.range);
    }
    was_match = part.is_match;
  }
  return result;
}

}  // namespace

std::vector<ByteRange> join_parts(const std::vector<SplitPart>& parts, SplitBehavior behavior) {
  if (behavior == SplitBehavior::kMergedWithPrevious) return merge_forward(parts);
  if (behavior == SplitBehavior::kMergedWithNext) return merge_backward(parts);
  if (behavior == SplitBehavior::kContiguous) return join_runs(parts);
  std::vector<ByteRange> result;
  for (const auto& part : parts) {
    if (behavior == SplitBehavior::kIsolated || !part.is_match) result.push_back(part.range);
  }
  return result;
}

PieceList::PieceList(AlignedText text) : text_(std::move(text)) {
  if (text_.size() > 0) pieces_.push_back({{0, text_.size()}, std::nullopt});
}

void PieceList::split(const std::function<void(std::string_view, const Emit&)>& split_piece) {
  std::vector<Piece> result;
  result.reserve(pieces_.size());
  for (const auto& piece : pieces_) {
    if (piece.token) {
      result.push_back(piece);
      continue;
    }
    split_piece(text_.view(piece.range), [&](ByteRange part, std::optional<TokenId> token) {
      if (part.size() == 0) return;
      result.push_back({{piece.range.begin + part.begin, piece.range.begin + part.end}, token});
    });
  }
  pieces_ = std::move(result);
}

void PieceList::split(const Regex& regex, SplitBehavior behavior, bool is_inverted) {
  std::vector<SplitPart> parts;
  split([&](std::string_view piece, const Emit& emit) {
    parts.clear();
    regex.for_each_part(piece, [&](ByteRange range, bool is_match) {
      parts.push_back({range, is_match != is_inverted});
    });
    for (const auto& range : join_parts(parts, behavior)) emit(range, std::nullopt);
  });
}

void PieceList::rewrite(
    const std::function<void(const AlignedText&, ByteRange, AlignedText&)>& rewrite_piece) {
  AlignedText output;
  output.reserve(text_.size() + text_.size() / 4);
  std::vector<Piece> result;
  result.reserve(pieces_.size());
  for (const auto& piece : pieces_) {
    const size_t begin = output.size();
    if (piece.token) {
      output.append(text_, piece.range);
    } else {
      rewrite_piece(text_, piece.range, output);
    }
    if (output.size() > begin) result.push_back({{begin, output.size()}, piece.token});
  }
  text_ = std::move(output);
  pieces_ = std::move(result);
}

}  // namespace cpx::tokenizer
