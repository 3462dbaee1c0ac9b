// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/preferences.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

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

enum class Answers { kNeeded, kOptional };

// Reads one object of preferences and collects what is wrong with it.
class PreferenceReader {
 public:
  PreferenceReader(const JsonValue& value, const std::string& prompt_template, Answers answers,
                   std::vector<std::string>& faults)
      : value_(value), prompt_template_(prompt_template), answers_(answers), faults_(faults) {}

  // The item, or nothing when it has a fault.
  std::optional<PreferenceItem> read() {
    if (!value_.is_object()) {
      faults_.push_back(value_.fault("an object"));
      return std::nullopt;
    }
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
  std::optional<JsonValue> find_answer(const char* key, std::string_view expected) {
    const auto read = [&] {
      auto value = value_.find(key);
      if (!value && answers_ == Answers::kNeeded) throw DataError(missing(value_, key, expected));
      return value;
    };
    return read_or_fault(faults_, read).value_or(std::nullopt);
  }

  std::string read_prompt() {
    const auto read = [&]() -> std::string {
      if (const auto prompt = value_.find(kPromptKey)) return prompt->text();
      const auto input = value_.find(kInputKey);
      if (!input) throw DataError(missing(value_, kPromptKey, "a text under 'prompt' or 'input'"));
      return fill(prompt_template_, text_of(*input));
    };
    return read_or_fault(faults_, read).value_or("");
  }

  void read_rejected(const JsonValue& value, std::vector<std::string>& texts) {
    if (value.is_text()) {
      add_answer(value, texts);
    } else if (!value.is_list()) {
      faults_.push_back(value.fault(kRejectedForm));
    } else {
      if (value.size() == 0) faults_.push_back(value.fault("texts"));
      for (const JsonValue& text : value.elements()) add_answer(text, texts);
    }
  }

  void add_answer(const JsonValue& value, std::vector<std::string>& texts) {
    if (auto text = read_or_fault(faults_, [&] { return text_of(value); })) {
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
  std::vector<std::string>& faults_;
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
  }
  return FileKind::kUnknown;
}

std::string unknown_kind(const fs::path& file, const JsonItems& read, Answers answers) {
  const JsonValue& first = read.values.front();
  const std::string got =
      first.is_object() ? fmt::format("the keys {}", first.names()) : first.describe();
  return fmt::format(
      "[{}] got {}, expected objects with {}, or contrast records with 'paraphrases' and "
      "'paraphrases_toxic'.",
      file.string(), got,
      answers == Answers::kNeeded ? "'chosen' and 'rejected'" : "'prompt' or 'input'");
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
                            Answers answers) {
  JsonItems read = read_json_items(file, "record");
  const FileKind kind = kind_of(read, answers);
  if (kind == FileKind::kContrastRecords) {
    return read_contrast_records(file, prompt_template, answers);
  }
  PreferenceContent content;
  std::vector<std::string> faults = std::move(read.faults);
  if (kind == FileKind::kPreferences) {
    for (const JsonValue& value : read.values) {
      auto preference = PreferenceReader(value, prompt_template, answers, faults).read();
      if (preference) content.items.push_back(std::move(*preference));
    }
  } else if (!read.values.empty()) {
    faults.push_back(unknown_kind(file, read, answers));
  }
  append_faults(file, faults, content.faults);
  return content;
}

template <class T>
void move_behind(std::vector<T>& from, std::vector<T>& to) {
  std::ranges::move(from, std::back_inserter(to));
}

PreferenceContent read_files(std::span<const fs::path> files, const std::string& prompt_template,
                             Answers answers) {
  check_template(prompt_template);
  PreferenceContent content;
  for (const fs::path& file : files) {
    PreferenceContent of_file = read_file(file, prompt_template, answers);
    move_behind(of_file.items, content.items);
    move_behind(of_file.faults, content.faults);
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
                                   const std::string& prompt_template) {
  return read_files(files, prompt_template, Answers::kNeeded);
}

PreferenceContent read_prompts(std::span<const fs::path> files,
                               const std::string& prompt_template) {
  return read_files(files, prompt_template, Answers::kOptional);
}

}  // namespace cpx::data
