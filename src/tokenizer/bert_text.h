// SPDX-License-Identifier: Apache-2.0
// How BERT's tokenizers clean a text and cut it into words: BertNormalizer and BertPreTokenizer of
// tokenizer.json, character by character as tokenizers 0.23.3.
#pragma once

#include <optional>

#include "normalizer.h"
#include "pre_tokenizer.h"

namespace cpx::tokenizer {

struct BertTextOptions {
  bool cleans_text = true;                  // drops control characters; white space becomes a space
  bool spaces_ideographs = true;            // a space on both sides of a CJK character
  std::optional<bool> strips_accents = {};  // none: as `lowers_case`
  bool lowers_case = true;
};

/// What the options say, character by character. Marks that stay keep their order.
Normalizer bert_normalizer(const BertTextOptions& options);

/// Cuts at white space, which is dropped, and around punctuation.
PreTokenizer bert_pre_tokenizer();

}  // namespace cpx::tokenizer
