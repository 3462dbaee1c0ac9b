// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/preferences.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "has_text.h"
#include "json_items.h"

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

/// Reads one object of preferences and collects what is wrong with it.
class PreferenceReader {
 public:
  PreferenceReader(const JsonItem& item, const std::string& prompt_template, Answers answers,
                   std::vector<std::string>& faults)
      : item_(item), prompt_template_(prompt_template), answers_(answers), faults_(faults) {}

  /// The item, or nothing when it has a fault.
  std::optional<PreferenceItem> read() {
    if (!item_.value.is_object()) {
      faults_.push_back(
          fmt::format("[{}] got {}, expected an object.", item_.where, describe(item_.value)));
      return std::nullopt;
    }
    const size_t num_faults_before = faults_.size();
    for (const auto& key : item_.repeated_keys) {
      fault(quote(key), "the key twice in one object", "it once");
    }
    PreferenceItem preference{.prompt = read_prompt(), .where = item_.where};
    if (const Json* chosen = find_answer(kChosenKey, "a text")) {
      add_answer(kChosenKey, *chosen, preference.chosen);
    }
    if (const Json* rejected = find_answer(kRejectedKey, kRejectedForm)) {
      read_rejected(*rejected, preference.rejected);
    }
    if (faults_.size() > num_faults_before) return std::nullopt;
    return preference;
  }

 private:
  void fault(std::string_view key, std::string_view got, std::string_view expected) {
    faults_.push_back(
        fmt::format("[{}] {}: got {}, expected {}.", item_.where, key, got, expected));
  }

  const Json* find(const char* key, std::string_view expected) {
    const auto found = item_.value.find(key);
    if (found != item_.value.end()) return &*found;
    fault(key, fmt::format("no such key (keys: {})", names_of(item_.value)), expected);
    return nullptr;
  }

  const Json* find_answer(const char* key, std::string_view expected) {
    if (answers_ == Answers::kOptional && !item_.value.contains(key)) return nullptr;
    return find(key, expected);
  }

  std::string read_prompt() {
    const bool has_input = item_.value.contains(kInputKey) && !item_.value.contains(kPromptKey);
    const char* key = has_input ? kInputKey : kPromptKey;
    const Json* value = find(key, "a text under 'prompt' or 'input'");
    if (value == nullptr) return {};
    if (!value->is_string()) {
      fault(key, describe(*value), "a text");
      return {};
    }
    const auto& text = value->get_ref<const std::string&>();
    if (!has_input) return text;
    check_text(key, text);
    return fill(prompt_template_, text);
  }

  void read_rejected(const Json& value, std::vector<std::string>& texts) {
    if (value.is_string()) {
      add_answer(kRejectedKey, value, texts);
      return;
    }
    if (!value.is_array()) {
      fault(kRejectedKey, describe(value), kRejectedForm);
      return;
    }
    if (value.empty()) fault(kRejectedKey, "an empty list", "texts");
    for (int64_t number = 1; const Json& text : value) {
      add_answer(fmt::format("{}: text {}", kRejectedKey, number++), text, texts);
    }
  }

  void add_answer(const std::string& name, const Json& value, std::vector<std::string>& texts) {
    if (!value.is_string()) {
      fault(name, describe(value), "a text");
      return;
    }
    texts.push_back(value.get<std::string>());
    check_text(name, texts.back());
  }

  void check_text(std::string_view name, const std::string& text) {
    if (has_text(text)) return;
    fault(name, text.empty() ? "an empty text" : "only blanks", "a text");
  }

  const JsonItem& item_;
  const std::string& prompt_template_;
  Answers answers_;
  std::vector<std::string>& faults_;
};

enum class FileKind { kUnknown, kPreferences, kContrastRecords };

FileKind kind_of(const JsonItems& read, Answers answers) {
  for (const JsonItem& item : read.items) {
    if (!item.value.is_object()) continue;
    for (const char* key : {"paraphrases", "paraphrases_toxic"}) {
      if (item.value.contains(key)) return FileKind::kContrastRecords;
    }
    for (const char* key : {kPromptKey, kChosenKey, kRejectedKey}) {
      if (item.value.contains(key)) return FileKind::kPreferences;
    }
    if (answers == Answers::kOptional && item.value.contains(kInputKey)) {
      return FileKind::kPreferences;
    }
  }
  return FileKind::kUnknown;
}

std::string unknown_kind(const fs::path& file, const JsonItems& read, Answers answers) {
  const Json& first = read.items.front().value;
  const std::string got =
      first.is_object() ? fmt::format("the keys {}", names_of(first)) : describe(first);
  return fmt::format(
      "[{}] got {}, expected objects with {}, or contrast records with 'paraphrases' and "
      "'paraphrases_toxic'.",
      file.string(), got,
      answers == Answers::kNeeded ? "'chosen' and 'rejected'" : "'prompt' or 'input'");
}

PreferenceContent read_contrast_records(const fs::path& file, const std::string& prompt_template) {
  ShardContent shard = read_shards({&file, 1});
  PreferenceContent content = preferences_of(shard.records, prompt_template);
  content.faults = std::move(shard.faults);
  return content;
}

PreferenceContent read_file(const fs::path& file, const std::string& prompt_template,
                            Answers answers) {
  JsonItems read = read_json_items(file, "record");
  const FileKind kind = kind_of(read, answers);
  if (kind == FileKind::kContrastRecords) return read_contrast_records(file, prompt_template);
  PreferenceContent content;
  std::vector<std::string> faults = std::move(read.faults);
  if (kind == FileKind::kPreferences) {
    for (const JsonItem& item : read.items) {
      auto preference = PreferenceReader(item, prompt_template, answers, faults).read();
      if (preference) content.items.push_back(std::move(*preference));
    }
  } else if (!read.items.empty()) {
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
    if (!has_text(record.input)) {
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
