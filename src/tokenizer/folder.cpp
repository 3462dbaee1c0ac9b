// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/core/text.h"
#include "cpx/tokenizer/load.h"
#include "folder_config.h"
#include "pipeline_tokenizer.h"
#include "sentencepiece_tokenizer.h"
#include "tokenizer_json.h"
#include "vocab_merges.h"

namespace cpx::tokenizer {

namespace {

bool has_token(const std::vector<AddedToken>& tokens, const std::string& content) {
  return std::any_of(tokens.begin(), tokens.end(),
                     [&](const AddedToken& token) { return token.content == content; });
}

// Adds what the config adds to `tokens`; `find` gives the id of a spelling in the vocabulary.
template <class Find>
void add_configured_tokens(const FolderConfig& config, const Find& find,
                           std::vector<AddedToken>& tokens) {
  for (const auto& token : config.added_tokens) {
    if (!has_token(tokens, token.content)) tokens.push_back(token);
  }
  for (const auto& named : config.named_tokens) {
    const auto id = find(named.token.content);
    if (!id || has_token(tokens, named.token.content)) continue;
    tokens.push_back(named.token);
    tokens.back().id = *id;
  }
}

// The id of a named BOS or EOS, which must be in the vocabulary.
template <class Find>
std::optional<TokenId> resolve(const std::optional<NamedToken>& named, const Find& find,
                               const std::vector<AddedToken>& tokens) {
  if (!named) return std::nullopt;
  for (const auto& token : tokens) {
    if (token.content == named->token.content) return token.id;
  }
  const auto id = find(named->token.content);
  if (!id) {
    throw_<DataError>("{} is {}, which is not in the vocabulary.", named->place,
                      quote(named->token.content));
  }
  return id;
}

std::optional<TokenId> to_token_id(std::optional<int64_t> id) {
  if (!id || *id < 0 || *id >= kMaxVocabularySize) return std::nullopt;
  return static_cast<TokenId>(*id);
}

template <class Find>
TokenizerTraits make_traits(const FolderConfig& config, const Find& find,
                            const std::vector<AddedToken>& tokens, const ModelTokenIds& fallback) {
  TokenizerTraits traits;
  traits.bos_id = resolve(config.bos, find, tokens);
  traits.eos_id = resolve(config.eos, find, tokens);
  if (!traits.bos_id) traits.bos_id = to_token_id(fallback.bos_id);
  if (!traits.eos_id) traits.eos_id = to_token_id(fallback.eos_id);
  traits.chat_template = config.chat_template;
  return traits;
}

// add_bos_token and add_eos_token, where they are given, overrule the post-processor.
void configure(PostProcessor& processor, const FolderConfig& config,
               const TokenizerTraits& traits) {
  const auto ids = [](bool is_added, std::optional<TokenId> id) {
    return is_added && id ? std::vector<TokenId>{*id} : std::vector<TokenId>{};
  };
  if (config.add_bos) processor.before = ids(*config.add_bos, traits.bos_id);
  if (config.add_eos) processor.after = ids(*config.add_eos, traits.eos_id);
}

std::shared_ptr<const Tokenizer> load_json(const std::filesystem::path& file,
                                           const FolderConfig& config,
                                           const ModelTokenIds& fallback) {
  PipelineParts parts = read_tokenizer_json(file);
  const auto find = [&](const std::string& piece) { return parts.model->find(piece); };
  add_configured_tokens(config, find, parts.added_tokens);
  parts.traits = make_traits(config, find, parts.added_tokens, fallback);
  configure(parts.post_processor, config, parts.traits);
  return std::make_shared<const PipelineTokenizer>(std::move(parts), file.string());
}

std::shared_ptr<const Tokenizer> load_sentencepiece(const std::filesystem::path& file,
                                                    const FolderConfig& config,
                                                    const ModelTokenIds& fallback) {
  const std::string model = read_text_file(file);
  const SentencePieceVocabulary vocabulary = read_sentencepiece_vocabulary(model, file.string());
  const auto find = [&](const std::string& piece) { return vocabulary.find(piece); };
  std::vector<AddedToken> tokens;
  add_configured_tokens(config, find, tokens);
  const ModelTokenIds own_or_config{
      .bos_id = vocabulary.bos_id ? vocabulary.bos_id : fallback.bos_id,
      .eos_id = vocabulary.eos_id ? vocabulary.eos_id : fallback.eos_id};
  TokenizerTraits traits = make_traits(config, find, tokens, own_or_config);

  SentencePieceOptions options;
  options.dummy_prefix = config.is_legacy ? DummyPrefix::kAlways : DummyPrefix::kFirst;
  if (!config.add_prefix_space.value_or(true)) options.dummy_prefix = DummyPrefix::kNone;
  options.adds_bos = config.add_bos.value_or(true);
  options.adds_eos = config.add_eos.value_or(false);
  return std::make_shared<const SentencePieceTokenizer>(model, std::move(tokens), options,
                                                        std::move(traits), file.string());
}

// A special token as `named`, or as RoBERTa spells it.
NamedToken named_or(const std::optional<NamedToken>& named, const char* spelling,
                    const std::filesystem::path& vocab) {
  if (named) return *named;
  return {.place = fmt::format("[tokenizer] {}: RoBERTa's special token", vocab.string()),
          .token = {.content = spelling, .is_special = true}};
}

std::shared_ptr<const Tokenizer> load_vocab_and_merges(const std::filesystem::path& folder) {
  const auto vocab = folder / "vocab.json";
  FolderConfig config = read_folder_config(folder);
  const NamedToken cls = named_or(config.cls, "<s>", vocab);
  const NamedToken sep = named_or(config.sep, "</s>", vocab);
  config.named_tokens.insert(config.named_tokens.end(), {cls, sep});
  for (const char* spelling : {"<pad>", "<unk>", "<mask>"}) {
    config.named_tokens.push_back(named_or(std::nullopt, spelling, vocab));
  }

  PipelineParts parts;
  parts.model = read_vocab_and_merges(vocab, folder / "merges.txt");
  const auto find = [&](const std::string& piece) { return parts.model->find(piece); };
  add_configured_tokens(config, find, parts.added_tokens);
  const bool adds_prefix_space = config.add_prefix_space.value_or(false);
  parts.pre_tokenizer = byte_level({.adds_prefix_space = adds_prefix_space});
  parts.decoder = byte_level_decoder();
  parts.traits = make_traits(config, find, parts.added_tokens, {});
  parts.post_processor = {.before = {*resolve(cls, find, parts.added_tokens)},
                          .after = {*resolve(sep, find, parts.added_tokens)},
                          .trims_offsets = true,
                          .keeps_prefix_space = adds_prefix_space};
  return std::make_shared<const PipelineTokenizer>(std::move(parts), vocab.string());
}

// What RoBERTa's own post-processing makes of an empty text.
void check_special_tokens(const Tokenizer& tokenizer, const std::filesystem::path& folder) {
  const size_t num_added = tokenizer.encode("").ids.size();
  if (num_added == 2) return;
  throw_<DataError>(
      "[load_tokenizer] {}: the tokenizer adds {} tokens to a text, expected 2: <s> and </s> "
      "(tokenizer.json: post_processor).",
      folder.string(), num_added);
}

}  // namespace

std::shared_ptr<const Tokenizer> load_roberta_tokenizer(const std::filesystem::path& folder) {
  const bool has_json = is_file(folder / "tokenizer.json");
  const bool has_parts = is_file(folder / "vocab.json") && is_file(folder / "merges.txt");
  if (!has_json && !has_parts) {
    throw_<DataError>(
        "[load_tokenizer] {}: no tokenizer found, expected tokenizer.json, or vocab.json and "
        "merges.txt, in this folder.",
        folder.string());
  }
  auto tokenizer = has_json ? load_tokenizer(folder) : load_vocab_and_merges(folder);
  check_special_tokens(*tokenizer, folder);
  return tokenizer;
}

std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder,
                                                const ModelTokenIds& fallback) {
  const auto json = folder / "tokenizer.json";
  const auto model = folder / "tokenizer.model";
  const bool has_json = is_file(json);
  if (!has_json && !is_file(model)) {
    throw_<DataError>(
        "[load_tokenizer] {}: no tokenizer found, expected tokenizer.json or tokenizer.model in "
        "this folder.",
        folder.string());
  }
  const FolderConfig config = read_folder_config(folder);
  return has_json ? load_json(json, config, fallback) : load_sentencepiece(model, config, fallback);
}

}  // namespace cpx::tokenizer
