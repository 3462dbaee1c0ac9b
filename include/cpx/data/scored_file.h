// SPDX-License-Identifier: Apache-2.0
// Files whose texts get scores: read item by item, and written with the scores and, if requested,
// without some of the texts. Everything else of a record stays as it is.
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
  /// True for one text, false for a list of texts.
  bool is_single = false;
  /// Texts of a list are unescaped, as cpx-train reads them; a single text is not.
  std::vector<std::string> texts;
  /// True if the key is missing: a record of a shard need not have both sides.
  bool is_absent = false;
};

/// A line of text or an object, with its texts to be scored.
struct ScorableRecord {
  std::string where;  // place for messages: "a.jsonl: record 3, line 4"
  JsonValue object;
  std::vector<KeyTexts> keys;
  int64_t index = 0;  // in its file, from 0
};

/// Reads one text per line (blank lines are skipped; each text becomes {"text": line}) or the
/// objects of JSON lists and JSON lines (see holds_json()), one at a time, in memory that does not
/// grow with the file. Faults are thrown as DataError.
class ScorableReader {
 public:
  /// `keys` are the keys to score. Without any, it is `text` if the first object has it, otherwise
  /// `paraphrases` and `paraphrases_toxic` of a shard, of which a record needs one. A line of text
  /// only has the key `text`. Reads the first record. Throws DataError for a file without a record.
  ScorableReader(const std::filesystem::path& file, std::vector<std::string> keys);

  /// The next record, or nullopt at the end.
  std::optional<ScorableRecord> next();

  const std::vector<std::string>& keys() const { return keys_; }
  /// True if the file is one JSON list, and so the output is one; otherwise one record per line.
  bool is_json_list() const { return objects_ && objects_->is_list(); }
  /// Bytes read so far, and the size of the file.
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

/// The scores of one label for the texts under a key.
struct LabelScores {
  std::string label;
  std::vector<double> values;
};

/// The scores of the texts under a key, and which texts stay.
struct KeyScores {
  std::vector<double> values;
  std::vector<bool> stays;
  /// In place of `values`: the scores of several labels, each for a key of its own.
  std::vector<LabelScores> by_label = {};
};

/// The object of the record as one line with the scores, in the order of its keys. The score of a
/// single text goes to `score` (to KEY_toxigenscore if several keys are scored), those of a list to
/// the list KEY_toxigenscore. Only texts that stay are written, with their scores. Old values of
/// these keys are replaced. Scores by label go to `score_LABEL` and KEY_score_LABEL instead.
///
/// {text: score} becomes a list of texts; its scores, which the published pipeline computes by
/// ROUGE-L, go to the list KEY_rouge unless there is one. If such a record has no `group` or `id`,
/// it gets `group` and the id "<group>-<index>", as in the published cleaning.
std::string with_scores(const ScorableRecord& record, std::span<const KeyScores> scores,
                        std::string_view group);

}  // namespace cpx::data
