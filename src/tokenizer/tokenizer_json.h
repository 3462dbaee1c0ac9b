// SPDX-License-Identifier: Apache-2.0
// Reads tokenizer.json, the format of Hugging Face's tokenizers, with models of type BPE.
#pragma once

#include <filesystem>

#include "pipeline_tokenizer.h"

namespace cpx::tokenizer {

/// The parts that the file describes; no traits (they stand in other files). Throws DataError that
/// names file, key and value.
PipelineParts read_tokenizer_json(const std::filesystem::path& file);

/// An entry of `added_tokens` or `added_tokens_decoder` with the id it has there.
AddedToken parse_added_token(const JsonNode& node, TokenId id);

}  // namespace cpx::tokenizer
