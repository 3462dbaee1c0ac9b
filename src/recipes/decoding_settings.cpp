// SPDX-License-Identifier: Apache-2.0
#include "decoding_settings.h"

#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/text_file.h"
#include "cpx/tensor/device.h"
#include "fingerprint.h"
#include "text_writer.h"

namespace cpx::recipes {

namespace {

constexpr const char* kTypeSetting = "dtype";

}  // namespace

std::vector<pipeline::Setting> decoding_settings(const Decoding& decoding) {
  const generation::SamplingOptions& sampling = decoding.sampling;
  std::vector<pipeline::Setting> settings = {
      {"model", model_fingerprint(decoding.model)},
      {"adapter", decoding.adapter ? model_fingerprint(*decoding.adapter) : std::string()},
      {"weights", decoding.weights},
      {kTypeSetting, decoding.dtype},
      {"prompt_form", decoding.prompt_form},
      {"system", decoding.system},
      {"seed", static_cast<int64_t>(decoding.seed)},
      {"samples", decoding.samples},
      {"temperature", sampling.temperature},
      {"top_k", sampling.top_k},
      {"top_p", sampling.top_p},
      {"min_p", sampling.min_p},
      {"repetition_penalty", sampling.repetition_penalty},
      {"no_repeat_ngram", sampling.no_repeat_ngram},
      {"penalty_alpha", sampling.penalty_alpha},
      {"min_new_tokens", sampling.min_new_tokens},
      {"max_new_tokens", sampling.max_new_tokens},
      {"stop", fmt::format("{}", fmt::join(decoding.stop_strings, " | "))}};
  if (decoding.chat_template) {
    settings.push_back({"chat_template", read_text(*decoding.chat_template)});
  }
  return settings;
}

Decoding with_settled_type(Decoding decoding, std::span<const std::filesystem::path> outputs) {
  if (decoding.dtype != "auto") return decoding;
  for (const auto& output : outputs) {
    if (const auto before = pipeline::recorded_setting(output, kTypeSetting)) {
      decoding.dtype = *before;
      return decoding;
    }
  }
  decoding.dtype = tensor::dtype_name(compute_dtype(decoding));
  return decoding;
}

}  // namespace cpx::recipes
