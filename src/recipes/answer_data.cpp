// SPDX-License-Identifier: Apache-2.0
#include "answer_data.h"

#include <utility>

#include <fmt/format.h>

#include "config_messages.h"
#include "cpx/core/text.h"
#include "fingerprint.h"
#include "inspect.h"

namespace cpx::recipes {

void PromptKeys::check(const TrainConfig& config, ConfigFaults& faults) const {
  if (prompt.find("{input}") == std::string::npos) {
    faults.add("objective.prompt",
               "got '{}', expected {{input}} in it, where a record's input goes.", prompt);
  }
  if (max_prompt_tokens >= config.data.max_tokens) {
    faults.add("objective.max_prompt_tokens",
               "got {} beside data.max_tokens {}, expected less: an answer needs room.",
               max_prompt_tokens, config.data.max_tokens);
  }
}

AnswerData::AnswerData(const TrainConfig& config, const PromptKeys& keys, const DataFiles& files,
                       data::PreferenceContent content)
    : config_(config),
      num_files_(files.files.size()),
      num_without_input_(content.num_without_input),
      items_(std::move(content.items)),
      fingerprint_(preferences_fingerprint(items_)),
      encoder_(*files.encoder, keys.max_prompt_tokens),
      counts_(data::drop_unusable(items_, encoder_)) {}

std::string AnswerData::used_part(int64_t num_used, int64_t num_skipped,
                                  std::string_view why_skipped) const {
  return fmt::format("{}, {}: {} used, {} skipped{}",
                     counted(static_cast<int64_t>(num_files_), "file"),
                     counted(std::ssize(items_), "prompt"), num_used, num_skipped,
                     num_skipped > 0 ? fmt::format(" ({})", why_skipped) : "");
}

std::string AnswerData::without_input_part() const {
  return recipes::without_input_part(num_without_input_);
}

std::string AnswerData::lengths() const {
  const int64_t kept = counts_.answers - counts_.empty - counts_.equal;
  return lengths_line(
      {.texts = kept, .tokens = counts_.tokens, .longest = counts_.longest, .cut = counts_.cut},
      config_.data.max_tokens);
}

std::vector<std::string> AnswerData::warnings() const {
  return data::warning_lines(counts_, encoder_);
}

void AnswerData::visit_texts(const std::function<void(std::string_view)>& visit) const {
  for (const data::PreferenceItem& item : items_) {
    for (const std::string& text : item.chosen) visit(text);
    for (const std::string& text : item.rejected) visit(text);
  }
}

}  // namespace cpx::recipes
