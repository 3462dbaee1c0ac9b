// SPDX-License-Identifier: Apache-2.0
// Training texts to token ids: template, special tokens, cut, EOS.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpx/tokenizer/chat_template.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::data {

struct EncodeOptions {
  /// Under kChat the text is the assistant's answer to an empty user message: what a chat model
  /// says is what training changes. kLlama2 and kTulu are the published frames, which hold the text
  /// as the user's. Of a prompt with an answer the prompt is the user's message, or what the frame
  /// holds, and the answer follows.
  tokenizer::PromptTemplate text_template = tokenizer::PromptTemplate::kPlain;
  /// EOS behind every text that does not end in it already (a chat template may close the turn
  /// with it).
  bool append_eos = true;
  int64_t max_tokens = 256;  // 0: no limit
  /// Jinja text that replaces the model's own chat template; empty: the model's.
  std::string chat_template = {};
};

struct EncodedText {
  std::vector<tokenizer::TokenId> ids = {};
  bool is_cut = false;  // longer than max_tokens with its EOS; then it has lost that EOS
};

/// A prompt with its answer, as they are tokenized.
struct PromptedText {
  std::string text = {};
  size_t prompt_bytes = 0;  // what stands in front of the answer
};

/// Encodes texts one way; may be used from several threads at once.
class TextEncoder {
 public:
  /// Throws DataError where EOS is asked for and the tokenizer has none, where the template is the
  /// model's and it has none, or one that fails, and where what stands around every text (EOS, BOS,
  /// the template) has a token that the model lacks.
  TextEncoder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, EncodeOptions options);

  /// `text` in its template with the tokenizer's own special tokens (a chat template writes its
  /// own) and EOS, cut to max_tokens. Throws tokenizer::TokenBeyondModel.
  EncodedText encode(const std::string& text) const;

  /// The same for a text that has a frame of its own: without the template.
  EncodedText encode_unframed(const std::string& text) const;

  /// `text` in its template, as it is tokenized.
  std::string render(const std::string& text) const;

  /// `prompt` in the template with `answer` behind it. Under kChat the answer begins where the
  /// model's begins when it is asked: behind the template's generation prompt.
  PromptedText render(const std::string& prompt, const std::string& answer) const;

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
