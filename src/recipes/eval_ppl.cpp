// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/eval_ppl.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <string_view>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/output_file.h"
#include "cpx/core/progress.h"
#include "cpx/data/globs.h"
#include "cpx/data/record.h"
#include "cpx/data/text_encoder.h"
#include "cpx/data/text_file.h"
#include "cpx/evaluation/report.h"
#include "cpx/evaluation/score_texts.h"
#include "cpx/formats/peft.h"
#include "cpx/models/load.h"
#include "cpx/tensor/device.h"
#include "cpx/tensor/matmul_peak.h"
#include "cpx/tokenizer/limited.h"
#include "exit_status.h"
#include "input_patterns.h"

namespace cpx::recipes {

namespace {

using evaluation::Report;
using objectives::ScoredText;
using objectives::Side;

constexpr int64_t kPublishedWindow = 4096;
constexpr int64_t kPublishedStride = 512;

struct SideText {
  Side side;
  std::string group;
  std::string text;
  std::string where;  // its place, for messages
};

std::vector<SideText> texts_of_shards(const std::vector<std::string>& patterns) {
  Faults faults;
  const auto files = data::expand_globs(patterns, faults);
  data::ShardContent content = data::read_shards(files, {.neutral = false, .toxic = false});
  faults.append(content.faults);
  faults.throw_first_if_any();
  std::vector<SideText> texts;
  for (data::Record& record : content.records) {
    const auto add = [&](Side side, std::string_view kind, std::vector<std::string>& own) {
      for (size_t i = 0; i < own.size(); ++i) {
        texts.push_back({side, record.group, std::move(own[i]),
                         fmt::format("{}: {} text {}", record.where, kind, i + 1)});
      }
    };
    add(Side::kNeutral, "neutral", record.neutral);
    add(Side::kToxic, "toxic", record.toxic);
  }
  return texts;
}

void append_file(std::vector<SideText>& texts, const std::optional<std::filesystem::path>& file,
                 Side side) {
  if (!file) return;
  data::TextFileContent content = data::read_texts(*file);
  content.faults.throw_first_if_any();
  for (size_t i = 0; i < content.texts.size(); ++i) {
    texts.push_back(
        {side, "", std::move(content.texts[i]), fmt::format("{}: text {}", file->string(), i + 1)});
  }
}

std::vector<SideText> read_texts(const EvalPplCommand& command) {
  std::vector<SideText> texts = texts_of_shards(command.shards);
  append_file(texts, command.toxic, Side::kToxic);
  append_file(texts, command.neutral, Side::kNeutral);
  if (texts.empty()) throw DataError("[texts] the files hold no text: got 0, expected at least 1.");
  return texts;
}

// How many texts of `side` differ from each other, none where each does.
std::optional<int64_t> num_distinct(const std::vector<SideText>& texts, Side side) {
  std::unordered_set<std::string_view> distinct;
  int64_t num_texts = 0;
  for (const SideText& text : texts) {
    if (text.side != side) continue;
    distinct.insert(text.text);
    ++num_texts;
  }
  return std::ssize(distinct) < num_texts ? std::optional(std::ssize(distinct)) : std::nullopt;
}

// Encodes all texts where one may have a token that the model lacks.
void check_tokens(const data::TextEncoder& encoder, const std::vector<SideText>& texts) {
  if (!encoder.tokenizer().exceeds_model()) return;
  for (const SideText& text : texts) {
    tokenizer::at_place(text.where, [&] { return encoder.encode(text.text); });
  }
}

// Scores all texts as cpx does it: each by itself. Empty when interrupted.
std::vector<ScoredText> score_each(nn::CausalLm& model, const data::TextEncoder& encoder,
                                   const std::vector<SideText>& texts,
                                   const EvalPplCommand& command, int64_t window,
                                   const std::string& title) {
  std::vector<data::EncodedText> encoded;
  std::vector<evaluation::TokenSpan> spans;
  int64_t total = 0;
  for (const SideText& text : texts) encoded.push_back(encoder.encode(text.text));
  for (const data::EncodedText& text : encoded) {
    spans.emplace_back(text.ids);
    total += static_cast<int64_t>(text.ids.size());
  }
  Progress progress(title, total);
  const auto scores = evaluation::score_texts(model, spans,
                                              {.batch_tokens = command.batch_tokens,
                                               .window = window,
                                               .stride = command.stride,
                                               .on_progress = [&](int64_t done) {
                                                 progress.update(std::min(done, total), "tokens");
                                                 return !interrupt_requested();
                                               }});
  std::vector<ScoredText> scored;
  for (size_t i = 0; i < scores.size(); ++i) {
    scored.push_back({.side = texts[i].side,
                      .group = texts[i].group,
                      .nll_sum = scores[i].nll_sum,
                      .tokens = scores[i].tokens});
  }
  return scored;
}

// As published: a side's texts are one text, joined by blank lines.
std::vector<ScoredText> score_joined(nn::CausalLm& model, const data::TextEncoder& encoder,
                                     const std::vector<SideText>& texts, const std::string& title) {
  std::vector<ScoredText> scored;
  for (const Side side : {Side::kToxic, Side::kNeutral}) {
    std::string joined;
    for (const SideText& text : texts) {
      if (text.side != side) continue;
      joined += (joined.empty() ? "" : "\n\n") + text.text;
    }
    if (joined.empty()) continue;
    const data::EncodedText encoded = encoder.encode(joined);
    Progress progress(title, static_cast<int64_t>(encoded.ids.size()));
    const evaluation::TextScore score = evaluation::score_published(
        model, encoded.ids, kPublishedWindow, kPublishedStride, [&](int64_t done) {
          progress.update(done, "tokens");
          return !interrupt_requested();
        });
    scored.push_back({.side = side, .group = "", .nll_sum = score.nll_sum, .tokens = score.tokens});
  }
  return scored;
}

// Joined texts are one text a side: what compares texts has no meaning.
void drop_text_figures(objectives::SideComparison& comparison) {
  comparison.toxic.mean_text_perplexity.reset();
  comparison.neutral.mean_text_perplexity.reset();
  comparison.separation.reset();
  comparison.p_value.reset();
}

void log_rate(const std::vector<ScoredText>& scored, double seconds) {
  int64_t tokens = 0;
  for (const ScoredText& text : scored) tokens += text.tokens;
  log_info("{} texts, {} predicted tokens in {:.1f} s, {:.0f} a second", scored.size(), tokens,
           seconds, static_cast<double>(tokens) / seconds);
}

class Evaluation {
 public:
  explicit Evaluation(const EvalPplCommand& command)
      : command_(command),
        device_(tensor::resolve_device(command.device)),
        texts_(read_texts(command)),
        encoder_(models::read_tokenizer(command.model),
                 {.append_eos = command.append_eos,
                  .max_tokens = command.mode == "published" ? 0 : command.max_tokens,
                  .chat_template = ""}) {
    check_tokens(encoder_, texts_);
    log_info("{}: {}", describe_model(command.model), encoder_.describe_ends());
    const auto wanted = tensor::parse_compute_dtype(command.dtype);
    dtype_ = wanted ? *wanted : tensor::choose_compute_dtype(device_);
  }

