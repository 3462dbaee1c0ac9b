// SPDX-License-Identifier: Apache-2.0
// Turns training texts into token ids: template, special tokens, cut, EOS.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpx/tokenizer/chat_template.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::data {

struct EncodeOptions {
  /// With kChat the text is the assistant's answer to an empty user message, because training
  /// changes what a chat model says. kLlama2 and kTulu are the published frames, which contain the
  /// text as the user's. For a prompt with an answer, the prompt is the user's message or the
  /// content of the frame, and the answer follows.
  tokenizer::PromptTemplate text_template = tokenizer::PromptTemplate::kPlain;
  /// Appends EOS to every text that does not already end in it (a chat template may close the turn
  /// with it).
  bool append_eos = true;
  int64_t max_tokens = 256;  // 0: no limit
  /// Jinja text that replaces the model's own chat template; empty: the model's.
  std::string chat_template = {};
};

struct EncodedText {
  std::vector<tokenizer::TokenId> ids = {};
  bool is_cut = false;  // longer than max_tokens with its EOS; a cut text has no EOS
};

/// A prompt with its answer as one text, ready to be tokenized.
struct PromptedText {
  std::string text = {};
  size_t prompt_bytes = 0;  // length of the text in front of the answer
};

/// Encodes texts with one set of options; may be used from several threads at once.
class TextEncoder {
 public:
  /// Throws DataError if EOS is requested and the tokenizer has none; if the template is the
  /// model's and the model has none, or one that fails; and if the tokens around every text (EOS,
  /// BOS, the template) include one that the model lacks.
  TextEncoder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, EncodeOptions options);

  /// `text` in its template with the tokenizer's own special tokens (a chat template writes its
  /// own) and EOS, cut to max_tokens. Throws tokenizer::TokenBeyondModel.
  EncodedText encode(const std::string& text) const;

  /// As encode(), but without the template, for a text with a frame of its own.
  EncodedText encode_unframed(const std::string& text) const;

  /// `text` in its template, before tokenization.
  std::string render(const std::string& text) const;

  /// `prompt` in the template with `answer` behind it. With kChat the answer begins where the
  /// model's own answer begins: behind the generation prompt of the template.
  PromptedText render(const std::string& prompt, const std::string& answer) const;

  /// The chat template that conversations are rendered with, parsed anew. Throws DataError where
  /// the model has none, or one that is no valid Jinja.
  tokenizer::ChatTemplate chat_template() const;

  /// The same encoder without a limit of tokens.
  TextEncoder uncut() const;

  /// The special tokens at both ends of a text that is not cut, for the log.
  std::string describe_ends() const;

  const tokenizer::Tokenizer& tokenizer() const { return *tokenizer_; }
  const EncodeOptions& options() const { return options_; }

 private:
  void check_chat_template();
  EncodedText finish(std::vector<tokenizer::TokenId> ids) const;

  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  EncodeOptions options_;
};

}  // namespace cpx::data
