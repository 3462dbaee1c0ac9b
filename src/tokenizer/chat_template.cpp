// SPDX-License-Identifier: Apache-2.0
#include "cpx/tokenizer/chat_template.h"

#include <array>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/nearest.h"
#include "jinja_template.h"
#include "json_node.h"

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

// The forms that are known, by what only their templates contain.
bool has_known_form(std::string_view jinja) {
  const auto has = [&](std::string_view mark) {
    return jinja.find(mark) != std::string_view::npos;
  };
  const bool is_chatml = has("<|im_start|>") && has("<|im_end|>");
  const bool is_llama3 = has("<|start_header_id|>") && has("<|eot_id|>");
  const bool is_llama2_or_mistral = has("[INST]") && has("[/INST]");
  const bool is_zephyr = has("<|user|>") && has("<|assistant|>");
  return is_chatml || is_llama3 || is_llama2_or_mistral || is_zephyr;
}

jinja::Value make_messages(std::span<const ChatMessage> messages) {
  auto list = std::make_shared<std::vector<jinja::Value>>();
  for (const auto& message : messages) {
    auto members = std::make_shared<std::map<std::string, jinja::Value>>();
    (*members)["role"] = {message.role};
    (*members)["content"] = {message.content};
    list->push_back({std::move(members)});
  }
  return {std::move(list)};
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
                                in_quotes(name), hint));
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

std::string render_chat(const std::string& jinja, std::span<const ChatMessage> messages,
                        bool add_generation_prompt, std::string_view bos, std::string_view eos) {
  if (jinja.empty()) {
    throw_<DataError>(
        "[render_chat] the model has no chat template. Give one with --template FILE.");
  }
  if (!has_known_form(jinja)) {
    throw_<DataError>(
        "[render_chat] the model's chat template has none of the forms that cpx knows (ChatML, "
        "Llama-2, Llama-3, Mistral, Zephyr): it starts with {}. Give one of these with --template "
        "FILE.",
        in_quotes(jinja));
  }
  jinja::Scope scope;
  scope.set("messages", make_messages(messages));
  scope.set("add_generation_prompt", {add_generation_prompt});
  scope.set("bos_token", {std::string(bos)});
  scope.set("eos_token", {std::string(eos)});
  for (const char* absent : {"tools", "documents"}) scope.set(absent, {jinja::None{}});
  return jinja::Template(jinja).render(std::move(scope));
}

}  // namespace cpx::tokenizer
