// SPDX-License-Identifier: Apache-2.0
// Texts for supervised fine-tuning as most data sets have them: plain texts, prompts with
// completions and conversations; what of them is learned, in text and in tokens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/faults.h"
#include "cpx/data/conversation.h"
#include "cpx/data/packed_batch.h"
#include "cpx/data/pair_encoder.h"
#include "cpx/data/preferences.h"
#include "cpx/data/text_encoder.h"

namespace cpx::data {

/// kText: all of it is learned. kCompletion: what follows the prompt. kMessages: what the assistant
/// says.
enum class SupervisedForm { kText, kCompletion, kMessages };

/// "text", "completion" or "conversation".
std::string_view form_name(SupervisedForm form);

/// A text with what is learned of it.
struct SupervisedText {
  SupervisedForm form = SupervisedForm::kText;
  std::string prompt = {};  // of kCompletion: stands in front of `text`
  std::string text = {};
  std::vector<tokenizer::ByteSpan> learned = {};  // of kMessages: parts of `text`
  Frame frame = Frame::kTemplate;                 // kMessages always is rendered
  std::string where = {};                         // place in its file for messages
};

/// Texts in the order of the files, and every fault found.
struct SupervisedContent {
  std::vector<SupervisedText> texts = {};
  Faults faults = {};  // as in ShardContent
};

/// True where read_supervised() is to read the file: it is a text a line, or the first record with
/// a known key is a text, or an object with `text`, `completion` or `messages`. False for contrast
/// records, and where no record tells.
bool holds_supervised(const std::filesystem::path& file);

/// Reads files of one form each: a text a line; JSON lists and lines (see JsonStream) of texts or
/// {"text"}; of {"prompt", "completion"}, two texts or two lists of messages; or of {"messages":
/// [{"role", "content"}, ...]}. The first known key of a file tells which. Texts stay as they are.
/// `encoder` has the chat template of conversations; null: these are looked at but give no text.
/// Faults, blank texts among them, are collected, and a record with one is left out; throws
/// DataError only where conversations have no chat template.
SupervisedContent read_supervised(std::span<const std::filesystem::path> files,
                                  const TextEncoder* encoder);

/// A text as ids, and which of them are predicted.
struct MaskedText {
  std::vector<tokenizer::TokenId> ids = {};
  std::vector<PredictedSpan> predicted = {};  // ascending and apart
  bool is_cut = false;                        // has lost its end to max_tokens

  /// Number of tokens in all spans of `predicted`.
  int64_t num_predicted() const;
};

/// Encodes such texts one way; may be used from several threads at once. Each is tokenized once, as
/// one text. Plain texts are TextEncoder's, completions PairEncoder's. Of a conversation a token is
/// predicted that reaches into what is learned, as in transformers 5.23 (return_assistant_tokens_
/// mask); its template writes all special tokens itself.
class SupervisedEncoder {
 public:
  explicit SupervisedEncoder(const TextEncoder& encoder)
      : pairs_(encoder, /*max_prompt_tokens=*/0) {}

  /// The ids of a text and the spans that are predicted, cut to max_tokens.
  MaskedText encode(const SupervisedText& text) const;

  /// The encoder of plain texts.
  const TextEncoder& text_encoder() const { return pairs_.text_encoder(); }

 private:
  MaskedText encode_conversation(const SupervisedText& text) const;

  PairEncoder pairs_;
};

/// The order of `epoch`: 0..n-1, as (seed, epoch) alone give it; without shuffling as they are.
std::vector<int64_t> supervised_order(int64_t n, bool shuffle, uint64_t seed, int64_t epoch);

}  // namespace cpx::data
