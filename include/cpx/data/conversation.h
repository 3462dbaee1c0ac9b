// SPDX-License-Identifier: Apache-2.0
// Conversations as a chat template renders them: which parts are learned, and where an answer
// begins.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cpx/tokenizer/chat_template.h"

namespace cpx::data {

using Messages = std::vector<tokenizer::ChatMessage>;

/// A rendered conversation and the parts of it that are learned.
struct LearnedChat {
  std::string text = {};
  std::vector<tokenizer::ByteSpan> learned = {};  // ascending and apart; none: nobody answers
};

/// Renders `messages`; learned is what the assistant says. A template with {% generation %} says
/// itself what that is, as under transformers. Of another one it is what a turn adds to the
/// messages before it with the template's generation prompt, without blanks behind a closing EOS.
/// Throws DataError where the template refuses the messages, and where what it makes of those
/// before a turn does not begin what it makes with that turn.
LearnedChat render_learned(const tokenizer::ChatTemplate& chat, const Messages& messages);

/// A prompt and answers to it, as they are tokenized: each answer follows the prompt.
struct RenderedAnswers {
  std::string prompt = {};
  std::vector<std::string> answers = {};
};

/// Renders `prompt` with each of `answers` behind it. The prompt's text is what its own rendering,
/// with the template's generation prompt, and all the conversations begin with. Nothing is cut off
/// or added, as in TRL 1.16. Throws DataError where the template refuses.
RenderedAnswers render_answers(const tokenizer::ChatTemplate& chat, const Messages& prompt,
                               std::span<const Messages> answers);

}  // namespace cpx::data
