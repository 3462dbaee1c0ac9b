// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/record.h"

#include <array>
#include <optional>

#include <fmt/format.h>

#include "cpx/core/nearest.h"
#include "json_items.h"
#include "text_lines.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kRecordInputKey = "input";
constexpr const char* kGroupKey = "group";
constexpr const char* kIdKey = "id";
constexpr const char* kNeutralKey = "paraphrases";
constexpr const char* kToxicKey = "paraphrases_toxic";

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string result;
  size_t begin = 0;
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, begin)) {
    result.append(text, begin, at - begin).append(to);
    begin = at + from.size();
  }
  result.append(text, begin);
  text = std::move(result);
}

/// Reads one record and collects what is wrong with it.
class RecordReader {
 public:
  explicit RecordReader(const JsonItem& item) : item_(item), where_(item.where) {}

  /// The record, or nothing when it has a fault.
  std::optional<Record> read() {
    if (!item_.value.is_object()) {
      faults_.push_back(
          fmt::format("[{}] got {}, expected an object.", where_, describe(item_.value)));
      return std::nullopt;
    }
    Record record{.id = read_id()};
    if (!record.id.empty()) where_ += fmt::format(" (id {})", quoted_id(record.id));
    for (const auto& key : item_.repeated_keys) {
      fault(quote(key), "the key twice in one object", "it once");
    }
    record.input = unescape(read_optional_text(kRecordInputKey));
    record.group = read_optional_text(kGroupKey);
    record.neutral = read_texts(kNeutralKey);
    record.toxic = read_texts(kToxicKey);
    record.where = where_;
    return faults_.empty() ? std::optional(std::move(record)) : std::nullopt;
  }

  const std::vector<std::string>& faults() const { return faults_; }

 private:
  static std::string quoted_id(const std::string& id) {
    const std::string json = quote(id);  // "id", cut and on one line
    return json.ends_with("...") ? fmt::format("'{}...'", json.substr(1, json.size() - 5))
                                 : fmt::format("'{}'", json.substr(1, json.size() - 2));
  }

  void fault(std::string_view key, std::string_view got, std::string_view expected) {
    faults_.push_back(fmt::format("[{}] {}: got {}, expected {}.", where_, key, got, expected));
  }

  const Json* find(const char* key) const {
    const auto found = item_.value.find(key);
    return found == item_.value.end() ? nullptr : &*found;
  }

  std::string read_id() {
    const Json* id = find(kIdKey);
    if (id == nullptr) return {};
    if (id->is_string()) return id->get<std::string>();
    if (id->is_number()) return id->dump();
    fault(kIdKey, describe(*id), "a text or a number");
    return {};
  }

  std::string read_optional_text(const char* key) {
    const Json* value = find(key);
    if (value == nullptr) return {};
    if (value->is_string()) return value->get<std::string>();
    fault(key, describe(*value), "a text");
    return {};
  }

  std::vector<std::string> read_texts(const char* key) {
    const Json* value = find(key);
    if (value == nullptr) {
      fault_missing(key);
      return {};
    }
    if (!value->is_array() && !value->is_object()) {
      fault(key, describe(*value), "a list of texts or an object {text: score}");
      return {};
    }
    if (value->empty()) {
      fault(key, value->is_array() ? "an empty list" : "an empty object", "texts");
      return {};
    }
    return value->is_array() ? read_list(key, *value) : read_scored(key, *value);
  }

  void fault_missing(const char* key) {
    // A near name may be a misspelling; the record's other known keys are not.
    std::vector<std::string> others;
    for (const auto& [name, value] : item_.value.items()) {
      if (name != kNeutralKey && name != kToxicKey) others.push_back(name);
    }
    const auto nearest = nearest_name(key, others);
    const std::string hint = nearest ? fmt::format(" Is '{}' meant?", *nearest) : "";
    faults_.push_back(
        fmt::format("[{}] {}: got no such key (keys: {}), expected a list of texts.{}", where_, key,
                    names_of(item_.value), hint));
  }

  std::vector<std::string> read_list(const char* key, const Json& list) {
    std::vector<std::string> texts;
    for (int64_t number = 1; const Json& value : list) {
      const std::string name = fmt::format("{}: text {}", key, number++);
      if (value.is_string()) {
        add_text(name, value.get_ref<const std::string&>(), texts);
      } else {
        fault(name, describe(value), "a text");
      }
    }
    return texts;
  }

  std::vector<std::string> read_scored(const char* key, const Json& scores) {
    std::vector<std::string> texts;
    for (int64_t number = 1; const auto& [text, score] : scores.items()) {
      if (!score.is_number() && !score.is_null()) {
        fault(fmt::format("{}: score of text {}", key, number), describe(score), "a number");
      }
      add_text(fmt::format("{}: text {}", key, number++), text, texts);
    }
    return texts;
  }

  void add_text(const std::string& name, const std::string& raw, std::vector<std::string>& texts) {
    std::string text = unescape(raw);
    if (is_blank(text)) {
      fault(name, text.empty() ? "an empty text" : "only blanks", "a text");
      return;
    }
    texts.push_back(std::move(text));
  }

  const JsonItem& item_;
  std::string where_;
  std::vector<std::string> faults_;
};

void read_shard(const fs::path& file, ShardContent& content) {
  JsonItems read = read_json_items(file, "record");
  std::vector<std::string> faults = std::move(read.faults);
  for (const JsonItem& item : read.items) {
    RecordReader reader(item);
    if (auto record = reader.read()) content.records.push_back(std::move(*record));
    faults.insert(faults.end(), reader.faults().begin(), reader.faults().end());
  }
  append_faults(file, faults, content.faults);
}

}  // namespace

// The two steps in the published order (train_mistral.py, 618ee4b): a line break that was escaped
// twice becomes a line break too.
std::string unescape(const std::string& text) {
  std::string result = text;
  replace_all(result, "\\\\", "\\");
  replace_all(result, "\\n", "\n");
  return result;
}

std::string escape(const std::string& text) {
  std::string result = text;
  replace_all(result, "\\", "\\\\");
  return result;
}

ShardContent read_shards(std::span<const fs::path> files) {
  ShardContent content;
  for (const fs::path& file : files) {
    read_shard(file, content);
  }
  return content;
}

}  // namespace cpx::data
