// SPDX-License-Identifier: Apache-2.0
// Pairs to token ids: what their answers share, and each answer's own tokens.
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
  bool is_cut = false;                       // has lost its end, EOS included, to max_tokens
};

/// A prompt and the answers to it. The model may see the prompt once for all answers: each is
/// predicted as if it stood alone behind it.
struct EncodedPair {
  std::vector<tokenizer::TokenId> prompt = {};  // the tokens that all answers share
  bool is_prompt_cut = false;                   // has lost its beginning to max_prompt_tokens
  std::vector<EncodedAnswer> answers = {};      // the chosen one, then the rejected ones

  /// Prompt and answer as one text, to be packed by itself with `prompt.size()` tokens given.
  std::vector<tokenizer::TokenId> whole_text(int64_t answer) const;
  /// Tokens of the answer that are predicted: all, without a prompt all but the first.
  int64_t num_predicted(int64_t answer) const;
};

/// Encodes pairs one way; may be used from several threads at once.
///
/// Prompt and answer are tokenized once, as one text. A token that reaches past the prompt's end
/// belongs to the answer (the space at the end of the published prompt is part of " Yes"). The
/// prompt of a pair is what all its answers have in common of the tokens before that, so it may be
/// a token shorter than one answer alone would leave it. BOS stands once in front where the
/// tokenizer adds one or the text spells it; with append_eos each answer that is not cut ends in
/// one EOS.
///
/// Cuts, as TRL has them (v0.28.0, the last with a limit for prompts: dpo_trainer.py, tokenize_row
/// and concatenated_forward): a prompt of more than max_prompt_tokens keeps its end, a text of more
/// than max_tokens loses its end. Unlike there, a cut prompt keeps its BOS, which models expect
/// in front, and the limit counts it.
class PairEncoder {
 public:
  /// `max_prompt_tokens` 0: no limit but max_tokens.
  PairEncoder(TextEncoder encoder, int64_t max_prompt_tokens);

  /// An answer has no tokens where its prompt fills max_tokens; drop_unusable() finds those.
  EncodedPair encode(const std::string& prompt, std::span<const std::string> answers) const;
  EncodedPair encode(const PreferenceItem& item, const DrawnPair& drawn) const;

  const TextEncoder& text_encoder() const { return encoder_; }
  const tokenizer::Tokenizer& tokenizer() const { return encoder_.tokenizer(); }
  int64_t max_tokens() const { return encoder_.options().max_tokens; }
  int64_t max_prompt_tokens() const { return max_prompt_tokens_; }

 private:
  /// Tokens of a prompt with its answer; the first `num_prompt` end within the prompt.
  struct SplitText {
    std::vector<tokenizer::TokenId> ids = {};
    size_t num_prompt = 0;
  };

  SplitText split(const std::string& prompt, const std::string& answer) const;
  /// True where the prompt has lost tokens.
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

/// Takes from `items` the answers that no pair can use: those without a predicted token, because
/// their prompt fills max_tokens, and rejected ones that are equal to a chosen one in all their
/// tokens (a wording that is both says nothing). After it every pair that PreferencePairs draws has
/// answers to learn from. Encodes every answer once. Items stay, so that their numbers do, if
/// without answers.
AnswerCounts drop_unusable(std::vector<PreferenceItem>& items, const PairEncoder& encoder);

/// A line for each thing that a user should know of: answers that were dropped, prompts cut.
std::vector<std::string> warning_lines(const AnswerCounts& counts, const PairEncoder& encoder);

}  // namespace cpx::data
