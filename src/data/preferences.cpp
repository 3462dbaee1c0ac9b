// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/preferences.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "chat_reader.h"
#include "cpx/core/error.h"
#include "cpx/core/json_stream.h"
#include "cpx/core/text.h"
#include "data_file.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPlaceholder = "{input}";
constexpr const char* kPromptKey = "prompt";
constexpr const char* kInputKey = "input";
constexpr const char* kChosenKey = "chosen";
constexpr const char* kRejectedKey = "rejected";
constexpr const char* kRejectedForm = "a text or a list of texts";
constexpr const char* kAnswerKey = "completion";
constexpr const char* kLabelKey = "label";

void check_template(const std::string& prompt_template) {
  CPX_CHECK(prompt_template.find(kPlaceholder) != std::string::npos,
            "[preferences] prompt template: got {}, expected a text with {} in it.",
            quote(prompt_template), kPlaceholder);
}

std::string fill(std::string_view prompt_template, std::string_view input) {
  std::string prompt;
  size_t at = prompt_template.find(kPlaceholder);
  while (at != std::string_view::npos) {
    prompt.append(prompt_template.substr(0, at)).append(input);
    prompt_template.remove_prefix(at + kPlaceholder.size());
    at = prompt_template.find(kPlaceholder);
  }
  return prompt.append(prompt_template);
}

// kNeeded: pairs. kOptional: prompts alone. kLabelled: answers each by itself.
enum class Answers { kNeeded, kOptional, kLabelled };

// What both sides begin with, as TRL 1.16 has it (extract_prompt): where one side is all of the
// other's beginning, without the last message of it. They lose it.
Messages take_prompt(Messages& chosen, Messages& rejected) {
  const auto is_equal = [](const tokenizer::ChatMessage& a, const tokenizer::ChatMessage& b) {
    return a.role == b.role && a.content == b.content;
  };
  const int64_t shorter = std::min(std::ssize(chosen), std::ssize(rejected));
  const auto end = std::ranges::mismatch(chosen, rejected, is_equal).in1;
  const auto count = std::min<int64_t>(end - chosen.begin(), shorter - 1);
  Messages prompt(chosen.begin(), chosen.begin() + count);
  chosen.erase(chosen.begin(), chosen.begin() + count);
  rejected.erase(rejected.begin(), rejected.begin() + count);
  return prompt;
}

// Reads one object of preferences and collects what is wrong with it.
class PreferenceReader {
 public:
  PreferenceReader(const JsonValue& value, const std::string& prompt_template, Answers answers,
                   ChatSource& chat, Faults& faults)
      : value_(value),
        prompt_template_(prompt_template),
        answers_(answers),
        chat_(chat),
        faults_(faults) {}

  // The item, or nothing if it has a fault or is a conversation without an encoder. Throws
  // DataError for a conversation without a chat template.
  std::optional<PreferenceItem> read() {
    if (!value_.is_object()) {
      faults_.add_line(value_.fault("an object"));
      return std::nullopt;
    }
    if (is_conversation()) {
      const tokenizer::ChatTemplate* chat = chat_.get();
      return faults_.collect([&] { return read_conversation(chat); }).value_or(std::nullopt);
    }
    if (is_labelled()) return read_labelled_text();
    const size_t num_faults_before = faults_.size();
    PreferenceItem item{.prompt = read_prompt(), .where = place_of(value_)};
    if (const auto chosen = find_answer(kChosenKey, "a text")) add_answer(*chosen, item.chosen);
    if (const auto rejected = find_answer(kRejectedKey, kRejectedForm)) {
      read_rejected(*rejected, item.rejected);
    }
    if (faults_.size() > num_faults_before) return std::nullopt;
    return item;
  }

 private:
  bool is_labelled() const {
    return answers_ == Answers::kLabelled &&
           (value_.contains(kAnswerKey) || value_.contains(kLabelKey));
  }

  bool is_conversation() const {
    if (answers_ == Answers::kOptional) return false;
    for (const char* key : {kChosenKey, kAnswerKey}) {
      const auto answer = value_.find(key);
      if (answer && holds_messages(*answer)) return true;
    }
    return false;
  }

