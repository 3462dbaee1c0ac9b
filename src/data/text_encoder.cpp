// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/text_encoder.h"

#include <algorithm>
#include <array>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/tokenizer/limited.h"
#include "cpx/tokenizer/text_ends.h"

namespace cpx::data {

namespace {

using tokenizer::PromptTemplate;
using tokenizer::TokenId;
using tokenizer::Tokenizer;

std::string spelling(const Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? tokenizer.piece(*id) : "";
}

// `text` as the assistant's answer to `question`. What a chat model says is what training is to
// change, so the text stands in the assistant's turn; there is a user's turn before it in any
// case, because Llama-2 and Mistral forms refuse a conversation that opens with the assistant.
// Blanks after the closing EOS (ChatML's line break) are cut off: a model that generates stops at
// the EOS.
std::string render_answer(const std::string& jinja, const std::string& question,
                          const std::string& text, std::string_view bos, std::string_view eos) {
  const std::array<tokenizer::ChatMessage, 2> messages = {
      {{"user", question}, {"assistant", text}}};
  std::string rendered =
      tokenizer::render_chat(jinja, messages, /*add_generation_prompt=*/false, bos, eos);
  const std::string_view content(rendered.data(), rendered.find_last_not_of(" \t\r\n") + 1);
  if (!eos.empty() && content.ends_with(eos)) rendered.resize(content.size());
  return rendered;
}

[[noreturn]] void refuse_model_without_template(std::string_view asked, std::string_view hint) {
  throw_<DataError>(
      "[text_encoder] {}: got a model without a chat template, expected one "
      "(tokenizer_config.json: chat_template). {} with --chat-template FILE.",
      asked, hint);
}

}  // namespace

TextEncoder::TextEncoder(std::shared_ptr<const Tokenizer> tokenizer, EncodeOptions options)
    : tokenizer_(std::move(tokenizer)), options_(std::move(options)) {
  CPX_CHECK(tokenizer_ != nullptr, "[text_encoder] got no tokenizer, expected one.");
  CPX_CHECK(options_.max_tokens >= 0, "[text_encoder] max_tokens: got {}, expected 0 or more.",
            options_.max_tokens);
  if (options_.append_eos && !tokenizer_->eos_id()) {
    throw_<DataError>(
        "[text_encoder] append_eos: got a tokenizer without an EOS token, expected one that names "
        "it (tokenizer_config.json: eos_token). Set append_eos to false to do without.");
  }
  if (options_.text_template == PromptTemplate::kChat) check_chat_template();
  if (!tokenizer_->exceeds_model()) return;
  tokenizer::at_place("every text", [&] { return encode(""); });  // what stands around a text
}

void TextEncoder::check_chat_template() {
  if (options_.chat_template.empty()) options_.chat_template = tokenizer_->chat_template();
  if (options_.chat_template.empty()) {
    refuse_model_without_template("template chat", "Choose the template plain, or give one");
  }
  render("");  // a template that fails is an error here, not at the first text
}

std::string TextEncoder::render(const std::string& text) const {
  if (options_.text_template != PromptTemplate::kChat) {
    return tokenizer::render_training_text(options_.text_template, text);
  }
  return render_answer(options_.chat_template, /*question=*/"", text,
                       spelling(*tokenizer_, tokenizer_->bos_id()),
                       spelling(*tokenizer_, tokenizer_->eos_id()));
}

PromptedText TextEncoder::render(const std::string& prompt, const std::string& answer) const {
  if (options_.text_template != PromptTemplate::kChat) {
    const std::string front = tokenizer::render_training_text(options_.text_template, prompt);
    return {.text = front + answer, .prompt_bytes = front.size()};
  }
  const std::string bos = spelling(*tokenizer_, tokenizer_->bos_id());
  const std::string eos = spelling(*tokenizer_, tokenizer_->eos_id());
  const std::array<tokenizer::ChatMessage, 1> question = {{{"user", prompt}}};
  const std::string front = tokenizer::render_chat(options_.chat_template, question,
                                                   /*add_generation_prompt=*/true, bos, eos);
  PromptedText rendered{.text = render_answer(options_.chat_template, prompt, answer, bos, eos)};
  // A template may close its generation prompt otherwise than it opens a finished turn.
  const auto [front_end, text_end] = std::ranges::mismatch(front, rendered.text);
  rendered.prompt_bytes = static_cast<size_t>(front_end - front.begin());
  return rendered;
}

EncodedText TextEncoder::encode(const std::string& text) const {
  // A chat template writes its special tokens itself.
  const bool add_special_tokens = options_.text_template != PromptTemplate::kChat;
  return finish(tokenizer_->encode(render(text), add_special_tokens).ids);
}

EncodedText TextEncoder::encode_unframed(const std::string& text) const {
  return finish(tokenizer_->encode(text).ids);
}

tokenizer::ChatTemplate TextEncoder::chat_template() const {
  const std::string& jinja =
      options_.chat_template.empty() ? tokenizer_->chat_template() : options_.chat_template;
  if (jinja.empty()) refuse_model_without_template("conversations", "Give one");
  return {jinja, spelling(*tokenizer_, tokenizer_->bos_id()),
          spelling(*tokenizer_, tokenizer_->eos_id())};
}

TextEncoder TextEncoder::uncut() const {
  TextEncoder encoder = *this;
  encoder.options_.max_tokens = 0;
  return encoder;
}

std::string TextEncoder::describe_ends() const {
  return tokenizer::describe_ends(*tokenizer_, uncut().encode("a").ids);
}

EncodedText TextEncoder::finish(std::vector<TokenId> ids) const {
  EncodedText encoded{.ids = std::move(ids)};
  const bool ends_in_eos = !encoded.ids.empty() && encoded.ids.back() == tokenizer_->eos_id();
  if (options_.append_eos && !ends_in_eos) {
    tokenizer_->check_has_row(*tokenizer_->eos_id());
    encoded.ids.push_back(*tokenizer_->eos_id());
  }
  if (options_.max_tokens > 0 && std::ssize(encoded.ids) > options_.max_tokens) {
    encoded.ids.resize(options_.max_tokens);
    encoded.is_cut = true;
  }
  return encoded;
}

}  // namespace cpx::data
