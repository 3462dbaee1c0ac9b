// SPDX-License-Identifier: Apache-2.0
// The text of new tokens as they come: whole characters only, and nothing of a stop string.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cpx/tokenizer/tokenizer.h"

namespace cpx::generation {

/// One sample's text. Pieces that add() and finish() return, one after the other, are text().
class TextStream {
 public:
  /// `prompt` is what the new tokens follow: a first word keeps its space. Special tokens give no
  /// text. `tokenizer` must outlive the stream.
  TextStream(const tokenizer::Tokenizer& tokenizer, std::span<const int64_t> prompt,
             std::vector<std::string> stop_strings = {});

  /// The text that a new token settles: not yet a character whose bytes are not all there, nor the
  /// beginning of a stop string.
  std::string add(int64_t id);
  /// What was held back, at the end.
  std::string finish();

  /// True once a stop string has come: it and what follows are no part of the text.
  bool is_stopped() const { return is_stopped_; }
  /// All text so far, without what is held back.
  std::string text() const { return text_.substr(0, num_told_); }

 private:
  std::string tell(size_t end);

  const tokenizer::Tokenizer& tokenizer_;
  std::vector<std::string> stop_strings_;
  std::vector<tokenizer::TokenId> ids_;  // the prompt's last, then the new ones
  size_t skipped_ = 0;                   // bytes of the prompt's last tokens
  std::string text_;
  size_t num_told_ = 0;
  bool is_stopped_ = false;
};

}  // namespace cpx::generation
