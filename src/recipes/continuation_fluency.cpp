// SPDX-License-Identifier: Apache-2.0
#include "continuation_fluency.h"

#include <cmath>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/evaluation/score_texts.h"
#include "cpx/models/load.h"
#include "cpx/tensor/device.h"
#include "cpx/tokenizer/limited.h"
#include "fingerprint.h"

namespace cpx::recipes {

namespace {

// Texts that are encoded once each, in the order in which they came.
class EncodedTexts {
 public:
  explicit EncodedTexts(const data::TextEncoder& encoder) : encoder_(encoder) {}

  // The number of the text.
  size_t add(const std::string& text, std::string_view where) {
    const auto [found, is_new] = numbers_.try_emplace(text, encoded_.size());
    if (is_new) {
      encoded_.push_back(tokenizer::at_place(where, [&] { return encoder_.encode(text).ids; }));
    }
    return found->second;
  }

  std::vector<evaluation::TokenSpan> spans() const { return {encoded_.begin(), encoded_.end()}; }
  double size(size_t number) const { return static_cast<double>(encoded_[number].size()); }

 private:
  const data::TextEncoder& encoder_;
  std::map<std::string, size_t> numbers_;
  std::vector<std::vector<tokenizer::TokenId>> encoded_;
};

}  // namespace

ContinuationFluency::ContinuationFluency(std::filesystem::path model, const std::string& dtype,
                                         const std::string& device, int64_t batch_tokens)
    : model_path_(std::move(model)),
      fingerprint_(model_fingerprint(model_path_)),
      device_(tensor::resolve_device(device)),
      dtype_(tensor::parse_compute_dtype(dtype).value_or(torch::kFloat32)),
      batch_tokens_(batch_tokens) {}

std::string ContinuationFluency::dtype() const { return tensor::dtype_name(dtype_); }

TextMeasure ContinuationFluency::measure(const std::string& model_name) {
  return {
      .title = fmt::format("{} perplexity", model_name),
      .keys = {"nll", "nll_tokens"},
      .settings = {{"model", fingerprint_}, {"dtype", dtype()}, {"batch_tokens", batch_tokens_}},
      .compute = [this](std::span<const MeasuredText> texts) { return compute(texts); }};
}

std::vector<TextNumbers> ContinuationFluency::compute(std::span<const MeasuredText> texts) {
  if (!encoder_) {
    encoder_.emplace(models::read_tokenizer(model_path_),
                     data::EncodeOptions{.append_eos = false, .max_tokens = 0});
    model_ = models::load_model(model_path_, dtype_, device_);
  }
  EncodedTexts encoded(*encoder_);
  std::vector<std::pair<size_t, size_t>> numbers;  // of the prompt, of the whole
  for (const MeasuredText& text : texts) {
    const size_t prompt = encoded.add(text.prompt, text.where);
    numbers.emplace_back(prompt, encoded.add(text.prompt + text.text, text.where));
  }
  const auto scores = evaluation::score_texts(
      *model_, encoded.spans(),
      {.batch_tokens = batch_tokens_, .window = model_->shape().max_position});
  std::vector<TextNumbers> result;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto [prompt, whole] = numbers[i];
    const double nll = scores[whole].nll_sum - scores[prompt].nll_sum;
    if (!std::isfinite(nll)) {
      throw_<DataError>("[{}] got {} for the log-likelihood under {}, expected a number.",
                        texts[i].where, nll, model_path_.string());
    }
    result.push_back({nll, encoded.size(whole) - encoded.size(prompt)});
  }
  return result;
}

}  // namespace cpx::recipes
