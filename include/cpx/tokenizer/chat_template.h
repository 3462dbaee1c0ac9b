// SPDX-License-Identifier: Apache-2.0
// Prompt templates: the fixed forms of the published recipes, and the chat templates of models,
// which cpx renders as transformers' apply_chat_template does.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cpx::tokenizer {

namespace jinja {
class Template;
}

/// How a training text is framed; kChat is the model's own chat template.
enum class PromptTemplate { kPlain, kLlama2, kTulu, kChat };

/// Template of that name ("plain", "llama2", "tulu", "chat"); throws ConfigError otherwise.
PromptTemplate parse_prompt_template(std::string_view name);

/// The name that parse_prompt_template() reads.
std::string_view prompt_template_name(PromptTemplate prompt_template);

/// `text` in the frame of a published recipe. Throws std::invalid_argument for kChat, which needs a
/// model's template: see render_chat().
std::string render_training_text(PromptTemplate prompt_template, std::string_view text);

/// One turn of a conversation; `role` is "system", "user" or "assistant".
struct ChatMessage {
  std::string role;
  std::string content;
};

/// Renders the conversation with `jinja` (the chat template of a model), without tools. `bos` and
/// `eos` are the spellings of the model's tokens; the template does not see a token that the model
/// lacks. With `add_generation_prompt` the text ends where the answer of the assistant begins.
/// Throws DataError with the line of the template if it is empty, is not valid Jinja, refuses the
/// conversation, or uses what cpx does not support.
std::string render_chat(const std::string& jinja, std::span<const ChatMessage> messages,
                        bool add_generation_prompt, std::string_view bos, std::string_view eos);

/// Bytes [begin, end) of a text.
struct ByteSpan {
  size_t begin = 0;
  size_t end = 0;

  bool operator==(const ByteSpan&) const = default;
};

/// A conversation that a template has rendered.
struct RenderedChat {
  std::string text = {};
  /// The text of the template's {% generation %} blocks: the assistant's words.
  std::vector<ByteSpan> generated = {};
};

/// A chat template, parsed once. Several threads may use it at the same time.
class ChatTemplate {
 public:
  /// See render_chat() for the arguments and for what it throws.
  ChatTemplate(const std::string& jinja, std::string_view bos, std::string_view eos);

  /// Renders a conversation; throws DataError where the template fails.
  RenderedChat render(std::span<const ChatMessage> messages, bool add_generation_prompt) const;

  /// True if the template marks the assistant's words by {% generation %}.
  bool marks_generation() const;
  /// The text of EOS; empty if the model has none.
  const std::string& eos() const { return eos_; }

 private:
  std::shared_ptr<const jinja::Template> template_;
  std::string bos_;
  std::string eos_;
};

/// Renders a template with any variables: `variables` is a JSON object, whose `messages` may have
/// tool calls; `tools` and `documents` are none unless it has them. `now` is the time that
/// strftime_now() shows, in local time.
std::string render_template(std::string_view jinja, std::string_view variables,
                            std::chrono::system_clock::time_point now);

}  // namespace cpx::tokenizer
