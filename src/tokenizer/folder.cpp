// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "configured_tokens.h"
#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/core/log.h"
#include "cpx/core/output_file.h"
#include "cpx/core/text.h"
#include "cpx/tokenizer/load.h"
#include "folder_config.h"
#include "pipeline_tokenizer.h"
#include "sentencepiece_tokenizer.h"
#include "tokenizer_json.h"

namespace cpx::tokenizer {

namespace {

// A BOS or EOS that no file gives an id: a slip of the pen, mostly.
void warn_of_new_token(const std::optional<NamedToken>& named, const BaseVocabulary& vocabulary,
                       const FolderConfig& config, std::optional<TokenId> id) {
  if (!named || vocabulary.find(named->token.content) || *id < vocabulary.size) return;
  if (is_listed(config.added_tokens, named->token.content)) return;
  log_warning(
      "[tokenizer] {} is '{}', which is not in the vocabulary of {} tokens: it becomes a token of "
      "its own with id {}, as in transformers.",
      named->place, named->token.content, vocabulary.size, *id);
}

// "add_bos_token is true, but ... does not put '<s>' in front of a text": where a flag says
// otherwise than the post-processor.
void warn_of_flag(std::string_view key, std::optional<bool> flag, std::optional<TokenId> id,
                  const std::vector<TokenId>& added, const PipelineParts& parts,
                  const std::filesystem::path& file) {
  const bool is_added = id && std::ranges::find(added, *id) != added.end();
  if (!flag || !id || *flag == is_added) return;
  const bool is_bos = key == "add_bos_token";
  const auto token = std::ranges::find(parts.added_tokens, *id, &AddedToken::id);
  log_warning(
      "[tokenizer] {}: '{}' is {}, but the post_processor of tokenizer.json {} {} {} of a text. As "
      "in transformers 5 the post_processor decides.",
      (file.parent_path() / "tokenizer_config.json").string(), key, *flag,
      is_added ? "puts" : "does not put",
      token == parts.added_tokens.end() ? fmt::format("token {}", *id) : quote(token->content),
      is_bos ? "in front" : "at the end");
}

// What transformers 5.23 does: stored flags are dropped where there is a tokenizer.json, and its
// class for Code Llama alone puts BOS in front whatever the file says.
void settle_special_tokens(PipelineParts& parts, const FolderConfig& config,
                           const std::filesystem::path& file) {
  PostProcessor& processor = parts.post_processor;
  if (config.tokenizer_class.starts_with("CodeLlamaTokenizer") && parts.traits.bos_id) {
    processor.before = {*parts.traits.bos_id};
    processor.after.clear();
  }
  warn_of_flag("add_bos_token", config.add_bos, parts.traits.bos_id, processor.before, parts, file);
  warn_of_flag("add_eos_token", config.add_eos, parts.traits.eos_id, processor.after, parts, file);
}

std::shared_ptr<const Tokenizer> load_json(const std::filesystem::path& file,
                                           const FolderConfig& config,
                                           const ModelTokenIds& fallback) {
  PipelineParts parts = read_tokenizer_json(file);
  const BaseVocabulary vocabulary = parts.base_vocabulary();
  add_configured_tokens(config, vocabulary, parts.added_tokens, file.string());
  parts.traits = make_traits(config, vocabulary, parts.added_tokens, fallback);
  warn_of_new_token(config.bos, vocabulary, config, parts.traits.bos_id);
  warn_of_new_token(config.eos, vocabulary, config, parts.traits.eos_id);
  settle_special_tokens(parts, config, file);
  return std::make_shared<const PipelineTokenizer>(std::move(parts), file.string());
}

SentencePieceOptions sentencepiece_options(const FolderConfig& config,
                                           const std::filesystem::path& file, bool has_bos) {
  SentencePieceOptions options;
  options.dummy_prefix = config.is_legacy ? DummyPrefix::kAlways : DummyPrefix::kFirst;
  if (!config.add_prefix_space.value_or(true)) options.dummy_prefix = DummyPrefix::kNone;
  options.adds_bos = config.add_bos.value_or(true);
  options.adds_eos = config.add_eos.value_or(false);
  if (!config.add_bos && has_bos) {
    log_warning(
        "[tokenizer] {}: no tokenizer_config.json beside it says add_bos_token: got nothing, taken "
        "as true, LlamaTokenizer's documented default (transformers 5 puts no BOS there).",
        file.string());
  }
  return options;
}

std::shared_ptr<const Tokenizer> load_sentencepiece(const std::filesystem::path& file,
                                                    const FolderConfig& config,
                                                    const ModelTokenIds& fallback) {
  const std::string model = read_text_file(file);
  const SentencePieceVocabulary pieces = read_sentencepiece_vocabulary(model, file.string());
  const auto size = std::ssize(pieces.ids);
  const BaseVocabulary vocabulary{
      .find = [&](const std::string& piece) { return pieces.find(piece); },
      .has = [size](TokenId id) { return id < size; },
      .size = size};
  std::vector<AddedToken> tokens;
  add_configured_tokens(config, vocabulary, tokens, file.string());
  const ModelTokenIds own_or_config{.bos_id = pieces.bos_id ? pieces.bos_id : fallback.bos_id,
                                    .eos_id = pieces.eos_id ? pieces.eos_id : fallback.eos_id};
  TokenizerTraits traits = make_traits(config, vocabulary, tokens, own_or_config);
  warn_of_new_token(config.bos, vocabulary, config, traits.bos_id);
  warn_of_new_token(config.eos, vocabulary, config, traits.eos_id);
  const SentencePieceOptions options =
      sentencepiece_options(config, file, traits.bos_id.has_value());
  return std::make_shared<const SentencePieceTokenizer>(model, std::move(tokens), options,
                                                        std::move(traits), file.string());
}

}  // namespace

std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder,
                                                const ModelTokenIds& fallback) {
  const auto json = folder / "tokenizer.json";
  const auto model = folder / "tokenizer.model";
  const bool has_json = is_file(json);
  if (!has_json && !is_file(model)) {
    throw_<DataError>(
        "[load_tokenizer] {}: no tokenizer found, expected tokenizer.json or tokenizer.model in "
        "this folder.{}",
        folder.string(), download_hint(folder));
  }
  const FolderConfig config = read_folder_config(folder);
  return has_json ? load_json(json, config, fallback) : load_sentencepiece(model, config, fallback);
}

}  // namespace cpx::tokenizer
