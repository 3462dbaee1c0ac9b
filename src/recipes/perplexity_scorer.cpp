// SPDX-License-Identifier: Apache-2.0
#include "perplexity_scorer.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/hub.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/output_target.h"
#include "cpx/core/progress.h"
#include "cpx/formats/peft.h"
#include "cpx/models/load.h"
#include "cpx/nn/frozen_module.h"
#include "cpx/tensor/device.h"
#include "cpx/tokenizer/limited.h"
#include "fingerprint.h"

namespace cpx::recipes {

namespace fs = std::filesystem;

namespace {

constexpr const char* kScoringType = "dtype";

MeasuredModelPlace measured_place(const TextScoring& scoring) {
  return {.model = scoring.model,
          .weights = scoring.weights,
          .device = tensor::resolve_device(scoring.device)};
}

fs::path journal_of(const fs::path& output) { return output.string() + ".journal"; }

}  // namespace

MeasuredAdapters measured_adapters(const TextScoring& scoring) {
  MeasuredAdapters adapters = {scoring.adapter};
  adapters.insert(adapters.end(), scoring.compare.begin(), scoring.compare.end());
  return adapters;
}

void add_scoring_inputs(OutputCheck& outputs, const TextScoring& scoring) {
  if (!scoring.model.empty()) outputs.reads("--model", scoring.model);
  if (scoring.adapter) outputs.reads("--adapter", *scoring.adapter);
  for (const fs::path& adapter : scoring.compare) outputs.reads("--compare", adapter);
}

std::vector<evaluation::ReportSetting> scoring_settings(const TextScoring& scoring,
                                                        const std::string& dtype) {
  return {{"append_eos", scoring.append_eos},
          {"max_tokens", scoring.max_tokens},
          {"window", scoring.window},
          {"stride", scoring.stride},
          {"batch_tokens", scoring.batch_tokens},
          {"weights", scoring.weights},
          {kScoringType, dtype},
          {"device", scoring.device}};
}

std::vector<pipeline::Setting> journal_settings(const TextScoring& scoring,
                                                const std::string& dtype) {
  std::vector<std::string> adapters;
  for (const auto& adapter : measured_adapters(scoring)) {
    adapters.push_back(adapter ? model_fingerprint(*adapter) : std::string("none"));
  }
  return {{"model", model_fingerprint(scoring.model)},
          {"adapters", fmt::format("{}", fmt::join(adapters, " | "))},
          {"append_eos", scoring.append_eos},
          {"max_tokens", scoring.max_tokens},
          {"window", scoring.window},
          {"stride", scoring.stride},
          {"batch_tokens", scoring.batch_tokens},
          {"weights", scoring.weights},
          {kScoringType, dtype}};
}

evaluation::ReportOrigin origin_of(const TextScoring& scoring,
                                   const std::optional<fs::path>& adapter,
                                   std::vector<evaluation::ReportSetting> settings) {
  return {.model_fingerprint = model_fingerprint(scoring.model),
          .adapter_fingerprint = adapter ? model_fingerprint(*adapter) : std::string(),
          .settings = std::move(settings)};
}

PerplexityScorer::PerplexityScorer(const TextScoring& scoring, std::vector<PlacedText> texts,
                                   const std::string& recorded_dtype)
    : scoring_(scoring),
      place_(measured_place(scoring)),
      texts_(std::move(texts)),
      encoder_(models::read_tokenizer(scoring.model), {.append_eos = scoring.append_eos,
                                                       .max_tokens = scoring.max_tokens,
                                                       .chat_template = ""}) {
  check_tokens();
  log_info("{}: {}", describe_model(scoring.model), encoder_.describe_ends());
  // A folder that is no adapter is told now, and not when others have been measured.
  for (const auto& one : measured_adapters(scoring)) {
    if (one) formats::read_peft(*one);
  }
  const bool is_settled = scoring.dtype == "auto" && !recorded_dtype.empty();
  dtype_ = measured_dtype(place_, is_settled ? recorded_dtype : scoring.dtype);
  model_.emplace(place_, dtype_);
}

// Encodes all texts where one may have a token that the model lacks.
void PerplexityScorer::check_tokens() const {
  if (!encoder_.tokenizer().exceeds_model()) return;
  for (const PlacedText& text : texts_) {
    tokenizer::at_place(text.where, [&] { return encoder_.encode(text.text); });
  }
}

std::string PerplexityScorer::dtype() const { return tensor::dtype_name(dtype_); }

std::shared_ptr<models::Llama> PerplexityScorer::model_with(
    const std::optional<fs::path>& adapter) {
  if (!model_->is_loaded() && scoring_.weights != kDenseWeights) {
    const auto base = model_->with(std::nullopt);
    if (base->device().is_cpu()) nn::hold_in_memory(*base);
    log_info("{}: weights in {}", describe_model(scoring_.model), models::weight_types(*base));
  }
  return model_->with(adapter);
}

std::optional<std::vector<evaluation::TextScore>> PerplexityScorer::score(
    const std::optional<fs::path>& adapter, Progressing progressing) {
  const auto model = model_with(adapter);
  std::vector<data::EncodedText> encoded;
  std::vector<evaluation::TokenSpan> spans;
  int64_t total = 0;
  for (const PlacedText& text : texts_) encoded.push_back(encoder_.encode(text.text));
  for (const data::EncodedText& text : encoded) {
    spans.emplace_back(text.ids);
    total += static_cast<int64_t>(text.ids.size());
  }
  Progress progress(adapter ? adapter->string() : scoring_.model.string(), total);
  auto scores = evaluation::score_texts(
      *model, spans,
      {.batch_tokens = scoring_.batch_tokens,
       .window = scoring_.window > 0 ? scoring_.window : model->shape().max_position,
       .stride = scoring_.stride,
       .is_decoded = model->is_quantized(),
       .known_sums = std::move(progressing.known_sums),
       .on_batch = std::move(progressing.on_batch),
       .on_progress = [&](int64_t done) {
         progress.update(std::min(done, total), "tokens");
         return !interrupt_requested();
       }});
  if (interrupt_requested()) return std::nullopt;
  return scores;
}

ScoringJournal::ScoringJournal(const std::optional<fs::path>& output, const std::string& flag,
                               std::span<const pipeline::Setting> settings, bool overwrite) {
  if (!output || find_output(*output).is_stream()) return;
  journal_ = std::make_unique<pipeline::BatchJournal>(
      pipeline::BatchJournal::Place{.journal = journal_of(*output),
                                    .lock = output->string() + ".lock",
                                    .output = *output,
                                    .flag = flag},
      settings, overwrite);
  // A line: the model's number and the NLL sum of its next piece.
  journal_->read([&](std::string_view line) {
    const std::string text(line);
    char* rest = nullptr;
    const auto model = std::strtoul(text.c_str(), &rest, 10);
    if (known_sums_.size() <= model) known_sums_.resize(model + 1);
    known_sums_[model].push_back(std::strtod(rest, nullptr));
  });
  if (journal_->num_lines() > 0) {
    log_info("going on: {} pieces of texts are done", journal_->num_lines());
  }
}

PerplexityScorer::Progressing ScoringJournal::progressing(size_t model) {
  if (journal_ == nullptr) return {};
  return {.known_sums =
              model < known_sums_.size() ? std::move(known_sums_[model]) : std::vector<double>(),
          .on_batch = [this, model](std::span<const double> sums) {
            std::vector<std::string> lines;
            for (const double sum : sums) lines.push_back(fmt::format("{} {}", model, sum));
            journal_->add(lines);
          }};
}

void ScoringJournal::remove() {
  if (journal_ != nullptr) journal_->remove();
}

std::string recorded_dtype(const std::optional<fs::path>& output) {
  if (!output || find_output(*output).is_stream()) return "";
  return pipeline::recorded_setting(*output, kScoringType).value_or("");
}

void log_interrupted(bool goes_on) {
  log_warning("interrupted: no report was written{}",
              goes_on ? "; the same command goes on from there" : "");
}

}  // namespace cpx::recipes
