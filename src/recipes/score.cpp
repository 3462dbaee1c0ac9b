// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/score.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <utility>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/output_check.h"
#include "cpx/core/output_file.h"
#include "cpx/core/progress.h"
#include "cpx/core/text.h"
#include "cpx/data/globs.h"
#include "cpx/data/record.h"
#include "cpx/data/scored_file.h"
#include "cpx/models/text_scorer.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/pipeline/batch_journal.h"
#include "cpx/pipeline/prompt_file.h"
#include "cpx/tensor/device.h"
#include "cpx/tokenizer/limited.h"
#include "exit_status.h"
#include "fingerprint.h"
#include "folder_output.h"
#include "shortest_number.h"

namespace cpx::recipes {

namespace {

using data::KeyScores;
using data::KeyTexts;
using data::ScorableRecord;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kNeutralKey = "paraphrases";
constexpr const char* kToxicKey = "paraphrases_toxic";
// Texts that are scored together; fewer where they are long, so that memory stays small, a signal
// is heard and progress shows.
constexpr size_t kWindowTexts = 256;
constexpr size_t kWindowBytesPerToken = 16;
constexpr int64_t kRecordsReported = 20;
constexpr int64_t kBytesPerKibibyte = 1024;

// What happens to the texts of one key.
struct KeyRule {
  std::string key;
  std::optional<double> keep_below = {};
  std::optional<double> keep_above = {};

  bool is_filter() const { return keep_below || keep_above; }
  bool stays(double probability) const {
    return (!keep_below || probability < *keep_below) && (!keep_above || probability > *keep_above);
  }
  std::string text() const {
    return keep_below ? fmt::format("below {}", *keep_below) : fmt::format("above {}", *keep_above);
  }
};

// Texts under a key, and those of them that stay.
struct KeyCount {
  std::string key = {};
  int64_t num_texts = 0;
  int64_t num_kept = 0;
};

KeyRule rule_for(const std::string& key, const ScoreCommand& command) {
  KeyRule rule{.key = key};
  if (key == kNeutralKey) rule.keep_below = command.keep_below;
  if (key == kToxicKey) rule.keep_above = command.keep_above;
  return rule;
}

// `keys` are those of the input's records.
std::vector<KeyRule> rules_for(const std::vector<std::string>& keys, const ScoreCommand& command) {
  std::vector<KeyRule> rules;
  for (const std::string& key : keys) rules.push_back(rule_for(key, command));
  const auto check_filter = [&](std::string_view flag, bool is_given, const char* key) {
    if (!is_given || std::ranges::find(keys, key) != keys.end()) return;
    throw_<ConfigError>(
        "[command line] {} is for '{}': got texts under {}, expected it among them.", flag, key,
        fmt::join(keys, ", "));
  };
  check_filter("--keep-below", command.keep_below.has_value(), kNeutralKey);
  check_filter("--keep-above", command.keep_above.has_value(), kToxicKey);
  return rules;
}

// The scores of some texts.
struct TextScores {
  std::vector<std::vector<double>> values;  // what is written, by label
  std::vector<double> probabilities;        // what filters see; empty without one
};

// Some labels of a classifier.
class LabelScorer {
 public:
  explicit LabelScorer(const ScoreCommand& command)
      : scorer_(models::load_text_scorer(command.model, tensor::resolve_device(command.device),
                                         command.batch_tokens)),
        has_several_(!command.labels.empty()),
        is_raw_(command.is_raw),
        is_filtered_(command.keep_below || command.keep_above) {
    for (const std::string& name : has_several_ ? command.labels : std::vector{command.label}) {
      const int64_t label = nn::label_index(*scorer_, name);
      if (std::ranges::find(labels_, label) != labels_.end()) {
        throw_<ConfigError>(
            "[label] --labels has a label twice: got '{}' again, expected each once.", name);
      }
      labels_.push_back(label);
    }
  }

  TextScores score(const std::vector<std::string>& texts) {
    const auto logits = scorer_->logits(texts);  // [N, C]
    const auto probabilities =
        !is_raw_ || is_filtered_ ? nn::label_probabilities(*scorer_, logits) : torch::Tensor();
    TextScores scores;
    for (const int64_t label : labels_) {
      scores.values.push_back(of_label(is_raw_ ? logits : probabilities, label));
    }
    if (is_filtered_) scores.probabilities = of_label(probabilities, labels_.front());
    return scores;
  }