  JsonValue needed_value(const char* key, std::string_view expected) const {
    const auto value = value_.find(key);
    if (!value) throw DataError(missing(value_, key, expected));
    return *value;
  }

  bool read_label() const { return needed_value(kLabelKey, "true or false").boolean(); }

  std::optional<PreferenceItem> read_labelled_text() {
    const size_t num_faults_before = faults_.size();
    PreferenceItem item{.prompt = read_prompt(), .where = place_of(value_)};
    const auto is_wanted = faults_.collect([&] { return read_label(); });
    auto& side = is_wanted.value_or(true) ? item.chosen : item.rejected;
    const auto answer = faults_.collect([&] { return needed_value(kAnswerKey, "a text"); });
    if (answer) add_answer(*answer, side);
    if (faults_.size() > num_faults_before) return std::nullopt;
    return item;
  }

  std::optional<PreferenceItem> read_conversation(const tokenizer::ChatTemplate* chat) const {
    const auto messages = [&](const char* key) {
      return messages_of(needed_value(key, "a list of messages"));
    };
    if (is_labelled()) {
      const bool is_wanted = read_label();
      const Messages answer = messages(kAnswerKey);
      return rendered(chat, messages(kPromptKey), {&answer, 1}, is_wanted ? 1 : 0);
    }
    std::array<Messages, 2> sides = {messages(kChosenKey), messages(kRejectedKey)};
    const Messages prompt =
        value_.find(kPromptKey) ? messages(kPromptKey) : take_prompt(sides[0], sides[1]);
    return rendered(chat, prompt, sides, /*num_chosen=*/1);
  }

  // The first `num_chosen` answers are the chosen ones.
  std::optional<PreferenceItem> rendered(const tokenizer::ChatTemplate* chat,
                                         const Messages& prompt, std::span<const Messages> answers,
                                         ptrdiff_t num_chosen) const {
    if (chat == nullptr) return std::nullopt;
    RenderedAnswers texts =
        render_at(value_, [&] { return render_answers(*chat, prompt, answers); });
    PreferenceItem item{
        .prompt = std::move(texts.prompt), .where = place_of(value_), .frame = Frame::kRendered};
    const auto middle = texts.answers.begin() + num_chosen;
    item.chosen.assign(texts.answers.begin(), middle);
    item.rejected.assign(middle, texts.answers.end());
    return item;
  }

  std::optional<JsonValue> find_answer(const char* key, std::string_view expected) {
    const auto read = [&] {
      auto value = value_.find(key);
      if (!value && answers_ == Answers::kNeeded) throw DataError(missing(value_, key, expected));
      return value;
    };
    return faults_.collect(read).value_or(std::nullopt);
  }

  std::string read_prompt() {
    const auto read = [&]() -> std::string {
      if (const auto prompt = value_.find(kPromptKey)) return prompt->text();
      const auto input = value_.find(kInputKey);
      if (!input) throw DataError(missing(value_, kPromptKey, "a text under 'prompt' or 'input'"));
      return fill(prompt_template_, text_of(*input));
    };
    return faults_.collect(read).value_or("");
  }

  void read_rejected(const JsonValue& value, std::vector<std::string>& texts) {
    if (value.is_text()) {
      add_answer(value, texts);
    } else if (!value.is_list()) {
      faults_.add_line(value.fault(kRejectedForm));
    } else {
      if (value.size() == 0) faults_.add_line(value.fault("texts"));
      for (const JsonValue& text : value.elements()) add_answer(text, texts);
    }
  }

  void add_answer(const JsonValue& value, std::vector<std::string>& texts) {
    if (auto text = faults_.collect([&] { return text_of(value); })) {
      texts.push_back(std::move(*text));
    }
  }

  static std::string text_of(const JsonValue& value) {
    if (is_blank(value.text_view())) value.fail(kSomeText);
    return value.text();
  }

  const JsonValue& value_;
  const std::string& prompt_template_;
  Answers answers_;
  ChatSource& chat_;
  Faults& faults_;
};

enum class FileKind { kUnknown, kPreferences, kContrastRecords };

