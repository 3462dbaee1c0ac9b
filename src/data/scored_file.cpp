// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/scored_file.h"

#include <algorithm>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/nearest.h"
#include "cpx/data/record.h"
#include "json_items.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kTextKey = "text";
constexpr const char* kScoreKey = "score";
constexpr const char* kScoreEnding = "_toxigenscore";
constexpr const char* kShardKeys[] = {"paraphrases", "paraphrases_toxic"};

[[noreturn]] void fail(const std::string& where, std::string_view key, std::string_view got,
                       std::string_view expected) {
  throw_<DataError>("[{}] {}: got {}, expected {}.", where, key, got, expected);
}

[[noreturn]] void fail_missing(const std::string& where, const std::string& key,
                               const Json& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) names.push_back(name);
  const auto nearest = nearest_name(key, names);
  throw_<DataError>(
      "[{}] {}: got no such key (keys: {}), expected a text or a list of texts.{}", where, key,
      names_of(object),
      nearest ? fmt::format(" Is '{}' meant?", *nearest) : " Name the texts' key with --key.");
}

// A list of texts, or an object {text: score}.
std::vector<std::string> read_list(const std::string& where, const std::string& key,
                                   const Json& value) {
  std::vector<std::string> texts;
  for (const auto& [name, element] : value.items()) {
    if (value.is_object()) {
      texts.push_back(unescape(name));
    } else if (element.is_string()) {
      texts.push_back(unescape(element.get_ref<const std::string&>()));
    } else {
      fail(where, fmt::format("{}: text {}", key, texts.size() + 1), describe(element), "a text");
    }
  }
  return texts;
}

KeyTexts read_key(const std::string& where, const std::string& key, const Json& object) {
  const auto found = object.find(key);
  if (found == object.end()) fail_missing(where, key, object);
  if (found->is_string()) {
    return {.key = key, .is_single = true, .texts = {found->get<std::string>()}};
  }
  if (!found->is_structured()) {
    fail(where, key, describe(*found), "a text, a list of texts or an object {text: score}");
  }
  return {.key = key, .texts = read_list(where, key, *found)};
}

// Keys of an object where none were asked for.
std::vector<std::string> usual_keys(const Json& object) {
  if (object.contains(kTextKey)) return {kTextKey};
  std::vector<std::string> keys;
  for (const char* key : kShardKeys) {
    if (object.contains(key)) keys.emplace_back(key);
  }
  return keys.empty() ? std::vector<std::string>{kTextKey} : keys;
}

// The record of an object; `keys` is filled in where it is empty.
ScorableRecord read_object(const JsonItem& item, std::vector<std::string>& keys) {
  if (!item.value.is_object()) {
    throw_<DataError>("[{}] got {}, expected an object.", item.where, describe(item.value));
  }
  for (const auto& key : item.repeated_keys) {
    fail(item.where, quote(key), "the key twice in one object", "it once");
  }
  if (keys.empty()) keys = usual_keys(item.value);
  ScorableRecord record{.where = item.where, .json = item.value.dump(), .keys = {}};
  for (const auto& key : keys) record.keys.push_back(read_key(item.where, key, item.value));
  return record;
}

// What stays of a list, or of an object {text: score}, in its order.
Json kept_of(const Json& list, const std::vector<bool>& stays) {
  Json kept = list.is_array() ? Json::array() : Json::object();
  for (size_t i = 0; const auto& [name, value] : list.items()) {
    if (!stays[i++]) continue;
    if (list.is_array()) {
      kept.push_back(value);
    } else {
      kept[name] = value;
    }
  }
  return kept;
}

Json kept_of(const KeyScores& scores) {
  Json kept = Json::array();
  for (size_t i = 0; i < scores.values.size(); ++i) {
    if (scores.stays[i]) kept.push_back(scores.values[i]);
  }
  return kept;
}

[[noreturn]] void throw_first(const std::vector<std::string>& faults) {
  const size_t more = faults.size() - 1;
  throw DataError(more == 0 ? faults.front()
                            : fmt::format("{} ({} more {})", faults.front(), more,
                                          more == 1 ? "fault" : "faults"));
}

}  // namespace

ScorableReader::ScorableReader(const fs::path& file, std::vector<std::string> keys)
    : name_(file.string()), keys_(std::move(keys)) {
  const fs::path ending = file.extension();
  if (ending != ".txt" && ending != ".jsonl" && ending != ".json") {
    throw_<DataError>(
        "[{}] the name's ending tells the format: got '{}', expected .txt (a text a line), .jsonl "
        "(objects) or .json (a list of objects).",
        name_, ending.string());
  }
  is_json_list_ = ending == ".json";
  is_plain_text_ = ending == ".txt";
  if (is_plain_text_) {
    if (!keys_.empty()) {
      throw_<DataError>("[{}] a line is a text without keys: got the key '{}', expected none.",
                        name_, keys_.front());
    }
    keys_ = {kTextKey};
  }
  if (is_json_list_) {
    JsonItems read = read_json_items(file, "record");
    if (!read.faults.empty()) throw_first(read.faults);
    for (const JsonItem& item : read.items) list_.push_back(read_object(item, keys_));
    total_ = std::ssize(list_);
    return;
  }
  lines_.emplace(file);
  std::error_code error;
  total_ = static_cast<int64_t>(fs::file_size(file, error));
  first_ = read_line();
  if (!first_) {
    throw_<DataError>("[{}] got {}", name_,
                      is_plain_text_ ? "no line with text, expected a text a line."
                                     : "an empty file, expected records.");
  }
}

std::optional<ScorableRecord> ScorableReader::next() {
  if (is_json_list_) {
    if (done_ == total_) return std::nullopt;
    return std::move(list_[static_cast<size_t>(done_++)]);
  }
  auto record = first_ ? std::exchange(first_, std::nullopt) : read_line();
  done_ = lines_->bytes_read();
  return record;
}

std::optional<ScorableRecord> ScorableReader::read_line() {
  while (const auto line = lines_->next()) {
    if (!LineReader::is_blank(*line)) return from_line(*line);
  }
  return std::nullopt;
}

ScorableRecord ScorableReader::from_line(std::string_view line) {
  ++num_records_;
  if (is_plain_text_) {
    const std::string text(line);
    return {.where = fmt::format("{}: line {}", name_, lines_->line_number()),
            .json = Json{{kTextKey, text}}.dump(),
            .keys = {{.key = kTextKey, .is_single = true, .texts = {text}}}};
  }
  JsonItems read;
  read_json_line(line,
                 fmt::format("{}: record {}, line {}", name_, num_records_, lines_->line_number()),
                 read);
  if (!read.faults.empty()) throw_first(read.faults);
  return read_object(read.items.front(), keys_);
}

std::string with_scores(const ScorableRecord& record, std::span<const KeyScores> scores) {
  Json object = Json::parse(record.json);
  for (size_t i = 0; i < record.keys.size(); ++i) {
    const KeyTexts& texts = record.keys[i];
    const bool is_alone = texts.is_single && record.keys.size() == 1;
    const std::string score_key = is_alone ? kScoreKey : texts.key + kScoreEnding;
    if (texts.is_single) {
      object[score_key] = scores[i].values.front();
    } else {
      object[texts.key] = kept_of(object[texts.key], scores[i].stays);
      object[score_key] = kept_of(scores[i]);
    }
  }
  return object.dump();
}

}  // namespace cpx::data