  // True if each label gets a key with its name.
  bool has_several() const { return has_several_; }

  // The classifier's tokenizer may have tokens that the classifier lacks.
  bool exceeds_model() const { return scorer_->tokenizer().exceeds_model(); }
  // Throws DataError, opened by [where], for a text with such a token.
  void check_tokens(std::string_view where, const std::string& text) const {
    tokenizer::at_place(where, [&] { return scorer_->encode(text); });
  }

  std::vector<std::string> labels() const {
    std::vector<std::string> names;
    for (const int64_t label : labels_) {
      names.push_back(scorer_->labels()[static_cast<size_t>(label)]);
    }
    return names;
  }

 private:
  // The label's number of each text, of a [N, C] tensor.
  static std::vector<double> of_label(const torch::Tensor& numbers, int64_t label) {
    return nn::to_doubles(numbers.select(1, label));
  }

  std::shared_ptr<models::ModelScorer> scorer_;
  bool has_several_;
  std::vector<int64_t> labels_;
  bool is_raw_;
  bool is_filtered_;
};

// What became of a record, as it stands in the journal: its group, the texts of each key and those
// that stay, and its object with the scores, or nothing where it is left out. A tab stands before
// the object, which has none of its own.
struct ScoredRecord {
  std::string group = {};
  std::vector<KeyCount> counts = {};
  std::string json = {};

  std::string line() const {
    Json head = {group, Json::array()};
    for (const KeyCount& count : counts) {
      head[1].push_back({count.key, count.num_texts, count.num_kept});
    }
    return head.dump(-1, ' ', false, Json::error_handler_t::replace) + "\t" + json;
  }

  static ScoredRecord parse(std::string_view line) {
    const size_t tab = line.find('\t');
    const Json head = Json::parse(line.substr(0, tab));
    ScoredRecord record{.group = head.at(0), .json = std::string(line.substr(tab + 1))};
    for (const Json& count : head.at(1)) {
      record.counts.push_back({count.at(0), count.at(1), count.at(2)});
    }
    return record;
  }
};

// A JSON list, or a record a line.
class RecordFile {
 public:
  RecordFile(const fs::path& path, bool is_list) : file_(path), is_list_(is_list) {}

  void write(const std::string& json) {
    if (is_list_) file_.write(num_written_ == 0 ? "[\n" : ",\n");
    file_.write(json);
    if (!is_list_) file_.write("\n");
    ++num_written_;
  }

  void commit() {
    if (is_list_) file_.write(num_written_ == 0 ? "[]\n" : "\n]\n");
    file_.commit();
  }

 private:
  AtomicFile file_;
  bool is_list_;
  int64_t num_written_ = 0;
};

// The output, or a folder's shard a group, and the counts of what was written.
class ScoredOutput {
 public:
  ScoredOutput(const ScoreCommand& command, bool is_list)
      : folder_(is_folder_output(command.output) ? command.output : fs::path()) {
    if (folder_.empty()) files_.try_emplace("", command.output, is_list);
  }

  void write(const ScoredRecord& record) {
    ++num_records_;
    for (const KeyCount& count : record.counts) {
      KeyCount& sum = sums_.try_emplace(count.key, KeyCount{count.key}).first->second;
      sum.num_texts += count.num_texts;
      sum.num_kept += count.num_kept;
    }
    if (record.json.empty()) {
      ++num_left_out_;
    } else {
      file_of(record.group).write(record.json);
    }
  }

  void commit() {
    for (auto& [group, file] : files_) file.commit();
  }

