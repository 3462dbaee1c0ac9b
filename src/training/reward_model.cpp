// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/reward_model.h"

#include <limits>
#include <utility>

#include <ATen/ATen.h>

#include "cpx/core/error.h"

namespace cpx::training {

namespace {

using Output = RewardOptions::Output;

bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         static_cast<unsigned char>(c) >= 0x80;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  bool is_inside = false;
  for (const char c : text) {
    if (is_word_byte(c)) {
      if (!is_inside) words.emplace_back();
      words.back() += lower(c);
    }
    is_inside = is_word_byte(c);
  }
  return words;
}

}  // namespace

RewardModel::RewardModel(std::shared_ptr<nn::TextScorer> scorer, const RewardOptions& options)
    : scorer_(std::move(scorer)),
      options_(options),
      label_(nn::label_index(*scorer_, options.label)) {
  if (options.output == Output::kProbability && scorer_->label_kind() == LabelKind::kValues) {
    throw ConfigError(
        "[reward] the classifier gives values, not probabilities: ask for the logit.");
  }
}

std::vector<double> RewardModel::scores(std::span<const std::string> texts) const {
  if (texts.empty()) return {};
  const auto logits = scorer_->logits(texts);
  const auto figures = options_.output == Output::kLogit
                           ? logits.to(at::kDouble)
                           : nn::label_probabilities(*scorer_, logits);
  const auto column = (figures.select(1, label_) * options_.scale).contiguous();
  const double* const first = column.const_data_ptr<double>();
  return {first, first + column.numel()};
}

WordListScorer::WordListScorer(std::span<const std::string> words) {
  for (const std::string& word : words) {
    const auto parts = words_of(word);
    if (parts.size() != 1 || parts.front().size() != word.size()) {
      throw_<ConfigError>("[word list] got '{}', expected one word of letters and digits.", word);
    }
    words_.insert(parts.front());
  }
  if (words_.empty()) throw ConfigError("[word list] got no word, expected 1 or more.");
}

torch::Tensor WordListScorer::logits(std::span<const std::string> texts) {
  auto counts = at::zeros({std::ssize(texts), 2}, at::kFloat);
  float* row = counts.mutable_data_ptr<float>();
  for (const std::string& text : texts) {
    for (const std::string& word : words_of(text)) row[words_.contains(word) ? 0 : 1] += 1.0F;
    row += 2;
  }
  return counts;
}

int64_t WordListScorer::max_tokens() const { return std::numeric_limits<int64_t>::max(); }

}  // namespace cpx::training
