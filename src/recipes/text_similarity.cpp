// SPDX-License-Identifier: Apache-2.0
#include "text_similarity.h"

#include <cmath>
#include <utility>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "compared_models.h"
#include "cpx/core/error.h"
#include "cpx/models/text_scorer.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/tensor/device.h"
#include "cpx/tokenizer/limited.h"
#include "fingerprint.h"
#include "shortest_number.h"

namespace cpx::recipes {

TextSimilarity::TextSimilarity(std::filesystem::path folder, const std::string& device,
                               int64_t batch_tokens)
    : folder_(std::move(folder)),
      fingerprint_(model_fingerprint(folder_)),
      encoder_(
          models::load_sentence_encoder(folder_, tensor::resolve_device(device), batch_tokens)),
      batch_tokens_(batch_tokens) {}

std::vector<evaluation::ReportSetting> TextSimilarity::head() const {
  return {{"encoder", folder_.string()}, {"encoder_fingerprint", fingerprint_}};
}

std::string TextSimilarity::file_name() const {
  return file_part(folder_name(folder_) + "_similarity");
}

TextMeasure TextSimilarity::measure(const std::string& model_name) const {
  return {.title = fmt::format("{} by {}", model_name, folder_name(folder_)),
          .keys = {"similarity"},
          .settings = {{"encoder", fingerprint_}, {"batch_tokens", batch_tokens_}},
          .compute = [this](std::span<const MeasuredText> texts) { return compute(texts); }};
}

std::vector<TextNumbers> TextSimilarity::compute(std::span<const MeasuredText> texts) const {
  std::vector<std::string> inputs, outputs;
  for (const MeasuredText& text : texts) {
    inputs.push_back(text.input);
    outputs.push_back(text.text);
  }
  const std::string where = texts.empty() ? "" : texts.front().where + " and behind";
  const auto [first, second] = tokenizer::at_place(where, [&] {
    return std::pair(encoder_->embed(inputs), encoder_->embed(outputs));  // [N, D] each
  });
  const std::vector<double> cosines = nn::to_doubles((first * second).sum(1));
  std::vector<TextNumbers> numbers;
  for (size_t i = 0; i < cosines.size(); ++i) {
    if (!std::isfinite(cosines[i])) {
      throw_<DataError>(
          "[{}] got {} from the encoder, expected a number. Are the weights of {} sound?",
          texts[i].where, cosines[i], folder_.string());
    }
    numbers.push_back({shortest(cosines[i])});
  }
  return numbers;
}

}  // namespace cpx::recipes
