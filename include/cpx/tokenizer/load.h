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

/// The kinds of tokenizer that encoders have.
enum class EncoderTokenizer {
  kWordPiece,  // BERT, DistilBERT: [CLS] and [SEP] around a text
  kByteLevel,  // RoBERTa: <s> and </s> around it
  kUnigram,    // XLM-RoBERTa: the same
};

/// Loads the tokenizer of an encoder's folder: tokenizer.json, otherwise the older files of its
/// kind: `vocab.txt`; `vocab.json` and `merges.txt`; or `sentencepiece.bpe.model`. The kind is that
/// of `tokenizer_class` in tokenizer_config.json, and `kind` where that names none. As in
/// transformers 5.23, BERT's and XLM-RoBERTa's classes take the vocabulary of a tokenizer.json and
/// make the steps around it themselves, with the flags of tokenizer_config.json; another class has
/// the steps of the file. Throws DataError as load_tokenizer(), and if a text would not get the two
/// tokens.
std::shared_ptr<const Tokenizer> load_encoder_tokenizer(const std::filesystem::path& folder,
                                                        EncoderTokenizer kind);

/// Loads one `tokenizer.json`, as load_tokenizer() without the files beside it.
std::shared_ptr<const Tokenizer> load_tokenizer_json(const std::filesystem::path& file);

/// Makes the tokenizer of a GGUF vocabulary; throws DataError if it is inconsistent or of an
/// unsupported kind.
std::shared_ptr<const Tokenizer> make_tokenizer(const GgufVocabulary& vocabulary);

}  // namespace cpx::tokenizer
