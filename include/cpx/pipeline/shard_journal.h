// SPDX-License-Identifier: Apache-2.0
// Contrast shards in the making: what is finished stands in a journal beside the output, so that a
// run that was killed goes on where it was; the shard is put in place when all is finished.
//
//   <output>            the shard: .json (a list) or .jsonl (a record a line)
//   <output>.meta  how it was made: settings, counts, and the inputs without paraphrases
//   <output>.journal    work in progress: a line of settings, then a line a finished input
//   <output>.lock       while a process works on it
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

/// One of the things that the content of a shard depends on: model, seed, templates, ...
struct Setting {
  std::string name = {};
  std::variant<bool, int64_t, double, std::string> value = {};
};

/// The text that `output`, finished or in the making, was made with as setting `name`; nothing
/// where there is no output or it has no such text.
std::optional<std::string> recorded_setting(const std::filesystem::path& output,
                                            const std::string& name);

/// What was made of one input; nothing: that side was not asked for.
struct Paraphrases {
  std::optional<CandidateSelection> neutral = {};
  std::optional<CandidateSelection> toxic = {};
};

struct ShardSummary {
  int64_t num_records = 0;
  CandidateCounts neutral = {};  // summed over the inputs
  CandidateCounts toxic = {};
  /// Inputs that are not in the shard, because a side that was asked for has no paraphrase, and
  /// inputs with fewer than wanted: "[a.txt: line 3] paraphrases: 0 of 15 kept from 20 drawn (20
  /// empty)".
  std::vector<std::string> left_out = {};
  std::vector<std::string> too_few = {};
};

/// Collects finished inputs in any order; the shard has them in the order of `inputs`, so that its
/// bytes do not depend on that order or on interruptions.
///
/// A record holds `input`, `group`, `id`, the other keys of the JSON object that the input came
/// from, and for each side made (`paraphrases`, `paraphrases_toxic`) its texts, the best first,
/// with their ROUGE-L F in the parallel list `<key>_rouge`. Where the input's object has these
/// keys, or
/// `<key>_toxigenscore`, they are replaced or dropped; so one side can be made from the shard of
/// the other. Texts are escaped (data::escape()). cpx-train reads shards with both sides.
class ShardJournal {
 public:
  /// Begins the journal of `output`, or goes on with the one there; a last line that was cut short
  /// is removed from it. Throws DataError: when the journal was begun with other settings or
  /// inputs, or is damaged, or another process uses it; when there is no journal but an output of
  /// other settings or inputs (with `overwrite` either begins anew); when a file cannot be written.
  ShardJournal(std::filesystem::path output, std::vector<data::Input> inputs,
               std::span<const Setting> settings, bool overwrite = false);
  /// A journal without a finished input is removed.
  ~ShardJournal();
  ShardJournal(const ShardJournal&) = delete;
  ShardJournal& operator=(const ShardJournal&) = delete;

  /// True when the output was finished before with the same settings and inputs: nothing is to do.
  bool is_complete() const { return is_complete_; }

  const std::vector<data::Input>& inputs() const { return inputs_; }
  int64_t num_done() const { return num_done_; }
  bool is_done(int64_t index) const {
    return is_complete_ || !finished_.at(static_cast<size_t>(index)).empty();
  }

  /// Writes a finished input to the journal; it survives this process. On a DataError the journal
  /// is as it was before. An input twice is std::invalid_argument.
  void add(int64_t index, const Paraphrases& made);

  /// Puts shard and meta in place and removes the journal. Throws std::invalid_argument unless all
  /// inputs are done, DataError when no input has paraphrases or a file cannot be written; then the
  /// journal stays.
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
