// SPDX-License-Identifier: Apache-2.0
// Tokenizers from a Hugging Face folder or from the vocabulary of a GGUF.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "cpx/tokenizer/gguf_vocabulary.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::tokenizer {

/// What a model's config.json or generation_config.json says about its tokens; used only where the
/// tokenizer's own files name no BOS or EOS.
struct ModelTokenIds {
  std::optional<int64_t> bos_id;
  std::optional<int64_t> eos_id;
};

/// Tokenizer of a Hugging Face folder: `tokenizer.json`, else `tokenizer.model`; with
/// tokenizer_config.json, special_tokens_map.json and chat_template.jinja where they are there.
/// Throws DataError that names the file, the key and the value that is not understood.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder,
                                                const ModelTokenIds& fallback = {});

/// Tokenizer of a RoBERTa folder: as load_tokenizer(), or `vocab.json` with `merges.txt`, which say
/// nothing of the steps around them: then those of RoBERTa (byte-level, <s> and </s> around a
/// text). Throws DataError as load_tokenizer(), also where a text would not get these two tokens.
std::shared_ptr<const Tokenizer> load_roberta_tokenizer(const std::filesystem::path& folder);

/// Tokenizer of one `tokenizer.json`, as load_tokenizer() without the files beside it.
std::shared_ptr<const Tokenizer> load_tokenizer_json(const std::filesystem::path& file);

/// Tokenizer of a GGUF's vocabulary; throws DataError on a vocabulary that is inconsistent or of a
/// kind that is not supported.
std::shared_ptr<const Tokenizer> make_tokenizer(const GgufVocabulary& vocabulary);

}  // namespace cpx::tokenizer
