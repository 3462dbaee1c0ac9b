// SPDX-License-Identifier: Apache-2.0
#include "shard_record.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/json.h"
#include "cpx/core/text_hash.h"
#include "cpx/data/record.h"

namespace cpx::pipeline {

namespace {

struct CountKey {
  const char* name;
  int64_t CandidateCounts::*count;
};

constexpr std::array<CountKey, 7> kCountKeys = {{
    {"wanted", &CandidateCounts::wanted},
    {"drawn", &CandidateCounts::drawn},
    {"kept", &CandidateCounts::kept},
    {"empty", &CandidateCounts::empty},
    {"copies", &CandidateCounts::copies},
    {"duplicates", &CandidateCounts::duplicates},
    {"outranked", &CandidateCounts::outranked},
}};

// Keys of a side beside its texts: what they say is about the texts that are replaced.
constexpr const char* kRougeSuffix = "_rouge";
constexpr const char* kClassifierSuffix = "_toxigenscore";

Json counts_json(const CandidateCounts& counts) {
  Json json = Json::object();
  for (const CountKey& key : kCountKeys) json[key.name] = counts.*key.count;
  return json;
}

std::optional<CandidateCounts> parse_counts(const JsonValue& sides, const char* key) {
  const auto side = sides.find(key);
  if (!side) return std::nullopt;
  CandidateCounts counts;
  for (const CountKey& count : kCountKeys) counts.*count.count = side->at(count.name).integer();
  return counts;
}

void set_side(JsonObjectText& record, const std::string& key, const CandidateSelection& selection) {
  std::vector<std::string> texts;
  std::vector<std::string> scores;
  for (const RankedText& candidate : selection.kept) {
    texts.push_back(json_of(data::escape(candidate.text)));
    scores.push_back(json_of(candidate.rouge_l));
  }
  for (const char* suffix : {"", kRougeSuffix, kClassifierSuffix}) record.erase(key + suffix);
  record.set(key, json_list(texts));
  record.set(key + kRougeSuffix, json_list(scores));
}

// The input's object with its other keys as they are, numbers to the digit.
std::string make_record(const data::Input& input, const Paraphrases& made) {
  JsonObjectText record;
  record.set("input", json_of(data::escape(input.text)));
  record.set("group", json_of(input.group));
  record.set("id", json_of(input.id));
  if (!input.json.empty()) {
    const JsonValue source = JsonValue::parse(fmt::format("[{}]", input.where), input.json);
    for (const auto& [key, value] : source.members()) {
      if (!record.contains(key)) record.set(key, value.json());
    }
  }
  if (made.neutral) set_side(record, kNeutralKey, *made.neutral);
  if (made.toxic) set_side(record, kToxicKey, *made.toxic);
  return record.json();
}

std::string inputs_fingerprint(std::span<const data::Input> inputs) {
  TextHash hash;
  for (const data::Input& input : inputs) {
    for (const auto* text : {&input.text, &input.group, &input.id, &input.json}) {
      hash.add_text(*text);
    }
  }
  return fmt::format("{} texts, {}", inputs.size(), hash.hex());
}

Json value_of(const Json& object, const std::string& key) {
  return object.is_object() && object.contains(key) ? object[key] : Json();
}

std::string in_words(const Json& value) { return value.is_null() ? "not given" : value.dump(); }

CandidateCounts sum(const CandidateCounts& all, const std::optional<CandidateCounts>& one) {
  return one ? all + *one : all;
}

}  // namespace

std::string json_text(const Json& json, int indent) {
  return json.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

Json provenance_json(std::span<const Setting> settings, std::span<const data::Input> inputs) {
  Json values = Json::object();
  for (const Setting& setting : settings) {
    std::visit([&](const auto& value) { values[setting.name] = value; }, setting.value);
  }
  return {{"settings", std::move(values)}, {"inputs", inputs_fingerprint(inputs)}};
}

std::optional<std::string> difference(const Json& before, const Json& now) {
  const auto compare = [](const std::string& name, const Json& there,
                          const Json& here) -> std::optional<std::string> {
    if (there == here) return std::nullopt;
    return fmt::format("'{}' is {} there and {} now", name, in_words(there), in_words(here));
  };
  const Json settings_before = value_of(before, "settings");
  const Json& settings_now = now.at("settings");
  Json names = settings_now;
  if (settings_before.is_object()) names.update(settings_before);
  for (const auto& [name, value] : names.items()) {
    const auto found = compare(name, value_of(settings_before, name), value_of(settings_now, name));
    if (found) return found;
  }
  return compare("inputs", value_of(before, "inputs"), now.at("inputs"));
}

bool FinishedInput::has_all_sides() const {
  return (!neutral || neutral->kept > 0) && (!toxic || toxic->kept > 0);
}

FinishedInput make_finished(int64_t index, const data::Input& input, const Paraphrases& made) {
  const auto counts_of = [](const std::optional<CandidateSelection>& side) {
    return side ? std::optional(side->counts) : std::nullopt;
  };
  return {
      .index = index,
      .record = make_record(input, made),
      .neutral = counts_of(made.neutral),
      .toxic = counts_of(made.toxic),
  };
}

std::string finished_line(const FinishedInput& finished) {
  Json counts = Json::object();
  if (finished.neutral) counts[kNeutralKey] = counts_json(*finished.neutral);
  if (finished.toxic) counts[kToxicKey] = counts_json(*finished.toxic);
  JsonObjectText line;
  line.set("index", std::to_string(finished.index));
  line.set("counts", json_text(counts));
  line.set("record", finished.record);
  return line.json();
}

std::optional<FinishedInput> parse_finished(std::string_view line) {
  try {
    const JsonValue json = JsonValue::parse("[journal]", line);
    const JsonValue record = json.at("record");
    if (!record.is_object()) return std::nullopt;
    return FinishedInput{
        .index = json.at("index").integer(),
        .record = record.json(),
        .neutral = parse_counts(json.at("counts"), kNeutralKey),
        .toxic = parse_counts(json.at("counts"), kToxicKey),
    };
  } catch (const DataError&) {
    return std::nullopt;
  }
}

ShardSummary summarize(std::span<const FinishedInput> finished,
                       std::span<const data::Input> inputs) {
  ShardSummary summary;
  for (size_t i = 0; i < finished.size(); ++i) {
    summary.num_records += finished[i].has_all_sides();
    summary.neutral = sum(summary.neutral, finished[i].neutral);
    summary.toxic = sum(summary.toxic, finished[i].toxic);
    for (const auto& [key, counts] :
         {std::pair(kNeutralKey, finished[i].neutral), std::pair(kToxicKey, finished[i].toxic)}) {
      if (!counts || counts->kept >= counts->wanted) continue;
      auto& lines = counts->kept == 0 ? summary.left_out : summary.too_few;
      lines.push_back(fmt::format("[{}] {}: {}", inputs[i].where, key, describe(*counts)));
    }
  }
  return summary;
}

std::string meta_text(const Json& provenance, const ShardSummary& summary) {
  Json meta = provenance;
  meta["records"] = summary.num_records;
  if (summary.neutral.wanted > 0) meta[kNeutralKey] = counts_json(summary.neutral);
  if (summary.toxic.wanted > 0) meta[kToxicKey] = counts_json(summary.toxic);
  meta["left_out"] = summary.left_out;
  meta["too_few"] = summary.too_few;
  return json_text(meta, 2) + "\n";
}

std::string shard_text(std::span<const FinishedInput> finished, bool is_jsonl) {
  std::string text;
  for (const FinishedInput& input : finished) {
    if (!input.has_all_sides()) continue;
    if (!text.empty()) text += is_jsonl ? "\n" : ",\n";
    text += input.record;
  }
  return is_jsonl ? text + "\n" : "[\n" + text + "\n]\n";
}

}  // namespace cpx::pipeline
