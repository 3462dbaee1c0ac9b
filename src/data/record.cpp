// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/record.h"

#include <optional>

#include <fmt/format.h>

#include "cpx/core/json_stream.h"
#include "cpx/core/text.h"
#include "data_file.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kRecordInputKey = "input";
constexpr const char* kGroupKey = "group";
constexpr const char* kIdKey = "id";
constexpr const char* kNeutralKey = "paraphrases";
constexpr const char* kToxicKey = "paraphrases_toxic";
constexpr std::string_view kSideForm = "a list of texts or an object {text: score}";

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

// Reads one record and collects what is wrong with it.
class RecordReader {
 public:
  RecordReader(JsonValue value, NeededSides needed, Faults& faults)
      : value_(std::move(value)), needed_(needed), faults_(faults) {}

  // The record, or nothing when it has a fault. Throws DataError for a value without texts.
  std::optional<Record> read() {
    if (!value_.is_object()) value_.fail("an object");
    const size_t num_faults_before = faults_.size();
    Record record{.id = optional(kIdKey)};
    if (!record.id.empty()) add_to_place(record.id);
    record.input = unescape(optional(kRecordInputKey));
    record.group = optional(kGroupKey);
    record.neutral = side(kNeutralKey, needed_.neutral);
    record.toxic = side(kToxicKey, needed_.toxic);
    record.where = place_of(value_);
    if (faults_.size() > num_faults_before) return std::nullopt;
    if (record.neutral.empty() && record.toxic.empty()) {
      throw DataError(missing(value_, kNeutralKey, kSideForm, hint_for(kNeutralKey)));
    }
    return record;
  }

 private:
  // "[a.json: record 3]" to "[a.json: record 3 (id 'x')]".
  void add_to_place(const std::string& id) {
    const std::string& place = value_.place();
    value_.set_place(fmt::format("{} (id {})]", place.substr(0, place.size() - 1), quote(id)));
  }

  std::string optional(std::string_view key) {
    return faults_.collect([&] { return optional_text(value_, key); }).value_or("");
  }

  // A near name may be a misspelling, the record's other known keys are not; where there is none,
  // the record may be of one side.
  std::string hint_for(const char* key) const {
    const char* other = key == kNeutralKey ? kToxicKey : kNeutralKey;
    const std::string hint = nearest_key_hint(value_, key, /*known=*/other);
    if (!hint.empty() || !value_.contains(other)) return hint;
    return fmt::format(" The other side is here; cpx-paraphrase --polarity {} adds this one.",
                       key == kNeutralKey ? "neutral" : "toxic");
  }

  std::vector<std::string> side(const char* key, bool is_needed) {
    const auto read = [&]() -> std::vector<std::string> {
      const auto value = value_.find(key);
      const bool is_empty = value && (value->is_list() || value->is_object()) && value->size() == 0;
      if (value && !is_empty) return read_texts(*value);
      if (!is_needed) return {};
      if (is_empty) value->fail("texts");
      throw DataError(missing(value_, key, kSideForm, hint_for(key)));
    };
    return faults_.collect(read).value_or(std::vector<std::string>{});
  }

  std::vector<std::string> read_texts(const JsonValue& value) {
    std::vector<std::string> texts;
    if (value.is_list()) {
      for (const JsonValue& text : value.elements()) {
        add(texts, [&] { return unescaped_text(text); });
      }
    } else if (value.is_object()) {
      for (const JsonMember& scored : value.members()) {
        add(texts, [&] { return scored_text(value, scored); });
      }
    } else {
      value.fail(kSideForm);
    }
    return texts;
  }

  static std::string scored_text(const JsonValue& side, const JsonMember& scored) {
    if (!scored.value.is_number() && !scored.value.is_null()) scored.value.fail("a number");
    std::string text = unescape(std::string(scored.key));
    if (!is_blank(text)) return text;
    throw DataError(at_place(side.place(), fmt::format("'{}' has the text {}, expected {}.",
                                                       side.path(), quote(scored.key), kSomeText)));
  }

  template <class Read>
  void add(std::vector<std::string>& texts, const Read& read) {
    if (auto text = faults_.collect(read)) texts.push_back(std::move(*text));
  }

  JsonValue value_;
  NeededSides needed_;
  Faults& faults_;
};

void read_shard(const fs::path& file, NeededSides needed, ShardContent& content) {
  Faults faults;
  for_each_json(file, "record", faults, [&](const JsonValue& value) {
    if (auto record = RecordReader(value, needed, faults).read()) {
      content.records.push_back(std::move(*record));
    }
  });
  content.faults.append_file(file.string(), faults);
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

ShardContent read_shards(std::span<const fs::path> files, NeededSides needed) {
  ShardContent content;
  for (const fs::path& file : files) read_shard(file, needed, content);
  return content;
}

}  // namespace cpx::data
