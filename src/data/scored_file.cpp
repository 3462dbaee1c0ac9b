// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/scored_file.h"

#include <algorithm>
#include <utility>

#include "cpx/core/text.h"
#include "cpx/data/record.h"
#include "data_file.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kTextKey = "text";
constexpr const char* kScoreKey = "score";
constexpr const char* kScoreEnding = "_toxigenscore";
constexpr const char* kLabelEnding = "_score_";
constexpr const char* kRougeEnding = "_rouge";
constexpr const char* kShardKeys[] = {"paraphrases", "paraphrases_toxic"};

// A list of texts, or an object {text: score}.
std::vector<std::string> read_list(const JsonValue& value) {
  std::vector<std::string> texts;
  if (value.is_object()) {
    for (const JsonMember& scored : value.members()) {
      texts.push_back(unescape(std::string(scored.key)));
    }
  } else {
    for (const JsonValue& text : value.elements()) texts.push_back(unescape(text.text()));
  }
  return texts;
}

KeyTexts read_key(const std::string& key, const JsonValue& value) {
  if (value.is_text()) return {.key = key, .is_single = true, .texts = {value.text()}};
  if (!value.is_list() && !value.is_object()) {
    value.fail("a text, a list of texts or an object {text: score}");
  }
  return {.key = key, .texts = read_list(value)};
}

[[noreturn]] void fail_missing(const JsonValue& object, const std::string& key) {
  const std::string nearest = nearest_key_hint(object, key);
  throw DataError(missing(object, key, "a text or a list of texts",
                          nearest.empty() ? " Name the texts' key with --key." : nearest));
}

bool is_of_shard(const JsonValue& object) {
  return std::ranges::any_of(kShardKeys,
                             [&](const char* key) { return object.find(key).has_value(); });
}

// A list of those of `values` that stay.
std::string kept(const std::vector<std::string>& values, const std::vector<bool>& stays) {
  std::vector<std::string> result;
  for (size_t i = 0; i < values.size(); ++i) {
    if (stays[i]) result.push_back(values[i]);
  }
  return json_list(result);
}

// What stays of a list of texts, or of the texts of an object {text: score}.
std::string kept_texts(const JsonValue& value, const std::vector<bool>& stays) {
  std::vector<std::string> texts;
  if (value.is_object()) {
    for (const JsonMember& scored : value.members()) texts.push_back(json_of(scored.key));
  } else {
    for (const JsonValue& text : value.elements()) texts.push_back(text.json());
  }
  return kept(texts, stays);
}

std::string kept_old_scores(const JsonValue& value, const std::vector<bool>& stays) {
  std::vector<std::string> scores;
  for (const JsonMember& scored : value.members()) scores.push_back(scored.value.json());
  return kept(scores, stays);
}

std::string kept_scores(const std::vector<double>& scores, const std::vector<bool>& stays) {
  std::vector<std::string> values;
  for (const double value : scores) values.push_back(json_of(value));
  return kept(values, stays);
}

// The score of one text, or a score for each label.
void set_single(const std::string& key, bool is_alone, const KeyScores& scores,
                JsonObjectText& object) {
  if (scores.by_label.empty()) {
    object.set(is_alone ? kScoreKey : key + kScoreEnding, json_of(scores.values.front()));
  }
  for (const LabelScores& one : scores.by_label) {
    const std::string name = is_alone ? fmt::format("{}_", kScoreKey) : key + kLabelEnding;
    object.set(name + one.label, json_of(one.values.front()));
  }
}

// The texts of a list with their scores.
void set_list(const JsonValue& value, const std::string& key, const KeyScores& scores,
              JsonObjectText& object) {
  object.set(key, kept_texts(value, scores.stays));
  if (value.is_object() && !object.contains(key + kRougeEnding)) {
    object.set(key + kRougeEnding, kept_old_scores(value, scores.stays));
  }
  if (scores.by_label.empty()) {
    object.set(key + kScoreEnding, kept_scores(scores.values, scores.stays));
  }
  for (const LabelScores& one : scores.by_label) {
    object.set(key + kLabelEnding + one.label, kept_scores(one.values, scores.stays));
  }
}

