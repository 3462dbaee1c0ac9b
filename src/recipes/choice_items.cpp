// SPDX-License-Identifier: Apache-2.0
#include "choice_items.h"

#include <limits>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/json.h"
#include "cpx/core/log.h"
#include "cpx/core/text.h"

namespace cpx::recipes {

namespace fs = std::filesystem;
using evaluation::ChoiceDocument;
using evaluation::DocumentScores;
using evaluation::RequestScore;

namespace {

constexpr const char* kLogLikelihoods = "log_likelihoods";
constexpr const char* kGreedy = "greedy";
constexpr const char* kTokens = "tokens";

std::string truth(bool is_true) { return is_true ? "true" : "false"; }

std::string item_line(const ChoiceInput& input, const std::optional<fs::path>& adapter,
                      const ChoiceDocument& document, const std::vector<RequestScore>& scores) {
  std::vector<std::string> log_likelihoods, greedy, tokens;
  for (const RequestScore& score : scores) {
    log_likelihoods.push_back(json_of(score.log_likelihood));
    greedy.push_back(truth(score.is_greedy));
    tokens.push_back(fmt::format("{}", score.num_tokens));
  }
  JsonObjectText line;
  line.set("task", json_of(input.name));
  line.set("adapter", adapter ? json_of(adapter->string()) : "null");
  if (!document.subject.empty()) line.set("subject", json_of(document.subject));
  line.set("document", fmt::format("{}", document.number));
  line.set(kLogLikelihoods, json_list(log_likelihoods));
  line.set(kGreedy, json_list(greedy));
  line.set(kTokens, json_list(tokens));
  if (document.gold) line.set("gold", fmt::format("{}", *document.gold));
  for (const evaluation::ChoiceMetric* metric : input.task.task->metrics) {
    if (!metric->is_right_or_wrong) continue;
    const std::string key =
        metric == &evaluation::kAccuracy || metric == &evaluation::kGreedyAccuracy ? "correct"
        : metric == &evaluation::kNormalizedAccuracy                               ? "correct_norm"
                                                     : std::string(metric->name);
    line.set(key, truth(metric->value(document, scores).value == 1.0));
  }
  return line.json();
}

// As item_line() wrote them; what was no finite number comes back as none.
std::vector<RequestScore> scores_of(const std::string& text) {
  const JsonValue line = JsonValue::parse("[--items]", text);
  const auto values = line.at(kLogLikelihoods).elements();
  const auto greedy = line.at(kGreedy).elements();
  const auto tokens = line.at(kTokens).elements();
  std::vector<RequestScore> scores;
  for (size_t i = 0; i < values.size(); ++i) {
    scores.push_back({.log_likelihood = values[i].is_null()
                                            ? std::numeric_limits<double>::quiet_NaN()
                                            : values[i].number(),
                      .is_greedy = greedy[i].boolean(),
                      .num_tokens = tokens[i].integer()});
  }
  return scores;
}

pipeline::BatchJournal::Place place_beside(const fs::path& output) {
  const std::string name = output.string();
  return {.journal = name + ".journal", .lock = name + ".lock", .output = output};
}

}  // namespace

ChoiceItems::ChoiceItems(const EvalChoiceCommand& command,
                         const std::vector<pipeline::Setting>& settings)
    : path_(command.items) {
  if (!path_) return;
  if (find_output(*path_).is_stream()) {
    stream_.emplace(*path_);
    return;
  }
  journal_.emplace(place_beside(*path_), settings, command.overwrite);
  journal_->read([&](std::string_view line) { done_.emplace_back(line); });
  if (!done_.empty()) {
    log_info("going on: {} done", counted(num_done(), "document is", "documents are"));
  }
}

DocumentScores ChoiceItems::take_done(size_t num_documents) {
  DocumentScores scores;
  while (!done_.empty() && scores.size() < num_documents) {
    scores.push_back(scores_of(done_.front()));
    done_.pop_front();
  }
  return scores;
}

void ChoiceItems::add(const ChoiceInput& input, const std::optional<fs::path>& adapter,
                      size_t first, const DocumentScores& scores) {
  if (!path_) return;
  std::vector<std::string> lines;
  for (size_t i = 0; i < scores.size(); ++i) {
    lines.push_back(item_line(input, adapter, input.documents[first + i], scores[i]));
  }
  if (journal_) {
    journal_->add(lines);
    return;
  }
  for (const std::string& line : lines) stream_->write(line + "\n");
}

void ChoiceItems::finish() {
  if (stream_) stream_->commit();
  if (!journal_) return;
  AtomicFile file(*path_);
  journal_->read([&](std::string_view line) {
    file.write(line);
    file.write("\n");
  });
  file.commit();
  journal_->remove();
}

}  // namespace cpx::recipes
