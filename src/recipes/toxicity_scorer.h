// SPDX-License-Identifier: Apache-2.0
// A classifier as the judge of an evaluation: the probability of one of its labels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/evaluation/report_origin.h"
#include "cpx/nn/text_scorer.h"
#include "text_measure.h"

namespace cpx::recipes {

/// One label of a classifier.
class ToxicityScorer {
 public:
  /// Loads the classifier. Without a `label`, it is the second of two labels or the only one.
  /// Throws ConfigError for a label that the classifier lacks, for none where it has several, and
  /// for a classifier of values; DataError for what cannot be read.
  ToxicityScorer(std::filesystem::path folder, const std::optional<std::string>& label,
                 const std::string& device, int64_t batch_tokens);

  const std::string& label() const;
  /// What a report says of it: `scorer` (the folder), `fingerprint` and `label`.
  std::vector<evaluation::ReportSetting> head() const;
  /// "minilm-a, label toxic".
  std::string title() const;
  /// "minilm-a_toxic", a part of a file's name.
  std::string file_name() const;

  /// Probabilities with the digits of float32. Throws DataError, with the place of the text, for
  /// one that is no finite number.
  std::vector<double> probabilities(std::span<const MeasuredText> texts) const;

  /// probabilities() under the key `score`. *this must outlive it.
  TextMeasure measure(const std::string& model_name) const;

 private:
  std::filesystem::path folder_;
  std::string fingerprint_;
  std::shared_ptr<nn::TextScorer> scorer_;
  int64_t label_ = 0;
  int64_t batch_tokens_;
};

/// One for each of `folders`; `labels` has none, one for all, or one for each. Throws ConfigError
/// for another number of labels and for two scorers of one name, and what ToxicityScorer throws.
std::vector<std::unique_ptr<ToxicityScorer>> load_scorers(
    const std::vector<std::filesystem::path>& folders, const std::vector<std::string>& labels,
    const std::string& device, int64_t batch_tokens);

}  // namespace cpx::recipes
