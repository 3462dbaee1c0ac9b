// SPDX-License-Identifier: Apache-2.0
// Turns new tokens into text as they come: whole characters only, and no part of a stop string.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cpx/tokenizer/tokenizer.h"

namespace cpx::generation {

/// The text of one sample. The pieces that add() and finish() return, joined, are text().
class TextStream {
 public:
  /// The new tokens follow `prompt`, so that their first word keeps its space. Special tokens give
  /// no text. `tokenizer` must outlive the stream.
  TextStream(const tokenizer::Tokenizer& tokenizer, std::span<const int64_t> prompt,
             std::vector<std::string> stop_strings = {});

  /// Adds a token and returns the text that is now certain. Bytes of an unfinished character and
  /// what may become a stop string are returned by a later call.
  std::string add(int64_t id);
  /// Call it after the last token: returns the rest of the text.
  std::string finish();

  /// True once a stop string has occurred. The text ends before it.
  bool is_stopped() const { return is_stopped_; }
  /// All text that was returned so far.
  std::string text() const { return text_.substr(0, num_returned_); }

 private:
  std::string text_until(size_t end);

  const tokenizer::Tokenizer& tokenizer_;
  std::vector<std::string> stop_strings_;
  std::vector<tokenizer::TokenId> ids_;  // the prompt's last, then the new ones
  size_t skipped_ = 0;                   // bytes of the prompt's last tokens
  std::string text_;
  size_t num_returned_ = 0;  // bytes
  bool is_stopped_ = false;
};

}  // namespace cpx::generation
