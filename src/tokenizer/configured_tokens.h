// SPDX-License-Identifier: Apache-2.0
// The special tokens of a folder, from what its small files name to ids.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "added_tokens.h"
#include "cpx/tokenizer/load.h"
#include "folder_config.h"
#include "pipeline_tokenizer.h"

namespace cpx::tokenizer {

/// True if a token is spelled like `content`.
bool is_listed(const std::vector<AddedToken>& tokens, const std::string& content);

/// Adds what the config adds to `tokens`, in transformers' order, and numbers them. A special token
/// that is only named and that the vocabulary lacks becomes a token of its own. `source` is for
/// messages.
void add_configured_tokens(const FolderConfig& config, const BaseVocabulary& vocabulary,
                           std::vector<AddedToken>& tokens, const std::string& source);

/// The id of a named token, which is among `tokens` or in the vocabulary. Throws DataError for
/// another one.
std::optional<TokenId> resolve_token(const std::optional<NamedToken>& named,
                                     const BaseVocabulary& vocabulary,
                                     const std::vector<AddedToken>& tokens);

/// BOS and EOS of the config, otherwise of `fallback`, and the chat template.
TokenizerTraits make_traits(const FolderConfig& config, const BaseVocabulary& vocabulary,
                            const std::vector<AddedToken>& tokens, const ModelTokenIds& fallback);

}  // namespace cpx::tokenizer
