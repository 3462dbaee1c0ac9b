// SPDX-License-Identifier: Apache-2.0
// The config of a sentence encoder: a folder of sentence-transformers, or one with an encoder
// alone.
#pragma once

#include <cstdint>
#include <filesystem>

#include "cpx/formats/encoder_config.h"

namespace cpx::formats {

/// How the vectors of a text's tokens become one vector.
enum class SentencePooling {
  kMean,        // the mean over all tokens, special ones included
  kFirstToken,  // the first token's
};

/// An encoder and its pooling.
struct SentenceConfig {
  /// Where the encoder's files are: the folder itself, or the folder of its first module.
  std::filesystem::path encoder_folder;
  EncoderConfig encoder;
  SentencePooling pooling = SentencePooling::kMean;
  /// Maximum length of a text with its special tokens: `max_seq_length` of
  /// sentence_bert_config.json or the encoder's own limit, whichever is smaller.
  int64_t max_tokens = 0;
};

/// From `folder`/modules.json and the files that it names; without it, from config.json, with mean
/// pooling. The head of a classifier is ignored. Throws DataError with the file, the key, its value
/// and the supported values.
SentenceConfig read_sentence_config(const std::filesystem::path& folder);

}  // namespace cpx::formats
