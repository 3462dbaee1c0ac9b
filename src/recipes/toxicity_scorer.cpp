// SPDX-License-Identifier: Apache-2.0
#include "toxicity_scorer.h"

#include <cmath>
#include <utility>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "compared_models.h"
#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/models/text_scorer.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/tensor/device.h"
#include "cpx/tokenizer/limited.h"
#include "fingerprint.h"
#include "shortest_number.h"

namespace cpx::recipes {

namespace {

// The label that needs no name: the second of two (not toxic, toxic), or the only one.
std::string usual_label(const nn::TextScorer& scorer, const std::filesystem::path& folder) {
  const std::vector<std::string>& labels = scorer.labels();
  if (labels.size() == 1) return "0";
  if (labels.size() == 2 && scorer.label_kind() == LabelKind::kOneOf) return "1";
  throw_<ConfigError>("[command line] --label: got none for {}, expected one of {}.",
                      folder.string(), fmt::join(labels, ", "));
}

}  // namespace

ToxicityScorer::ToxicityScorer(std::filesystem::path folder,
                               const std::optional<std::string>& label, const std::string& device,
                               int64_t batch_tokens)
    : folder_(std::move(folder)),
      fingerprint_(model_fingerprint(folder_)),
      scorer_(models::load_text_scorer(folder_, tensor::resolve_device(device), batch_tokens)),
      batch_tokens_(batch_tokens) {
  if (scorer_->label_kind() == LabelKind::kValues) {
    throw_<ConfigError>(
        "[command line] --scorer: {} gives values (config.json: problem_type regression), expected "
        "a classifier with probabilities.",
        folder_.string());
  }
  label_ = nn::label_index(*scorer_, label ? *label : usual_label(*scorer_, folder_));
}

const std::string& ToxicityScorer::label() const {
  return scorer_->labels()[static_cast<size_t>(label_)];
}

std::vector<evaluation::ReportSetting> ToxicityScorer::head() const {
  return {{"scorer", folder_.string()}, {"fingerprint", fingerprint_}, {"label", label()}};
}

std::string ToxicityScorer::title() const {
  return fmt::format("{}, label {}", folder_name(folder_), label());
}

std::string ToxicityScorer::file_name() const {
  return file_part(fmt::format("{}_{}", folder_name(folder_), label()));
}

std::vector<double> ToxicityScorer::probabilities(std::span<const MeasuredText> texts) const {
  std::vector<std::string> plain;
  for (const MeasuredText& text : texts) plain.push_back(text.text);
  const auto logits = tokenizer::at_place(texts.empty() ? "" : texts.front().where + " and behind",
                                          [&] { return scorer_->logits(plain); });
  const auto wide = nn::label_probabilities(*scorer_, logits).select(1, label_);
  std::vector<double> values = nn::to_doubles(wide);
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      throw_<DataError>(
          "[{}] got {} from the classifier, expected a number. Are the weights of {} sound?",
          texts[i].where, values[i], folder_.string());
    }
    values[i] = shortest(values[i]);
  }
  return values;
}

TextMeasure ToxicityScorer::measure(const std::string& model_name) const {
  return {
      .title = fmt::format("{} by {}", model_name, folder_name(folder_)),
      .keys = {"score"},
      .settings = {{"scorer", fingerprint_}, {"label", label()}, {"batch_tokens", batch_tokens_}},
      .compute = [this](std::span<const MeasuredText> texts) {
        std::vector<TextNumbers> numbers;
        for (const double value : probabilities(texts)) numbers.push_back({value});
        return numbers;
      }};
}

std::vector<std::unique_ptr<ToxicityScorer>> load_scorers(
    const std::vector<std::filesystem::path>& folders, const std::vector<std::string>& labels,
    const std::string& device, int64_t batch_tokens) {
  if (labels.size() > 1 && labels.size() != folders.size()) {
    throw_<ConfigError>(
        "[command line] --label: got {} for {}, expected one for each, or one for all.",
        counted(std::ssize(labels), "label"), counted(std::ssize(folders), "scorer"));
  }
  std::vector<std::unique_ptr<ToxicityScorer>> scorers;
  for (size_t i = 0; i < folders.size(); ++i) {
    const size_t number = labels.size() == 1 ? 0 : i;
    const auto label = labels.empty() ? std::nullopt : std::optional(labels[number]);
    scorers.push_back(std::make_unique<ToxicityScorer>(folders[i], label, device, batch_tokens));
    for (size_t other = 0; other < i; ++other) {
      if (scorers[other]->file_name() != scorers[i]->file_name()) continue;
      throw_<ConfigError>(
          "[command line] --scorer: got two called {}, expected different names or labels.",
          scorers[i]->title());
    }
  }
  return scorers;
}

}  // namespace cpx::recipes
