// SPDX-License-Identifier: Apache-2.0
// The JSON of shards in the making: records, journal lines, provenance.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "cpx/pipeline/shard_journal.h"

namespace cpx::pipeline {

/// Keeps the order of keys.
using Json = nlohmann::ordered_json;

inline constexpr const char* kNeutralKey = "paraphrases";
inline constexpr const char* kToxicKey = "paraphrases_toxic";

/// The text of `json`, on one line or indented; bytes that are not UTF-8 become U+FFFD.
std::string json_text(const Json& json, int indent = -1);

/// What a shard depends on: {"settings": {...}, "inputs": "3 texts, <hash>"}.
Json provenance_json(std::span<const Setting> settings, std::span<const data::Input> inputs);

/// The first difference between two provenances in words, "'seed' is 42 there and 7 now", or
/// nothing. `before` may be any JSON.
std::optional<std::string> difference(const Json& before, const Json& now);

/// A finished input as it stands in the journal.
struct FinishedInput {
  int64_t index = 0;
  std::string record = {};  // an object
  std::optional<CandidateCounts> neutral = {};
  std::optional<CandidateCounts> toxic = {};

  /// False when a side that was asked for has no paraphrase.
  bool has_all_sides() const;
};

FinishedInput make_finished(int64_t index, const data::Input& input, const Paraphrases& made);

/// One line of JSON, without a line break.
std::string finished_line(const FinishedInput& finished);

/// The reverse of finished_line(), or nothing when `line` is none.
std::optional<FinishedInput> parse_finished(std::string_view line);

/// Counts, and lines about the inputs of which there is too little; `finished` is in the order of
/// `inputs`.
ShardSummary summarize(std::span<const FinishedInput> finished,
                       std::span<const data::Input> inputs);

/// The content of `<output>.meta`.
std::string meta_text(const Json& provenance, const ShardSummary& summary);

/// The shard's content: the records that have all sides, as a list or a record a line.
std::string shard_text(std::span<const FinishedInput> finished, bool is_jsonl);

}  // namespace cpx::pipeline