  std::string summary(const ScoreCommand& command, const std::vector<std::string>& labels) const {
    int64_t num_texts = 0;
    for (const auto& [key, sum] : sums_) num_texts += sum.num_texts;
    std::string text =
        fmt::format("{} of {} scored: {} of '{}'\n", counted(num_texts, "text"),
                    counted(num_records_, "record"), command.is_raw ? "logit" : "probability",
                    fmt::join(labels, "', '"));
    for (const auto& [key, sum] : sums_) {
      const KeyRule rule = rule_for(key, command);
      if (!rule.is_filter()) continue;
      text += fmt::format("{}: {} of {} stay ({})\n", key, sum.num_kept,
                          counted(sum.num_texts, "text"), rule.text());
    }
    if (num_left_out_ > 0) {
      text += fmt::format("{} of {} left out: fewer than {} texts stay\n", num_left_out_,
                          counted(num_records_, "record"), command.min_texts);
    }
    return text;
  }

 private:
  RecordFile& file_of(const std::string& group) {
    if (folder_.empty()) return files_.at("");
    return files_.try_emplace(group, shard_of_group(folder_, group), /*is_list=*/true)
        .first->second;
  }

  fs::path folder_;                          // empty: one file
  std::map<std::string, RecordFile> files_;  // by group
  std::map<std::string, KeyCount> sums_;     // by key
  int64_t num_records_ = 0;
  int64_t num_left_out_ = 0;
};

// Reads and scores a window at a time and hands its records on. A window never crosses the end of a
// file, so that the same texts are computed together whenever it goes on.
class Scoring {
 public:
  using Take = std::function<void(std::vector<ScoredRecord>)>;

  Scoring(const ScoreCommand& command, const std::vector<fs::path>& files, LabelScorer& scorer,
          Take take)
      : command_(command), files_(files), scorer_(scorer), take_(std::move(take)) {}

