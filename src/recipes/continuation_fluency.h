// SPDX-License-Identifier: Apache-2.0
// How likely a model finds continuations, given their prompts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <torch/types.h>

#include "cpx/data/text_encoder.h"
#include "cpx/models/llama.h"
#include "text_measure.h"

namespace cpx::recipes {

/// The NLL of continuations under a model without an adapter: that of the prompt with its
/// continuation as one text, less that of the prompt. The model is loaded when it is first needed.
class ContinuationFluency {
 public:
  /// `dtype` "auto" is float32, so that figures of different machines agree. Throws DataError for
  /// what cannot be read, ConfigError for an unknown type.
  ContinuationFluency(std::filesystem::path model, const std::string& dtype,
                      const std::string& device, int64_t batch_tokens);

  const std::filesystem::path& model() const { return model_path_; }
  const std::string& fingerprint() const { return fingerprint_; }
  std::string dtype() const;

  /// Under the keys `nll` and `nll_tokens` (the tokens that the continuation adds, at times none).
  /// *this must outlive it.
  TextMeasure measure(const std::string& model_name);

 private:
  std::vector<TextNumbers> compute(std::span<const MeasuredText> texts);

  std::filesystem::path model_path_;
  std::string fingerprint_;
  torch::Device device_;
  torch::Dtype dtype_;
  int64_t batch_tokens_;
  std::optional<data::TextEncoder> encoder_;
  std::shared_ptr<models::Llama> model_;
};

}  // namespace cpx::recipes
