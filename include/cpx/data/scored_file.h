// SPDX-License-Identifier: Apache-2.0
// Files whose texts get scores: read item by item, written again with the scores and, where asked
// for, without some of the texts. Everything else of a record stays as it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/core/json_stream.h"

namespace cpx::data {

/// The texts under one key of a record.
struct KeyTexts {
  std::string key;
  /// One text, not a list of them.
  bool is_single = false;
  /// Those of a list are unescaped, as cpx-train reads them; a single one is as it stands there.
  std::vector<std::string> texts;
  /// A shard's record need not have both sides.
  bool is_absent = false;
};

/// A line of text, or an object, and what is to be scored in it.
struct ScorableRecord {
  std::string where;  // place for messages: "a.jsonl: record 3, line 4"
  JsonValue object;
  std::vector<KeyTexts> keys;
  int64_t index = 0;  // in its file, from 0
};

/// Reads texts a line (blank lines are passed over; each becomes {"text": line}) or the objects of
/// JSON lists and lines (see holds_json()), as they are asked for, in memory that does not grow
/// with the file. Faults are thrown as DataError.
class ScorableReader {
 public:
  /// `keys` are to be scored; none: `text` where the first object has it, else a shard's
  /// `paraphrases` and `paraphrases_toxic`, of which a record needs one. A line of text has the key
  /// `text` alone. Reads the first record. Throws DataError for a file without a record.
  ScorableReader(const std::filesystem::path& file, std::vector<std::string> keys);

  /// The next record, or nothing at the end.
  std::optional<ScorableRecord> next();

  const std::vector<std::string>& keys() const { return keys_; }
  /// The file is one JSON list, and so is what is made of it; else a line a record.
  bool is_json_list() const { return objects_ && objects_->is_list(); }
  /// How far the file is read, and its size, in bytes.
  int64_t bytes_read() const;
  int64_t num_bytes() const;

 private:
  std::optional<ScorableRecord> read();
  std::optional<ScorableRecord> read_line();
  ScorableRecord read_object(JsonValue object);

  std::string name_;
  std::vector<std::string> keys_;
  bool takes_either_side_ = false;
  std::optional<LineReader> lines_;    // of texts
  std::optional<JsonStream> objects_;  // of JSON
  std::optional<ScorableRecord> first_;
  int64_t num_records_ = 0;
};

/// The scores of the texts under a key, and which of them stay.
struct KeyScores {
  std::vector<double> values;
  std::vector<bool> stays;
};

/// The record's object on one line with the scores (in the order of its keys): of a single text
/// under `score` (under KEY_toxigenscore where several keys are scored), of a list as the list
/// KEY_toxigenscore; only texts that stay, with their scores. What stood there before is replaced.
///
/// {text: score} becomes a list of texts; its scores, which the published pipeline makes by
/// ROUGE-L, go to the list KEY_rouge where there is none. Such a record gets the `group` given and
/// the `id`
/// "<group>-<index>" where it has none, as the published cleaning gives them.
std::string with_scores(const ScorableRecord& record, std::span<const KeyScores> scores,
                        std::string_view group);

}  // namespace cpx::data