FileKind kind_of(const JsonItems& read, Answers answers) {
  for (const JsonValue& value : read.values) {
    const std::vector<std::string> keys = value.keys();
    const auto contains = [&](const char* key) { return std::ranges::count(keys, key) > 0; };
    if (contains("paraphrases") || contains("paraphrases_toxic")) return FileKind::kContrastRecords;
    if (contains(kPromptKey) || contains(kChosenKey) || contains(kRejectedKey)) {
      return FileKind::kPreferences;
    }
    if (answers == Answers::kOptional && contains(kInputKey)) return FileKind::kPreferences;
    if (answers == Answers::kLabelled && (contains(kAnswerKey) || contains(kLabelKey))) {
      return FileKind::kPreferences;
    }
  }
  return FileKind::kUnknown;
}

std::string_view keys_of(Answers answers) {
  switch (answers) {
    case Answers::kOptional:
      return "'prompt' or 'input'";
    case Answers::kLabelled:
      return "'completion' and 'label', or with 'chosen' and 'rejected'";
    default:
      return "'chosen' and 'rejected'";
  }
}

std::string unknown_kind(const fs::path& file, const JsonItems& read, Answers answers) {
  const JsonValue& first = read.values.front();
  const std::string got =
      first.is_object() ? fmt::format("the keys {}", first.names()) : first.describe();
  return fmt::format(
      "[{}] got {}, expected objects with {}, or contrast records with 'paraphrases' and "
      "'paraphrases_toxic'.",
      file.string(), got, keys_of(answers));
}

PreferenceContent read_contrast_records(const fs::path& file, const std::string& prompt_template,
                                        Answers answers) {
  const bool is_needed = answers == Answers::kNeeded;
  ShardContent shard = read_shards({&file, 1}, {.neutral = is_needed, .toxic = is_needed});
  PreferenceContent content = preferences_of(shard.records, prompt_template);
  content.faults = std::move(shard.faults);
  return content;
}

PreferenceContent read_file(const fs::path& file, const std::string& prompt_template,
                            Answers answers, ChatSource& chat) {
  JsonItems read = read_json_items(file, "record");
  const FileKind kind = kind_of(read, answers);
  if (kind == FileKind::kContrastRecords) {
    return read_contrast_records(file, prompt_template, answers);
  }
  PreferenceContent content;
  Faults faults = std::move(read.faults);
  if (kind == FileKind::kPreferences) {
    for (const JsonValue& value : read.values) {
      auto preference = PreferenceReader(value, prompt_template, answers, chat, faults).read();
      if (preference) content.items.push_back(std::move(*preference));
    }
  } else if (!read.values.empty()) {
    faults.add_line(unknown_kind(file, read, answers));
  }
  content.faults.append_file(file.string(), faults);
  return content;
}

PreferenceContent read_files(std::span<const fs::path> files, const std::string& prompt_template,
                             Answers answers, const TextEncoder* encoder) {
  check_template(prompt_template);
  PreferenceContent content;
  ChatSource chat(encoder);
  for (const fs::path& file : files) {
    PreferenceContent of_file = read_file(file, prompt_template, answers, chat);
    std::ranges::move(of_file.items, std::back_inserter(content.items));
    content.faults.append(of_file.faults);
    content.num_without_input += of_file.num_without_input;
  }
  return content;
}

}  // namespace

PreferenceContent preferences_of(std::span<const Record> records,
                                 const std::string& prompt_template) {
  check_template(prompt_template);
  PreferenceContent content;
  for (const Record& record : records) {
    if (is_blank(record.input)) {
      ++content.num_without_input;
      continue;
    }
    content.items.push_back({.prompt = fill(prompt_template, record.input),
                             .chosen = record.neutral,
                             .rejected = record.toxic,
                             .where = record.where});
  }
  return content;
}

PreferenceContent read_preferences(std::span<const fs::path> files,
                                   const std::string& prompt_template, const TextEncoder* encoder) {
  return read_files(files, prompt_template, Answers::kNeeded, encoder);
}

PreferenceContent read_labelled(std::span<const fs::path> files, const std::string& prompt_template,
                                const TextEncoder* encoder) {
  return read_files(files, prompt_template, Answers::kLabelled, encoder);
}

PreferenceContent read_prompts(std::span<const fs::path> files,
                               const std::string& prompt_template) {
  return read_files(files, prompt_template, Answers::kOptional, /*encoder=*/nullptr);
}

}  // namespace cpx::data
