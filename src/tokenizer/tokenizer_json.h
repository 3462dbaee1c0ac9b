// SPDX-License-Identifier: Apache-2.0
// Reads tokenizer.json, the format of Hugging Face's tokenizers, with models of type
// BPE, WordPiece or Unigram.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "cpx/core/json.h"
#include "pipeline_tokenizer.h"

namespace cpx::tokenizer {

/// The parts that the file describes; no traits (they stand in other files). Added tokens have the
/// file's ids: see number_added_tokens(). Throws DataError that
/// names file, key and value.
PipelineParts read_tokenizer_json(const std::filesystem::path& file);
/// The same of a file that was read: its root.
PipelineParts read_pipeline(const JsonValue& root);

/// A vocabulary: an object of spelling and id.
StringMap<TokenId> read_vocabulary(const JsonValue& node);

/// Left and right part of the merge "left right"; nothing where it is of another form.
std::optional<std::pair<std::string_view, std::string_view>> split_merge_text(
    std::string_view text);

/// An entry of `added_tokens` or `added_tokens_decoder` with the id it has there.
AddedToken parse_added_token(const JsonValue& node, TokenId id);

}  // namespace cpx::tokenizer
