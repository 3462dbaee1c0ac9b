// SPDX-License-Identifier: Apache-2.0
#include "cpx/tokenizer/chat_template.h"

#include <map>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/nearest.h"
#include "cpx/core/text.h"
#include "jinja_json.h"
#include "jinja_template.h"

namespace cpx::tokenizer {

namespace {

struct TemplateName {
  PromptTemplate value;
  std::string_view name;
};
constexpr TemplateName kTemplateNames[] = {
    {PromptTemplate::kPlain, "plain"},
    {PromptTemplate::kLlama2, "llama2"},
    {PromptTemplate::kTulu, "tulu"},
    {PromptTemplate::kChat, "chat"},
};

jinja::Value make_messages(std::span<const ChatMessage> messages) {
  jinja::Values list;
  for (const auto& message : messages) {
    auto members = std::make_shared<jinja::Dict>();
    members->set(jinja::make_text("role"), jinja::make_text(message.role));
    members->set(jinja::make_text("content"), jinja::make_text(message.content));
    list.push_back({jinja::DictRef(std::move(members))});
  }
  return jinja::make_list(std::move(list));
}

// What transformers gives to a template besides the messages, where nothing else is asked for.
std::map<std::string, jinja::Value> default_variables() {
  return {{"tools", {jinja::None{}}},
          {"documents", {jinja::None{}}},
          {"add_generation_prompt", {false}}};
}

}  // namespace

PromptTemplate parse_prompt_template(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& entry : kTemplateNames) {
    if (entry.name == name) return entry.value;
    known.emplace_back(entry.name);
  }
  const auto nearest = nearest_name(name, known);
  const std::string hint = nearest ? fmt::format(" Did you mean '{}'?", *nearest) : "";
  throw ConfigError(fmt::format("[data.template] got {}, expected plain, llama2, tulu or chat.{}",
                                quote(name), hint));
}

std::string_view prompt_template_name(PromptTemplate prompt_template) {
  for (const auto& entry : kTemplateNames) {
    if (entry.value == prompt_template) return entry.name;
  }
  CPX_CHECK(false, "[prompt_template_name] {} is no template.", static_cast<int>(prompt_template));
  return {};
}

// Source: SAP-samples/acl2025-contrastive-perplexity at be8b4fd, train_mistral.py
// (use_llama_chat_format and use_chat_format); the BOS is the tokenizer's.
std::string render_training_text(PromptTemplate prompt_template, std::string_view text) {
  CPX_CHECK(prompt_template != PromptTemplate::kChat,
            "[render_training_text] the template 'chat' is the model's own, see render_chat().");
  if (prompt_template == PromptTemplate::kLlama2) {
    return fmt::format("[INST] Complete the following: {} [/INST]", text);
  }
  if (prompt_template == PromptTemplate::kTulu) {
    return fmt::format("<|user|>\nComplete the following: {}\n<|assistant|>\nA:", text);
  }
  return std::string(text);
}

ChatTemplate::ChatTemplate(const std::string& jinja, std::string_view bos, std::string_view eos)
    : bos_(bos), eos_(eos) {
  if (jinja.empty()) {
    throw_<DataError>(
        "[render_chat] the model has no chat template. Give one with --chat-template FILE.");
  }
  template_ = std::make_shared<const jinja::Template>(jinja);
}

bool ChatTemplate::marks_generation() const { return template_->has_generation(); }

RenderedChat ChatTemplate::render(std::span<const ChatMessage> messages,
                                  bool add_generation_prompt) const {
  auto variables = default_variables();
  variables["messages"] = make_messages(messages);
  variables["add_generation_prompt"] = {add_generation_prompt};
  // A token that a model does not have is not defined, as in transformers.
  if (!bos_.empty()) variables["bos_token"] = jinja::make_text(bos_);
  if (!eos_.empty()) variables["eos_token"] = jinja::make_text(eos_);
  jinja::Rendering made = template_->render(std::move(variables), std::chrono::system_clock::now);
  RenderedChat chat{.text = std::move(made.text)};
  for (const auto& [begin, end] : made.generations) chat.generated.push_back({begin, end});
  return chat;
}

std::string render_chat(const std::string& jinja, std::span<const ChatMessage> messages,
                        bool add_generation_prompt, std::string_view bos, std::string_view eos) {
  return ChatTemplate(jinja, bos, eos).render(messages, add_generation_prompt).text;
}

std::string render_template(std::string_view jinja, std::string_view variables,
                            std::chrono::system_clock::time_point now) {
  auto all = default_variables();
  for (auto& [name, value] : jinja::read_json_members(variables)) all[name] = std::move(value);
  return jinja::Template(jinja).render(std::move(all), [now] { return now; }).text;
}

}  // namespace cpx::tokenizer
