// SPDX-License-Identifier: Apache-2.0
// Messages of data files, and the chat template that renders them.
#pragma once

#include <optional>

#include "cpx/core/error.h"
#include "cpx/core/json.h"
#include "cpx/data/conversation.h"
#include "cpx/data/text_encoder.h"

namespace cpx::data {

/// True for a list whose first element is an object, as messages are.
bool holds_messages(const JsonValue& value);

/// The messages of a list of objects with `role` and `content`, both texts. Throws DataError, for
/// tool calls too, which are not rendered.
Messages messages_of(const JsonValue& value);

/// The chat template of an encoder, which is parsed when it is first asked for.
class ChatSource {
 public:
  /// null: conversations are looked at, but not rendered. The encoder must outlive the object.
  explicit ChatSource(const TextEncoder* encoder) : encoder_(encoder) {}

  /// null without an encoder. Throws DataError where the model has no template.
  const tokenizer::ChatTemplate* get();

 private:
  const TextEncoder* encoder_;
  std::optional<tokenizer::ChatTemplate> chat_;
};

/// What `render` returns; where it throws a DataError, one with the place of `record`.
template <class Render>
auto render_at(const JsonValue& record, const Render& render) {
  try {
    return render();
  } catch (const DataError& error) {
    const std::string_view what = error.what();
    throw DataError(at_place(record.place(), what.substr(what.find("] ") + 2)));
  }
}

}  // namespace cpx::data
