// SPDX-License-Identifier: Apache-2.0
// Loads tokenizers from a Hugging Face folder or from the vocabulary of a GGUF.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "cpx/tokenizer/gguf_vocabulary.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::tokenizer {

/// BOS and EOS of config.json or generation_config.json of a model; used only if the files of the
/// tokenizer name none.
struct ModelTokenIds {
  std::optional<int64_t> bos_id;
  std::optional<int64_t> eos_id;
};

/// Loads the tokenizer of a Hugging Face folder: `tokenizer.json`, otherwise `tokenizer.model`,
/// with tokenizer_config.json, special_tokens_map.json and chat_template.jinja if they exist.
/// Throws DataError with the file, the key and the value that is not understood.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder,
                                                const ModelTokenIds& fallback = {});

/// Loads the tokenizer of a RoBERTa folder: as load_tokenizer(), or from `vocab.json` and
/// `merges.txt`. These two do not describe the steps around them, which are then those of RoBERTa
/// (byte-level, <s> and </s> around a text). Throws DataError as load_tokenizer(), and if a text
/// would not get these two tokens.
std::shared_ptr<const Tokenizer> load_roberta_tokenizer(const std::filesystem::path& folder);

/// Loads one `tokenizer.json`, as load_tokenizer() without the files beside it.
std::shared_ptr<const Tokenizer> load_tokenizer_json(const std::filesystem::path& file);

/// Makes the tokenizer of a GGUF vocabulary; throws DataError if it is inconsistent or of an
/// unsupported kind.
std::shared_ptr<const Tokenizer> make_tokenizer(const GgufVocabulary& vocabulary);

}  // namespace cpx::tokenizer
