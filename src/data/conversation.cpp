// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/conversation.h"

#include <algorithm>

#include "cpx/core/error.h"
#include "cpx/core/text.h"

namespace cpx::data {

namespace {

using tokenizer::ByteSpan;
using tokenizer::ChatTemplate;

constexpr std::string_view kAssistant = "assistant";

size_t common_bytes(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

// Throws unless `whole` begins with `front`, which is what messages 0 to `turn` - 1 become.
void check_begins(std::string_view whole, std::string_view front, size_t turn) {
  if (whole.starts_with(front)) return;
  const size_t common = common_bytes(whole, front);
  throw_<DataError>(
      "[conversation] message {}: the chat template renders the messages before it as {} and, with "
      "it, as {} there, expected the same beginning: where the turn begins cannot be told. Give a "
      "template with {{% generation %}} with --chat-template FILE.",
      turn + 1, quote(front.substr(common)), quote(whole.substr(common)));
}

// The end of a turn without blanks behind the EOS that closes it: who generates stops there.
size_t end_of_turn(std::string_view text, ByteSpan turn, std::string_view eos) {
  const std::string_view said = text.substr(turn.begin, turn.end - turn.begin);
  const size_t length = said.find_last_not_of(" \t\r\n") + 1;
  const bool is_closed = !eos.empty() && said.substr(0, length).ends_with(eos);
  return is_closed ? turn.begin + length : turn.end;
}

std::vector<ByteSpan> turns_by_prefix(const ChatTemplate& chat, const Messages& messages,
                                      std::string_view text) {
  std::vector<ByteSpan> turns;
  const std::span all(messages);
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != kAssistant) continue;
    const std::string front = chat.render(all.first(i), /*add_generation_prompt=*/true).text;
    const std::string whole = chat.render(all.first(i + 1), /*add_generation_prompt=*/false).text;
    check_begins(whole, front, i);
    check_begins(text, whole, i + 1);
    const ByteSpan turn{.begin = front.size(), .end = whole.size()};
    turns.push_back({.begin = turn.begin, .end = end_of_turn(text, turn, chat.eos())});
  }
  return turns;
}

}  // namespace

LearnedChat render_learned(const ChatTemplate& chat, const Messages& messages) {
  auto rendered = chat.render(messages, /*add_generation_prompt=*/false);
  LearnedChat learned{.text = std::move(rendered.text), .learned = std::move(rendered.generated)};
  if (!chat.marks_generation()) learned.learned = turns_by_prefix(chat, messages, learned.text);
  return learned;
}

RenderedAnswers render_answers(const ChatTemplate& chat, const Messages& prompt,
                               std::span<const Messages> answers) {
  RenderedAnswers rendered{.prompt = chat.render(prompt, /*add_generation_prompt=*/true).text};
  std::vector<std::string> wholes;
  for (const Messages& answer : answers) {
    Messages messages = prompt;
    messages.insert(messages.end(), answer.begin(), answer.end());
    wholes.push_back(chat.render(messages, /*add_generation_prompt=*/false).text);
    rendered.prompt.resize(common_bytes(rendered.prompt, wholes.back()));
  }
  for (const std::string& whole : wholes) {
    rendered.answers.push_back(whole.substr(rendered.prompt.size()));
  }
  return rendered;
}

}  // namespace cpx::data
