// SPDX-License-Identifier: Apache-2.0
// Prompt templates: the fixed forms of the published recipes and the chat forms of models, which
// are recognised from their Jinja text and rendered as transformers' apply_chat_template does.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace cpx::tokenizer {

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

/// The conversation as `jinja` (a model's chat template) renders it. ChatML, Llama-2, Llama-3,
/// Mistral and Zephyr forms are recognised; any other is a DataError that points to --template.
/// `bos` and `eos` are the spellings of the model's tokens. With `add_generation_prompt` the text
/// ends where the assistant's answer begins.
std::string render_chat(const std::string& jinja, std::span<const ChatMessage> messages,
                        bool add_generation_prompt, std::string_view bos, std::string_view eos);

}  // namespace cpx::tokenizer
