// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/score.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <utility>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/output_check.h"
#include "cpx/core/output_file.h"
#include "cpx/core/progress.h"
#include "cpx/data/scored_file.h"
#include "cpx/models/roberta.h"
#include "cpx/pipeline/prompt_file.h"
#include "cpx/tensor/device.h"
#include "exit_status.h"

namespace cpx::recipes {

namespace {

using data::KeyScores;
using data::KeyTexts;
using data::ScorableRecord;

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
  int64_t num_texts = 0;
  int64_t num_kept = 0;

  bool is_filter() const { return keep_below || keep_above; }
  bool stays(double probability) const {
    return (!keep_below || probability < *keep_below) && (!keep_above || probability > *keep_above);
  }
  std::string text() const {
    return keep_below ? fmt::format("below {}", *keep_below) : fmt::format("above {}", *keep_above);
  }
};

// `keys` are those of the input's records.
std::vector<KeyRule> rules_for(const std::vector<std::string>& keys, const ScoreCommand& command) {
  std::vector<KeyRule> rules;
  for (const std::string& key : keys) {
    KeyRule rule{.key = key};
    if (key == kNeutralKey) rule.keep_below = command.keep_below;
    if (key == kToxicKey) rule.keep_above = command.keep_above;
    rules.push_back(std::move(rule));
  }
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

// The number as short as float32 allows: what a classifier computes has no more digits.
double shortest(double value) {
  return std::strtod(fmt::format("{}", static_cast<float>(value)).c_str(), nullptr);
}

// The scores of some texts.
struct TextScores {
  std::vector<double> values;         // what is written
  std::vector<double> probabilities;  // what filters see; empty without one
};

// One label of a classifier.
class LabelScorer {
 public:
  explicit LabelScorer(const ScoreCommand& command)
      : scorer_(models::load_text_scorer(command.model, tensor::resolve_device(command.device),
                                         command.batch_tokens)),
        label_(nn::label_index(*scorer_, command.label)),
        is_raw_(command.is_raw),
        is_filtered_(command.keep_below || command.keep_above) {}

  TextScores score(const std::vector<std::string>& texts) {
    const auto logits = scorer_->logits(texts);  // [N, C]
    TextScores scores;
    if (!is_raw_ || is_filtered_) {
      scores.probabilities = column(nn::label_probabilities(*scorer_, logits));
    }
    scores.values = is_raw_ ? column(logits) : scores.probabilities;
    return scores;
  }

  const std::string& label() const { return scorer_->labels()[static_cast<size_t>(label_)]; }

 private:
  std::vector<double> column(const torch::Tensor& matrix) const {
    const auto values = matrix.select(1, label_).to(at::kDouble).contiguous();
    const double* first = values.const_data_ptr<double>();
    return {first, first + values.numel()};
  }

  std::shared_ptr<nn::TextScorer> scorer_;
  int64_t label_;
  bool is_raw_;
  bool is_filtered_;
};

// Reads, scores and writes a window at a time.
class Scoring {
 public:
  explicit Scoring(const ScoreCommand& command)
      : command_(command),
        reader_(command.input, command.keys),
        rules_(rules_for(reader_.keys(), command)),
        group_(pipeline::group_of_file(command.input)),
        output_(command.output),
        scorer_(command) {}

  /// False when interrupted: then nothing is written.
  bool run() {
    const auto start = std::chrono::steady_clock::now();
    Progress progress("score", std::max<int64_t>(1, reader_.num_bytes() / kBytesPerKibibyte));
    while (auto record = reader_.next()) {
      add(std::move(*record));
      if (texts_.size() < kWindowTexts && num_bytes_ < window_bytes()) continue;
      flush();
      progress.update(reader_.bytes_read() / kBytesPerKibibyte,
                      fmt::format("KiB, {} texts", num_texts_));
      if (interrupt_requested()) return false;
    }
    flush();
    if (interrupt_requested()) return false;
    if (reader_.is_json_list()) output_.write(num_written_ == 0 ? "[]\n" : "\n]\n");
    output_.commit();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    log_info("{} texts in {:.1f} s, {:.0f} a second", num_texts_, elapsed.count(),
             static_cast<double>(num_texts_) / elapsed.count());
    return true;
  }

  std::string summary() const {
    std::string text =
        fmt::format("{} texts of {} records scored: {} of '{}'\n", num_texts_, num_records_,
                    command_.is_raw ? "logit" : "probability", scorer_.label());
    for (const KeyRule& rule : rules_) {
      if (!rule.is_filter()) continue;
      text += fmt::format("{}: {} of {} texts stay ({})\n", rule.key, rule.num_kept, rule.num_texts,
                          rule.text());
    }
    if (num_left_out_ > 0) {
      text += fmt::format("{} of {} records left out: fewer than {} texts stay\n", num_left_out_,
                          num_records_, command_.min_texts);
    }
    return text;
  }

 private:
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
    size_t first = 0;
    for (const ScorableRecord& record : window_) {
      write(record, scores, first);
      for (const KeyTexts& key : record.keys) first += key.texts.size();
    }
    num_texts_ += std::ssize(texts_);
    window_.clear();
    texts_.clear();
    num_bytes_ = 0;
  }

  // Its texts' scores begin at `first`.
  void write(const ScorableRecord& record, const TextScores& scores, size_t first) {
    ++num_records_;
    std::vector<KeyScores> by_key;
    for (size_t i = 0; i < record.keys.size(); ++i) {
      by_key.push_back(scores_of(record, i, scores, first));
      first += record.keys[i].texts.size();
    }
    if (is_too_small(record, by_key)) return;
    if (reader_.is_json_list()) output_.write(num_written_ == 0 ? "[\n" : ",\n");
    output_.write(data::with_scores(record, by_key, group_));
    if (!reader_.is_json_list()) output_.write("\n");
    ++num_written_;
  }

  KeyScores scores_of(const ScorableRecord& record, size_t key, const TextScores& scores,
                      size_t first) {
    KeyRule& rule = rules_[key];
    KeyScores result;
    for (size_t i = first; i < first + record.keys[key].texts.size(); ++i) {
      if (!std::isfinite(scores.values[i])) {
        throw_<DataError>(
            "[{}] {}: got {} from the classifier, expected a number. Are the weights "
            "of {} sound?",
            record.where, rule.key, scores.values[i], command_.model.string());
      }
      const bool stays = !rule.is_filter() || rule.stays(scores.probabilities[i]);
      result.values.push_back(shortest(scores.values[i]));
      result.stays.push_back(stays);
      rule.num_texts += 1;
      rule.num_kept += stays ? 1 : 0;
    }
    return result;
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
  data::ScorableReader reader_;
  std::vector<KeyRule> rules_;  // in the order of the records' keys
  std::string group_;           // of records that have none
  AtomicFile output_;
  LabelScorer scorer_;

  std::vector<ScorableRecord> window_;
  std::vector<std::string> texts_;  // of the window
  size_t num_bytes_ = 0;
  int64_t num_texts_ = 0;
  int64_t num_records_ = 0;
  int64_t num_written_ = 0;
  int64_t num_left_out_ = 0;
};

// On standard error where standard output has the scores.
void print_summary(const ScoreCommand& command, const std::string& summary) {
  (is_standard_output(command.output) ? std::cerr : std::cout) << summary;
}

}  // namespace

int run_score(const ScoreCommand& command) {
  OutputCheck outputs;
  outputs.reads("--model", command.model);
  outputs.reads("--input", command.input);
  outputs.writes("--output", command.output);
  outputs.check();
  Scoring scoring(command);
  if (!scoring.run()) {
    log_warning("interrupted: {}", find_output(command.output).is_stream()
                                       ? "the output is incomplete"
                                       : "no output was written");
    return kInterrupted;
  }
  print_summary(command, scoring.summary());
  return kDone;
}

}  // namespace cpx::recipes
