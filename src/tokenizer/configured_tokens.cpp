// SPDX-License-Identifier: Apache-2.0
#include "configured_tokens.h"

#include <algorithm>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/text.h"

namespace cpx::tokenizer {

namespace {

std::optional<TokenId> to_token_id(std::optional<int64_t> id) {
  if (!id || *id < 0 || *id >= kMaxVocabularySize) return std::nullopt;
  return static_cast<TokenId>(*id);
}

}  // namespace

bool is_listed(const std::vector<AddedToken>& tokens, const std::string& content) {
  return std::any_of(tokens.begin(), tokens.end(),
                     [&](const AddedToken& token) { return token.content == content; });
}

void add_configured_tokens(const FolderConfig& config, const BaseVocabulary& vocabulary,
                           std::vector<AddedToken>& tokens, const std::string& source) {
  std::vector<AddedToken> with_ids = config.added_tokens;
  std::ranges::stable_sort(with_ids, {}, &AddedToken::id);
  for (AddedToken& token : with_ids) {
    if (!is_listed(tokens, token.content)) tokens.push_back(std::move(token));
  }
  for (const auto& named : config.named_tokens) {
    if (is_listed(tokens, named.token.content)) continue;
    tokens.push_back(named.token);
    tokens.back().id = AddedToken::kNoId;
  }
  number_added_tokens(tokens, vocabulary, source);
}

std::optional<TokenId> resolve_token(const std::optional<NamedToken>& named,
                                     const BaseVocabulary& vocabulary,
                                     const std::vector<AddedToken>& tokens) {
  if (!named) return std::nullopt;
  for (const auto& token : tokens) {
    if (token.content == named->token.content) return token.id;
  }
  const auto id = vocabulary.find(named->token.content);
  if (!id) {
    throw_<DataError>("{} is {}, which is not in the vocabulary.", named->place,
                      quote(named->token.content));
  }
  return id;
}

TokenizerTraits make_traits(const FolderConfig& config, const BaseVocabulary& vocabulary,
                            const std::vector<AddedToken>& tokens, const ModelTokenIds& fallback) {
  TokenizerTraits traits;
  traits.bos_id = resolve_token(config.bos, vocabulary, tokens);
  traits.eos_id = resolve_token(config.eos, vocabulary, tokens);
  if (!traits.bos_id) traits.bos_id = to_token_id(fallback.bos_id);
  if (!traits.eos_id) traits.eos_id = to_token_id(fallback.eos_id);
  traits.chat_template = config.chat_template;
  return traits;
}

}  // namespace cpx::tokenizer
