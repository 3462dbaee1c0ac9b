// SPDX-License-Identifier: Apache-2.0
#include "chat_reader.h"

namespace cpx::data {

bool holds_messages(const JsonValue& value) {
  return value.is_list() && value.size() > 0 && value.elements().front().is_object();
}

Messages messages_of(const JsonValue& value) {
  if (!value.is_list() || value.size() == 0) value.fail("a list of messages");
  Messages messages;
  for (const JsonValue& message : value.elements()) {
    if (!message.is_object()) message.fail("a message with 'role' and 'content'");
    if (message.find("tool_calls")) message.fail("tool_calls", "none: tool calls are not rendered");
    messages.push_back({message.at("role").text(), message.at("content").text()});
  }
  return messages;
}

const tokenizer::ChatTemplate* ChatSource::get() {
  if (encoder_ == nullptr) return nullptr;
  if (!chat_) chat_ = encoder_->chat_template();
  return &*chat_;
}

}  // namespace cpx::data
