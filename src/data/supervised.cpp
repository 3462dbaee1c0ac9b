// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/supervised.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "chat_reader.h"
#include "cpx/core/json_stream.h"
#include "cpx/core/text.h"
#include "data_file.h"
#include "epoch_order.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPlainTextKey = "text";
constexpr const char* kGivenKey = "prompt";
constexpr const char* kCompletionKey = "completion";
constexpr const char* kMessagesKey = "messages";

// What a record says of its file; nothing where it has no known key.
std::optional<SupervisedForm> form_of(const JsonValue& record) {
  if (record.is_text()) return SupervisedForm::kText;
  if (!record.is_object()) return std::nullopt;
  if (record.contains(kMessagesKey)) return SupervisedForm::kMessages;
  if (record.contains(kCompletionKey)) return SupervisedForm::kCompletion;
  if (record.contains(kPlainTextKey)) return SupervisedForm::kText;
  return std::nullopt;
}

bool is_contrast_record(const JsonValue& record) {
  return record.is_object() &&
         (record.contains("paraphrases") || record.contains("paraphrases_toxic"));
}

std::string some_text(const JsonValue& value) {
  if (is_blank(value.text_view())) value.fail(kSomeText);
  return value.text();
}

JsonValue needed(const JsonValue& record, const char* key, std::string_view expected) {
  if (!record.is_object()) record.fail("an object");
  const auto value = record.find(key);
  if (!value) throw DataError(missing(record, key, expected));
  return *value;
}

// Reads the records of files whose form is known.
class SupervisedReader {
 public:
  explicit SupervisedReader(const TextEncoder* encoder) : chat_(encoder) {}

  // Nothing for a conversation without a chat template to render it.
  std::optional<SupervisedText> read(const JsonValue& record, SupervisedForm form) {
    SupervisedText text{.form = form, .where = place_of(record)};
    bool is_made = true;
    if (form == SupervisedForm::kText) {
      text.text = some_text(record.is_text() ? record : needed(record, kPlainTextKey, "a text"));
    } else if (form == SupervisedForm::kCompletion) {
      is_made = read_completion(record, text);
    } else {
      is_made = read_messages(record, text);
    }
    return is_made ? std::optional(std::move(text)) : std::nullopt;
  }

  // Throws where conversations cannot be rendered.
  void require_chat() { chat_.get(); }

 private:
  bool read_completion(const JsonValue& record, SupervisedText& text) {
    const JsonValue completion = needed(record, kCompletionKey, "a text or messages");
    const JsonValue prompt = needed(record, kGivenKey, "a text or messages");
    if (!holds_messages(completion)) {
      text.prompt = prompt.text();
      text.text = some_text(completion);
      return true;
    }
    const Messages given = messages_of(prompt);
    const Messages said = messages_of(completion);
    if (chat_.get() == nullptr) return false;
    const auto rendered = render_at(record, [&] {
      return render_answers(*chat_.get(), given, {&said, 1});
    });
    text.frame = Frame::kRendered;
    text.prompt = rendered.prompt;
    text.text = rendered.answers.front();
    return true;
  }

  bool read_messages(const JsonValue& record, SupervisedText& text) {
    const Messages messages = messages_of(needed(record, kMessagesKey, "a list of messages"));
    if (chat_.get() == nullptr) return false;
    auto rendered = render_at(record, [&] { return render_learned(*chat_.get(), messages); });
    text.frame = Frame::kRendered;
    text.text = std::move(rendered.text);
    text.learned = std::move(rendered.learned);
    return true;
  }

  ChatSource chat_;
};

bool is_conversation(const JsonValue& record) {
  if (!record.is_object()) return false;
  const auto completion = record.find(kCompletionKey);
  return record.contains(kMessagesKey) || (completion && holds_messages(*completion));
}

std::string unknown_form(const fs::path& file, const JsonValue& first) {
  const std::string got =
      first.is_object() ? fmt::format("the keys {}", first.names()) : first.describe();
  return fmt::format(
      "[{}] got {}, expected texts, or objects with 'text', with 'prompt' and 'completion', or "
      "with "
      "'messages'.",
      file.string(), got);
}

void read_supervised_json(const fs::path& file, SupervisedReader& reader,
                          std::vector<SupervisedText>& texts, Faults& faults) {
  const JsonItems read = read_json_items(file, "record");
  faults.append(read.faults);
  std::optional<SupervisedForm> form;
  for (const JsonValue& record : read.values) {
    if (!form) form = form_of(record);
  }
  if (!form) {
    if (!read.values.empty()) faults.add_line(unknown_form(file, read.values.front()));
    return;
  }
  for (const JsonValue& record : read.values) {
    if (is_conversation(record)) reader.require_chat();
    auto text = faults.collect([&] { return reader.read(record, *form); });
    if (text && *text) texts.push_back(std::move(**text));
  }
}

