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

#include "cpx/data/line_reader.h"

namespace cpx::data {

/// The texts under one key of a record.
struct KeyTexts {
  std::string key;
  /// One text, not a list of them.
  bool is_single = false;
  /// Those of a list are unescaped, as cpx-train reads them; a single one is as it stands there.
  std::vector<std::string> texts;
};

/// A line of text, or an object, and what is to be scored in it.
struct ScorableRecord {
  std::string where;  // place for messages: "a.jsonl: record 3, line 4"
  std::string json;   // the object
  std::vector<KeyTexts> keys;
};

/// Reads `.txt` (a text a line, blank lines passed over; each becomes {"text": line}), `.jsonl`
/// (objects) and `.json` (a list of objects). The first two are read as they are asked for, in
/// memory that does not grow with the file; a list is read at once. Faults are thrown as DataError,
/// "[place] what: got ..., expected ...".
class ScorableReader {
 public:
  /// `keys` are to be scored; none: `text` where the first object has it, else those of
  /// `paraphrases` and `paraphrases_toxic` that it has. A line of `.txt` has the key `text` alone.
  /// Reads the first record. Throws DataError for another ending and a file without a record.
  ScorableReader(const std::filesystem::path& file, std::vector<std::string> keys);

  /// The next record, or nothing at the end.
  std::optional<ScorableRecord> next();

  const std::vector<std::string>& keys() const { return keys_; }
  /// The file is one JSON list, and so is what is made of it; else a line a record.
  bool is_json_list() const { return is_json_list_; }
  /// How much has been given out, and of how much: records of a list, else bytes.
  int64_t done() const { return done_; }
  int64_t total() const { return total_; }

 private:
  std::optional<ScorableRecord> read_line();
  ScorableRecord from_line(std::string_view line);

  std::string name_;
  std::vector<std::string> keys_;
  bool is_json_list_ = false;
  bool is_plain_text_ = false;
  std::vector<ScorableRecord> list_;  // of a JSON list
  std::optional<LineReader> lines_;   // of other files
  std::optional<ScorableRecord> first_;
  int64_t num_records_ = 0;
  int64_t done_ = 0;
  int64_t total_ = 0;
};

/// The scores of the texts under a key, and which of them stay.
struct KeyScores {
  std::vector<double> values;
  std::vector<bool> stays;
};

/// The record's object on one line with the scores (in the order of its keys): of a single text
/// under `score` (under KEY_toxigenscore where several keys are scored), of a list as the list
/// KEY_toxigenscore; only texts that stay, with their scores. What stood there before is replaced.
std::string with_scores(const ScorableRecord& record, std::span<const KeyScores> scores);

}  // namespace cpx::data
