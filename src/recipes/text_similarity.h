// SPDX-License-Identifier: Apache-2.0
// How similar rewritings are to their inputs, by a sentence encoder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cpx/evaluation/report_origin.h"
#include "cpx/nn/sentence_encoder.h"
#include "text_measure.h"

namespace cpx::recipes {

/// The cosine of the vectors of a text and of its input.
class TextSimilarity {
 public:
  /// Loads the encoder. Throws DataError for what cannot be read.
  TextSimilarity(std::filesystem::path folder, const std::string& device, int64_t batch_tokens);

  /// What a report says of it: `encoder` (the folder) and `encoder_fingerprint`.
  std::vector<evaluation::ReportSetting> head() const;
  /// "minilm_similarity", a part of a file's name.
  std::string file_name() const;

  /// The similarity under the key `similarity`, with the digits of float32. *this must outlive it.
  TextMeasure measure(const std::string& model_name) const;

 private:
  std::vector<TextNumbers> compute(std::span<const MeasuredText> texts) const;

  std::filesystem::path folder_;
  std::string fingerprint_;
  std::shared_ptr<nn::SentenceEncoder> encoder_;
  int64_t batch_tokens_;
};

}  // namespace cpx::recipes