  // Leaves out the first `num_done` records. False when interrupted.
  bool run(int64_t num_done) {
    if (scorer_.exceeds_model()) check_tokens();
    const auto start = std::chrono::steady_clock::now();
    int64_t total = 0;
    for (const fs::path& file : files_) total += static_cast<int64_t>(fs::file_size(file));
    Progress progress("score", std::max<int64_t>(1, total / kBytesPerKibibyte));
    int64_t before = 0;  // bytes of the files that are done
    for (const fs::path& file : files_) {
      if (!score_file(file, num_done, before, progress)) return false;
      before += static_cast<int64_t>(fs::file_size(file));
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    log_info("{} in {:.1f} s, {:.0f} a second", counted(num_texts_, "text"), elapsed.count(),
             static_cast<double>(num_texts_) / elapsed.count());
    return true;
  }

 private:
  bool score_file(const fs::path& file, int64_t& num_done, int64_t before, Progress& progress) {
    data::ScorableReader reader(file, command_.keys);
    rules_ = rules_for(reader.keys(), command_);
    group_ = pipeline::group_of_file(file);
    while (auto record = reader.next()) {
      if (num_done > 0) {
        --num_done;
        continue;
      }
      add(std::move(*record));
      if (texts_.size() < kWindowTexts && num_bytes_ < window_bytes()) continue;
      flush();
      progress.update((before + reader.bytes_read()) / kBytesPerKibibyte,
                      fmt::format("KiB, {} texts", num_texts_));
      if (interrupt_requested()) return false;
    }
    if (!window_.empty()) flush();
    return !interrupt_requested();
  }

  // Reads the inputs once before: a fault at their end is told before anything is computed.
  void check_tokens() const {
    for (const fs::path& file : files_) {
      data::ScorableReader reader(file, command_.keys);
      while (const auto record = reader.next()) {
        for (const KeyTexts& key : record->keys) {
          for (const std::string& text : key.texts) {
            scorer_.check_tokens(fmt::format("{}: {}", record->where, key.key), text);
          }
        }
      }
    }
  }

  size_t window_bytes() const {
    return kWindowBytesPerToken * static_cast<size_t>(command_.batch_tokens);
  }

  void add(ScorableRecord record) {
    for (size_t i = 0; i < record.keys.size(); ++i) {
      const KeyTexts& key = record.keys[i];
      if (key.is_single && rules_[i].is_filter()) {
        throw_<DataError>("[{}] {}: got one text, expected a list of texts to keep some of.",
                          record.where, key.key);
      }
      for (const std::string& text : key.texts) {
        texts_.push_back(text);
        num_bytes_ += text.size();
      }
    }
    window_.push_back(std::move(record));
  }

  void flush() {
    const TextScores scores = scorer_.score(texts_);
    std::vector<ScoredRecord> scored;
    size_t first = 0;
    for (const ScorableRecord& record : window_) {
      scored.push_back(scored_record(record, scores, first));
      for (const KeyTexts& key : record.keys) first += key.texts.size();
    }
    num_texts_ += std::ssize(texts_);
    window_.clear();
    texts_.clear();
    num_bytes_ = 0;
    take_(std::move(scored));
  }

  // Its texts' scores begin at `first`.
  ScoredRecord scored_record(const ScorableRecord& record, const TextScores& scores, size_t first) {
    ScoredRecord scored{.group = group_of(record)};
    std::vector<KeyScores> by_key;
    for (size_t i = 0; i < record.keys.size(); ++i) {
      by_key.push_back(scores_of(record, i, scores, first));
      first += record.keys[i].texts.size();
      scored.counts.push_back({record.keys[i].key, std::ssize(record.keys[i].texts),
                               std::ranges::count(by_key.back().stays, true)});
    }
    if (!is_too_small(record, by_key)) scored.json = data::with_scores(record, by_key, group_);
    return scored;
  }

  // Its own group or that of its file's name, in the usual spelling.
  std::string group_of(const ScorableRecord& record) const {
    const auto own = record.object.find("group");
    return own && own->is_text() ? pipeline::normalize_group(own->text()) : group_;
  }

  KeyScores scores_of(const ScorableRecord& record, size_t key, const TextScores& scores,
                      size_t first) const {
    const KeyRule& rule = rules_[key];
    const auto names = scorer_.labels();
    const size_t end = first + record.keys[key].texts.size();
    KeyScores result;
    for (size_t i = first; i < end; ++i) {
      result.stays.push_back(!rule.is_filter() || rule.stays(scores.probabilities[i]));
    }
    for (size_t label = 0; label < names.size(); ++label) {
      std::vector<double> values;
      for (size_t i = first; i < end; ++i) {
        values.push_back(checked(scores.values[label][i], record, rule));
      }
      if (scorer_.has_several()) {
        result.by_label.push_back({names[label], std::move(values)});
      } else {
        result.values = std::move(values);
      }
    }
    return result;
  }

  // As short as it may be written.
  double checked(double value, const ScorableRecord& record, const KeyRule& rule) const {
    if (!std::isfinite(value)) {
      throw_<DataError>(
          "[{}] {}: got {} from the classifier, expected a number. Are the weights "
          "of {} sound?",
          record.where, rule.key, value, command_.model.string());
    }
    return shortest(value);
  }

  // Tells so too.
  bool is_too_small(const ScorableRecord& record, const std::vector<KeyScores>& scores) {
    for (size_t i = 0; i < scores.size(); ++i) {
      const auto num_kept = std::ranges::count(scores[i].stays, true);
      if (record.keys[i].is_absent || !rules_[i].is_filter()) continue;
      if (num_kept >= command_.min_texts) continue;
      if (++num_left_out_ <= kRecordsReported) {
        log_warning("[{}] left out: {} of {} {} stay, expected at least {}", record.where, num_kept,
                    scores[i].stays.size(), rules_[i].key, command_.min_texts);
      }
      return true;
    }
    return false;
  }

  const ScoreCommand& command_;
  const std::vector<fs::path>& files_;
  LabelScorer& scorer_;
  Take take_;

  std::vector<KeyRule> rules_;  // of the file, in the order of its records' keys
  std::string group_;           // of its name
  std::vector<ScorableRecord> window_;
  std::vector<std::string> texts_;  // of the window
  size_t num_bytes_ = 0;
  int64_t num_texts_ = 0;
  int64_t num_left_out_ = 0;
};

std::vector<fs::path> files_of(const ScoreCommand& command) {
  Faults faults;
  std::vector<fs::path> files = data::expand_globs(command.inputs, faults);
  faults.throw_first_if_any();
  return files;
}

void check_outputs(const ScoreCommand& command, const std::vector<fs::path>& files) {
  prepare_folder_output("--output", command.output);
  OutputCheck outputs;
  outputs.reads("--model", command.model);
  for (const fs::path& file : files) outputs.reads("--input", file);
  if (!is_folder_output(command.output)) outputs.writes("--output", command.output);
  outputs.check();
}

// What can be told of the files before the work; whether the first is a JSON list.
bool check_files(const ScoreCommand& command, const std::vector<fs::path>& files) {
  std::optional<bool> is_list;
  for (const fs::path& file : files) {
    const data::ScorableReader reader(file, command.keys);
    rules_for(reader.keys(), command);
    is_list = is_list.value_or(reader.is_json_list());
  }
  return is_list.value_or(false);
}

// All that the output depends on.
std::vector<pipeline::Setting> settings_of(const ScoreCommand& command,
                                           const std::vector<fs::path>& files) {
  std::vector<std::string> inputs;
  for (const fs::path& file : files) {
    inputs.push_back(fmt::format("{}: {}", file.filename().string(), file_fingerprint(file)));
  }
  const auto text_of = [](const std::optional<double>& value) {
    return value ? fmt::format("{}", *value) : std::string();
  };
  const fs::path model =
      resolve_hub_name("load_text_scorer", command.model, "a classifier's folder");
  std::vector<pipeline::Setting> settings = {
      {"model", model_fingerprint(model)},
      {"input", fmt::format("{}", fmt::join(inputs, " | "))},
      {"key", fmt::format("{}", fmt::join(command.keys, " | "))},
      {"label", command.label},
      {"raw", command.is_raw},
      {"keep_below", text_of(command.keep_below)},
      {"keep_above", text_of(command.keep_above)},
      {"min_texts", command.min_texts},
      {"batch_tokens", command.batch_tokens}};
  if (!command.labels.empty()) {
    settings.push_back({"labels", fmt::format("{}", fmt::join(command.labels, " | "))});
  }
  return settings;
}

pipeline::BatchJournal::Place place_of(const fs::path& output) {
  if (is_folder_output(output)) {
    return {.journal = output / "score.journal", .lock = output / ".lock", .output = output};
  }
  const std::string name = output.string();
  return {.journal = name + ".journal", .lock = name + ".lock", .output = output};
}

// Into a stream, record by record: there is nothing to go on with.
int score_into_stream(const ScoreCommand& command, const std::vector<fs::path>& files,
                      bool is_list) {
  LabelScorer scorer(command);
  ScoredOutput output(command, is_list);
  const bool is_whole = Scoring(command, files, scorer, [&](std::vector<ScoredRecord> records) {
                          for (const ScoredRecord& record : records) output.write(record);
                        }).run(/*num_done=*/0);
  if (!is_whole) {
    log_warning("interrupted: the output is incomplete");
    return kInterrupted;
  }
  output.commit();
  const std::string summary = output.summary(command, scorer.labels());
  // Standard output may have the scores.
  (is_standard_output(command.output) ? std::cerr : std::cout) << summary;
  return kDone;
}

// Records are finished in a journal; files appear when all are done.
int score_with_journal(const ScoreCommand& command, const std::vector<fs::path>& files,
                       bool is_list) {
  pipeline::BatchJournal journal(place_of(command.output), settings_of(command, files),
                                 command.overwrite);
  if (journal.num_lines() > 0) log_info("going on: {} records are done", journal.num_lines());
  LabelScorer scorer(command);
  const bool is_whole = Scoring(command, files, scorer, [&](std::vector<ScoredRecord> records) {
                          std::vector<std::string> lines;
                          for (const ScoredRecord& record : records) lines.push_back(record.line());
                          journal.add(lines);
                        }).run(journal.num_lines());
  if (!is_whole) {
    log_warning("interrupted: {} records are done; the same command goes on from there",
                journal.num_lines());
    return kInterrupted;
  }
  ScoredOutput output(command, is_list);
  journal.read([&](std::string_view line) { output.write(ScoredRecord::parse(line)); });
  output.commit();
  journal.remove();
  std::cout << output.summary(command, scorer.labels());
  return kDone;
}

}  // namespace

int run_score(const ScoreCommand& command) {
  const std::vector<fs::path> files = files_of(command);
  check_outputs(command, files);
  const bool is_list = check_files(command, files);
  return find_output(command.output).is_stream() ? score_into_stream(command, files, is_list)
                                                 : score_with_journal(command, files, is_list);
}

}  // namespace cpx::recipes