void read_supervised_lines(const fs::path& file, std::vector<SupervisedText>& texts,
                           Faults& faults) {
  for (TextLine& line : read_text_lines(file, faults)) {
    texts.push_back({.text = std::move(line.text),
                     .where = fmt::format("{}: line {}", file.string(), line.number)});
  }
}

// Tokens that reach into one of the spans.
std::vector<PredictedSpan> tokens_of_spans(const tokenizer::Encoding& encoding,
                                           std::span<const tokenizer::ByteSpan> spans) {
  std::vector<PredictedSpan> tokens;
  for (int64_t i = 0; i < std::ssize(encoding.offsets); ++i) {
    const auto [begin, end] = encoding.offsets[static_cast<size_t>(i)];
    const bool is_learned =
        std::ranges::any_of(spans, [begin = begin, end = end](const auto& span) {
          return begin < span.end && end > span.begin;
        });
    if (!is_learned) continue;
    if (tokens.empty() || tokens.back().end < i) tokens.push_back({.begin = i, .end = i});
    tokens.back().end = i + 1;
  }
  return tokens;
}

// All from `begin` on; the first token follows none.
std::vector<PredictedSpan> all_behind(int64_t begin, int64_t end) {
  begin = std::max<int64_t>(begin, 1);
  if (begin >= end) return {};
  return {{.begin = begin, .end = end}};
}

}  // namespace

std::string_view form_name(SupervisedForm form) {
  if (form == SupervisedForm::kCompletion) return "completion";
  return form == SupervisedForm::kMessages ? "conversation" : "text";
}

bool holds_supervised(const fs::path& file) {
  try {
    if (!holds_json(file)) return true;
    JsonStream stream(file, "record");
    while (const auto record = stream.next()) {
      if (is_contrast_record(*record)) return false;
      if (form_of(*record)) return true;
    }
  } catch (const DataError&) {  // who reads the file says what is wrong
  }
  return false;
}

SupervisedContent read_supervised(std::span<const fs::path> files, const TextEncoder* encoder) {
  SupervisedContent content;
  SupervisedReader reader(encoder);
  for (const fs::path& file : files) {
    Faults faults;
    const auto is_json = faults.collect([&] { return holds_json(file); });
    if (is_json && *is_json) {
      read_supervised_json(file, reader, content.texts, faults);
    } else if (is_json) {
      read_supervised_lines(file, content.texts, faults);
    }
    content.faults.append_file(file.string(), faults);
  }
  return content;
}

int64_t MaskedText::num_predicted() const {
  int64_t count = 0;
  for (const PredictedSpan& span : predicted) count += span.end - span.begin;
  return count;
}

MaskedText SupervisedEncoder::encode(const SupervisedText& text) const {
  if (text.form == SupervisedForm::kMessages) return encode_conversation(text);
  if (text.form == SupervisedForm::kCompletion) {
    const EncodedPair pair = pairs_.encode(text.prompt, {&text.text, 1}, text.frame);
    MaskedText masked{.ids = pair.whole_text(0), .is_cut = pair.answers[0].is_cut};
    masked.predicted = all_behind(std::ssize(pair.prompt), std::ssize(masked.ids));
    return masked;
  }
  EncodedText encoded = text_encoder().encode(text.text);
  MaskedText masked{.ids = std::move(encoded.ids), .is_cut = encoded.is_cut};
  masked.predicted = all_behind(1, std::ssize(masked.ids));
  return masked;
}

MaskedText SupervisedEncoder::encode_conversation(const SupervisedText& text) const {
  // A chat template writes its special tokens itself.
  auto encoding = text_encoder().tokenizer().encode(text.text, /*add_special_tokens=*/false);
  MaskedText masked{.predicted = tokens_of_spans(encoding, text.learned)};
  masked.ids = std::move(encoding.ids);
  const int64_t limit = text_encoder().options().max_tokens;
  if (limit > 0 && std::ssize(masked.ids) > limit) {
    masked.ids.resize(static_cast<size_t>(limit));
    masked.is_cut = true;
  }
  const int64_t length = std::ssize(masked.ids);
  for (PredictedSpan& span : masked.predicted) {
    span = {.begin = std::max<int64_t>(span.begin, 1), .end = std::min(span.end, length)};
  }
  std::erase_if(masked.predicted, [](const PredictedSpan& span) { return span.begin >= span.end; });
  return masked;
}

std::vector<int64_t> supervised_order(int64_t n, bool shuffle, uint64_t seed, int64_t epoch) {
  return visit_order(n, shuffle, seed, epoch);
}

}  // namespace cpx::data