  // The report of the model with `adapter`, or nothing when interrupted.
  std::optional<Report> report(const std::optional<std::filesystem::path>& adapter) {
    const auto model = model_with(adapter);
    const std::string title = adapter ? adapter->string() : command_.model.string();
    const int64_t window = command_.window > 0 ? command_.window : model->shape().max_position;
    const auto start = std::chrono::steady_clock::now();
    const std::vector<ScoredText> scored =
        command_.mode == "published"
            ? score_joined(*model, encoder_, texts_, title)
            : score_each(*model, encoder_, texts_, command_, window, title);
    if (interrupt_requested()) return std::nullopt;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    log_rate(scored, elapsed.count());
    Report report{.model = command_.model.string(),
                  .adapter = adapter ? std::optional(adapter->string()) : std::nullopt,
                  .summary = objectives::summarize_perplexity(scored),
                  .seconds = elapsed.count(),
                  .distinct_texts = {.toxic = num_distinct(texts_, Side::kToxic),
                                     .neutral = num_distinct(texts_, Side::kNeutral)}};
    if (command_.mode == "published") drop_text_figures(report.summary.all);
    return report;
  }

 private:
  // A model takes one adapter: it is loaded again only where it has another one.
  std::shared_ptr<models::Llama> model_with(const std::optional<std::filesystem::path>& adapter) {
    if (model_ == nullptr || !model_->trainable().empty()) {
      model_ = nullptr;  // frees the old one first
      model_ = models::load_model(command_.model, dtype_, device_);
    }
    if (adapter) models::attach_adapter(*model_, formats::read_peft(*adapter));
    return model_;
  }

  const EvalPplCommand& command_;
  torch::Device device_;
  torch::Dtype dtype_ = torch::kFloat32;
  std::vector<SideText> texts_;
  data::TextEncoder encoder_;
  std::shared_ptr<models::Llama> model_;
};

void check_outputs(const EvalPplCommand& command) {
  if (!command.report) return;
  OutputCheck outputs;
  outputs.reads("--model", command.model);
  if (command.adapter) outputs.reads("--adapter", *command.adapter);
  if (command.compare) outputs.reads("--compare", *command.compare);
  if (command.toxic) outputs.reads("--toxic", *command.toxic);
  if (command.neutral) outputs.reads("--neutral", *command.neutral);
  add_inputs(outputs, "--shards", command.shards);
  outputs.writes("--report", *command.report);
  outputs.check();
}

}  // namespace

int run_eval_ppl(const EvalPplCommand& command) {
  check_outputs(command);
  Evaluation evaluation(command);
  std::vector<std::optional<std::filesystem::path>> adapters = {command.adapter};
  if (command.compare) adapters.emplace_back(command.compare);
  std::vector<Report> reports;
  for (const auto& adapter : adapters) {
    std::optional<Report> report = evaluation.report(adapter);
    if (!report) {
      log_warning("interrupted: no report was written");
      return kInterrupted;
    }
    reports.push_back(std::move(*report));
  }
  if (command.report && is_standard_output(*command.report)) {
    std::cout << evaluation::report_json(reports);
    return kDone;
  }
  if (command.report) write_file_atomically(*command.report, evaluation::report_json(reports));
  std::cout << evaluation::report_table(reports);
  return kDone;
}

}  // namespace cpx::recipes
