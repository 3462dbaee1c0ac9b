// SPDX-License-Identifier: Apache-2.0
// A text on its way to the model: rewritten (normalised, spelled in the byte alphabet) and cut into
// pieces, while every byte keeps the range of the original text it stands for.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/tokenizer/tokenizer.h"
#include "regex.h"

namespace cpx::tokenizer {

/// Range of bytes of the original text.
struct OriginalRange {
  uint32_t begin = 0;
  uint32_t end = 0;
};

/// UTF-8 bytes, each with the original range of the character it comes from.
class AlignedText {
 public:
  AlignedText() = default;
  /// `text` with each invalid byte replaced by U+FFFD; throws std::invalid_argument past 4 GiB.
  explicit AlignedText(std::string_view text);

  std::string_view view(ByteRange range) const {
    return std::string_view(bytes_).substr(range.begin, range.size());
  }
  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  OriginalRange origin(size_t byte) const { return origins_[byte]; }
  /// The original range that the bytes of `range` (not empty) cover.
  OriginalRange origin(ByteRange range) const {
    return {origins_[range.begin].begin, origins_[range.end - 1].end};
  }

  void append(std::string_view bytes, OriginalRange origin);
  void append(const AlignedText& source, ByteRange range);
  void reserve(size_t size);

 private:
  std::string bytes_;
  std::vector<OriginalRange> origins_;
};

/// How a separator is treated when a piece is split, as in tokenizer.json files.
enum class SplitBehavior {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous,
};

/// A part of a piece, and whether it is a separator.
struct SplitPart {
  ByteRange range;
  bool is_match = false;
};

/// The ranges that remain when the consecutive `parts` are joined or dropped as `behavior` says.
std::vector<ByteRange> join_parts(const std::vector<SplitPart>& parts, SplitBehavior behavior);

/// A text cut into pieces; a piece that is an added token carries its id and is left alone.
class PieceList {
 public:
  struct Piece {
    ByteRange range;
    std::optional<TokenId> token;
  };

  explicit PieceList(AlignedText text);

  const AlignedText& text() const { return text_; }
  const std::vector<Piece>& pieces() const { return pieces_; }

  /// Replaces every open piece by what `split(piece bytes, emit)` emits; empty parts are dropped.
  using Emit = std::function<void(ByteRange, std::optional<TokenId>)>;
  void split(const std::function<void(std::string_view, const Emit&)>& split_piece);

  /// Splits every open piece at `regex`.
  void split(const Regex& regex, SplitBehavior behavior, bool is_inverted);

  /// Writes every open piece anew: `rewrite_piece(text, range, output)` appends to `output`.
  void rewrite(
      const std::function<void(const AlignedText&, ByteRange, AlignedText&)>& rewrite_piece);

 private:
  AlignedText text_;
  std::vector<Piece> pieces_;
};

}  // namespace cpx::tokenizer