void add_group_and_id(const ScorableRecord& record, std::string_view group,
                      JsonObjectText& object) {
  const auto own_group = optional_text(record.object, "group");
  if (own_group.empty()) object.set("group", json_of(group));
  if (!optional_text(record.object, "id").empty()) return;
  object.set("id",
             json_of(fmt::format("{}-{}", own_group.empty() ? group : own_group, record.index)));
}

}  // namespace

ScorableReader::ScorableReader(const fs::path& file, std::vector<std::string> keys)
    : name_(file.string()), keys_(std::move(keys)) {
  if (holds_json(file)) {
    objects_.emplace(file, "record");
  } else {
    if (!keys_.empty()) {
      throw_<DataError>("[{}] a line is a text without keys: got the key '{}', expected none.",
                        name_, keys_.front());
    }
    lines_.emplace(file);
    keys_ = {kTextKey};
  }
  first_ = read();
  if (!first_) throw_<DataError>("[{}] got no line with text, expected a text a line.", name_);
}

int64_t ScorableReader::bytes_read() const {
  return lines_ ? lines_->bytes_read() : objects_->bytes_read();
}

int64_t ScorableReader::num_bytes() const {
  return lines_ ? lines_->num_bytes() : objects_->num_bytes();
}

std::optional<ScorableRecord> ScorableReader::next() {
  return first_ ? std::exchange(first_, std::nullopt) : read();
}

std::optional<ScorableRecord> ScorableReader::read() {
  auto record = std::optional<ScorableRecord>();
  if (lines_) {
    record = read_line();
  } else if (auto object = objects_->next()) {
    record = read_object(std::move(*object));
  }
  if (record) record->index = num_records_++;
  return record;
}

std::optional<ScorableRecord> ScorableReader::read_line() {
  while (const auto line = lines_->next()) {
    if (is_blank(*line)) continue;
    JsonObjectText object;
    object.set(kTextKey, json_of(*line));
    std::string where = fmt::format("{}: line {}", name_, lines_->line_number());
    JsonValue value = JsonValue::parse(fmt::format("[{}]", where), object.json());
    return ScorableRecord{
        .where = std::move(where),
        .object = std::move(value),
        .keys = {{.key = kTextKey, .is_single = true, .texts = {std::string(*line)}}}};
  }
  return std::nullopt;
}

ScorableRecord ScorableReader::read_object(JsonValue object) {
  if (!object.is_object()) object.fail("an object");
  if (keys_.empty()) {
    takes_either_side_ = !object.find(kTextKey) && is_of_shard(object);
    if (takes_either_side_) {
      keys_.assign(std::begin(kShardKeys), std::end(kShardKeys));
    } else {
      keys_ = {kTextKey};
    }
  }
  const bool needs_all = !takes_either_side_ || !is_of_shard(object);
  ScorableRecord record{.where = place_of(object), .object = object, .keys = {}};
  for (const std::string& key : keys_) {
    const auto value = object.find(key);
    if (!value && needs_all) fail_missing(object, key);
    record.keys.push_back(value ? read_key(key, *value)
                                : KeyTexts{.key = key, .texts = {}, .is_absent = true});
  }
  return record;
}

std::string with_scores(const ScorableRecord& record, std::span<const KeyScores> scores,
                        std::string_view group) {
  JsonObjectText object(record.object);
  bool had_scored_texts = false;
  for (size_t i = 0; i < record.keys.size(); ++i) {
    const KeyTexts& texts = record.keys[i];
    if (texts.is_absent) continue;
    if (texts.is_single) {
      set_single(texts.key, record.keys.size() == 1, scores[i], object);
      continue;
    }
    const JsonValue value = record.object.at(texts.key);
    had_scored_texts |= value.is_object();
    set_list(value, texts.key, scores[i], object);
  }
  if (had_scored_texts) add_group_and_id(record, group, object);
  return object.json();
}

}  // namespace cpx::data
