// SPDX-License-Identifier: Apache-2.0
// Contrast shards under construction: finished inputs stand in a journal beside the output, so a
// killed run continues, and the shard appears when all inputs are finished.
//
//   <output>            the shard: .json (a list) or .jsonl (one record per line)
//   <output>.meta       settings, counts, and the inputs without paraphrases
//   <output>.journal    work in progress: a line of settings, then one line per finished input
//   <output>.lock       exists while a process works on it
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cpx/core/file_lock.h"
#include "cpx/core/output_file.h"
#include "cpx/data/input_file.h"
#include "cpx/pipeline/candidates.h"

namespace cpx::pipeline {

/// A setting on which the content of a shard depends: model, seed, templates, ...
struct Setting {
  std::string name = {};
  std::variant<bool, int64_t, double, std::string> value = {};
};

/// The value of setting `name` recorded for `output` (finished or in progress), or nullopt.
std::optional<std::string> recorded_setting(const std::filesystem::path& output,
                                            const std::string& name);

/// The paraphrases of one input; nullopt for a side that was not requested.
struct Paraphrases {
  std::optional<CandidateSelection> neutral = {};
  std::optional<CandidateSelection> toxic = {};
};

struct ShardSummary {
  int64_t num_records = 0;
  CandidateCounts neutral = {};  // summed over the inputs
  CandidateCounts toxic = {};
  /// Inputs that are not in the shard because a requested side has no paraphrase, and inputs with
  /// fewer paraphrases than wanted: "[a.txt: line 3] paraphrases: 0 of 15 kept from 20 drawn (20
  /// empty)".
  std::vector<std::string> left_out = {};
  std::vector<std::string> too_few = {};
};

/// Collects finished inputs in any order. The shard has them in the order of `inputs`, so its bytes
/// depend neither on that order nor on interruptions.
///
/// A record contains `input`, `group`, `id`, the other keys of the JSON object that the input came
/// from, and for each side made (`paraphrases`, `paraphrases_toxic`) its texts, the best first,
/// with their ROUGE-L F in the parallel list `<key>_rouge`. If the object of the input already has
/// these keys, or `<key>_toxigenscore`, they are replaced or dropped, so that one side can be made
/// from a shard of the other. Texts are escaped (data::escape()). cpx-train reads shards with both
/// sides.
class ShardJournal {
 public:
  /// Begins the journal of `output`, or continues an existing one after removing an incomplete last
  /// line. Throws DataError if the journal has other settings or inputs, is damaged, or is in use
  /// by another process; if there is no journal but an output of other settings or inputs (with
  /// `overwrite` either begins anew); and if a file cannot be written.
  ShardJournal(std::filesystem::path output, std::vector<data::Input> inputs,
               std::span<const Setting> settings, bool overwrite = false);
  /// Removes a journal without a finished input.
  ~ShardJournal();
  ShardJournal(const ShardJournal&) = delete;
  ShardJournal& operator=(const ShardJournal&) = delete;

  /// True if the output already exists with the same settings and inputs: nothing is left to do.
  bool is_complete() const { return is_complete_; }

  const std::vector<data::Input>& inputs() const { return inputs_; }
  int64_t num_done() const { return num_done_; }
  bool is_done(int64_t index) const {
    return is_complete_ || !finished_.at(static_cast<size_t>(index)).empty();
  }

  /// Writes a finished input to the journal; it survives this process. After a DataError the
  /// journal is unchanged. Throws std::invalid_argument for an input that is already there.
  void add(int64_t index, const Paraphrases& made);

  /// Moves shard and meta to their paths and removes the journal. Throws std::invalid_argument
  /// unless all inputs are done, and DataError if no input has paraphrases or a file cannot be
  /// written; then the journal stays.
  ShardSummary finish();

 private:
  bool is_made_before(bool overwrite);
  void begin();
  void resume(const std::string& content, bool overwrite);
  void read_finished(std::string_view line, int64_t number);

  std::filesystem::path output_;
  std::filesystem::path meta_;
  std::filesystem::path journal_;
  std::vector<data::Input> inputs_;
  std::string provenance_;             // settings and inputs, JSON
  std::vector<std::string> finished_;  // the journal's line of each input; empty: not done
  int64_t num_done_ = 0;
  bool is_complete_ = false;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<OutputFile> file_;
  uint64_t num_bytes_ = 0;  // of the journal's whole lines
};

}  // namespace cpx::pipeline
