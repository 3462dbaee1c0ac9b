// SPDX-License-Identifier: Apache-2.0
// Post-processors of tokenizer.json: the special tokens around a text, and offsets without the
// white space that belongs to a token's spelling.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "cpx/core/json.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::tokenizer {

/// What is done to the tokens of a text.
struct PostProcessor {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
  bool trims_offsets = false;
  /// With `trims_offsets`: one space in front of the text was added and is not trimmed.
  bool keeps_prefix_space = false;
};

/// Reads a `post_processor`: Sequence, ByteLevel, TemplateProcessing, RobertaProcessing or
/// BertProcessing; throws DataError that names any other type. Only templates for a single text are
/// used.
PostProcessor parse_post_processor(const JsonValue& node);

/// `offsets` (bytes of `text`) of the token spelled `spelling`, without as many characters at both
/// ends as the spelling has white space there.
std::pair<size_t, size_t> trim_offsets(const PostProcessor& processor, std::string_view spelling,
                                       bool is_first, std::string_view text,
                                       std::pair<size_t, size_t> offsets);

}  // namespace cpx::tokenizer
