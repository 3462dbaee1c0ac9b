// SPDX-License-Identifier: Apache-2.0
// Turns pairs into token ids: the prompt that the answers share, and the tokens of each answer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cpx/data/preference_pairs.h"
#include "cpx/data/preferences.h"
#include "cpx/data/text_encoder.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::data {

struct EncodedAnswer {
  std::vector<tokenizer::TokenId> ids = {};  // behind the pair's prompt
  bool is_cut = false;                       // its end, EOS included, was cut by max_tokens
};

/// A prompt and its answers. The model may compute the prompt once for all answers; each answer is
/// predicted as if it followed the prompt alone.
struct EncodedPair {
  std::vector<tokenizer::TokenId> prompt = {};  // the tokens that all answers share
  bool is_prompt_cut = false;                   // its beginning was cut by max_prompt_tokens
  std::vector<EncodedAnswer> answers = {};      // the chosen one, then the rejected ones

  /// Prompt and answer as one text; pack it with `prompt.size()` given tokens.
  std::vector<tokenizer::TokenId> whole_text(int64_t answer) const;
  /// Number of predicted tokens of the answer: all, or without a prompt all but the first.
  int64_t num_predicted(int64_t answer) const;
};

/// Encodes pairs with one set of options; may be used from several threads at once.
///
/// Prompt and answer are tokenized together, as one text. A token that crosses the end of the
/// prompt belongs to the answer (the space at the end of the published prompt is part of " Yes").
/// The prompt of a pair is the longest common beginning of its answers' token sequences before that
/// point, so it may be one token shorter than a single answer would leave it. One BOS stands in
/// front if the tokenizer adds it or the text spells it; with append_eos each answer that is not
/// cut ends in one EOS.
///
/// Cuts follow TRL (v0.28.0, the last version with a limit for prompts: dpo_trainer.py,
/// tokenize_row and concatenated_forward): a prompt of more than max_prompt_tokens loses its
/// beginning, a text of more than max_tokens loses its end. Unlike TRL, a cut prompt keeps its BOS,
/// which models expect, and the limit counts it.
class PairEncoder {
 public:
  /// `max_prompt_tokens` 0: no limit but max_tokens.
  PairEncoder(TextEncoder encoder, int64_t max_prompt_tokens);

  /// An answer has no tokens if its prompt fills max_tokens; drop_unusable() finds such answers.
  EncodedPair encode(const std::string& prompt, std::span<const std::string> answers,
                     Frame frame = Frame::kTemplate) const;
  EncodedPair encode(const PreferenceItem& item, const DrawnPair& drawn) const;

  /// The same encoder without a limit of tokens; that of prompts stays.
  PairEncoder uncut() const { return {encoder_.uncut(), max_prompt_tokens_}; }

  const TextEncoder& text_encoder() const { return encoder_; }
  const tokenizer::Tokenizer& tokenizer() const { return encoder_.tokenizer(); }
  int64_t max_tokens() const { return encoder_.options().max_tokens; }
  int64_t max_prompt_tokens() const { return max_prompt_tokens_; }

 private:
  /// The tokens of a prompt with its answer; the first `num_prompt` of them end within the prompt.
  struct SplitText {
    std::vector<tokenizer::TokenId> ids = {};
    size_t num_prompt = 0;
  };

  SplitText split(const std::string& prompt, const std::string& answer, Frame frame) const;
  /// True if the prompt was cut.
  bool cut_prompt(std::vector<tokenizer::TokenId>& prompt) const;
  EncodedAnswer cut_answer(std::span<const tokenizer::TokenId> ids, size_t num_prompt) const;

  TextEncoder encoder_;
  int64_t max_prompt_tokens_;
};

/// What drop_unusable() found.
struct AnswerCounts {
  int64_t prompts = 0;      // items
  int64_t cut_prompts = 0;  // longer than max_prompt_tokens
  int64_t answers = 0;      // all that were looked at
  int64_t cut = 0;          // of the answers that stay
  int64_t empty = 0;        // dropped: without a predicted token
  int64_t equal = 0;        // dropped: rejected, but equal to a chosen one
  int64_t tokens = 0;       // of the answers that stay, with their prompts
  int64_t longest = 0;      // such a text
  // Place of the first of each, for messages.
  std::string first_cut_prompt = {};
  std::string first_empty = {};
  std::string first_equal = {};
};

/// Removes from `items` the answers that no pair can use: answers without a predicted token,
/// because their prompt fills max_tokens, and rejected answers whose tokens equal those of a chosen
/// one (a wording that is both says nothing). Afterwards every pair that PreferencePairs draws has
/// answers to learn from. Encodes every answer once. Items without answers stay in the list, so
/// that the numbers of the others do not change.
AnswerCounts drop_unusable(std::vector<PreferenceItem>& items, const PairEncoder& encoder);

/// One line for each thing that a user should know: dropped answers, cut prompts.
std::vector<std::string> warning_lines(const AnswerCounts& counts, const PairEncoder& encoder);

}  // namespace cpx::data
