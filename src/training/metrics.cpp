// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/metrics.h"

#include <cmath>
#include <system_error>

#include <nlohmann/json.hpp>

#include "cpx/core/error.h"

namespace cpx::training {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::ordered_json;

// A number, or null where it is not finite.
Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

void add_perplexity(Json& json, const std::string& key, const objectives::TextSums& sums) {
  if (sums.tokens == 0) return;
  json[key] = finite(std::exp(sums.nll_sum / static_cast<double>(sums.tokens)));
}

void add_optional(Json& json, const std::string& key, const std::optional<double>& value) {
  if (value) json[key] = finite(*value);
}

void add_preferences(Json& json, const objectives::PreferenceSums& sums) {
  if (sums.pairs == 0) return;
  const auto pairs = static_cast<double>(sums.pairs);
  json["reward_accuracy"] = static_cast<double>(sums.num_correct) / pairs;
  json["reward_chosen"] = finite(sums.chosen_reward_sum / pairs);
  json["reward_rejected"] = finite(sums.rejected_reward_sum / pairs);
  json["reward_margin"] = finite((sums.chosen_reward_sum - sums.rejected_reward_sum) / pairs);
}

// Step of a line of metrics.jsonl, none where it is no such line.
std::optional<int64_t> step_of_line(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) {
    return std::nullopt;
  }
  return json["step"].get<int64_t>();
}

}  // namespace

std::string metrics_line(const StepMetrics& metrics) {
  Json json = {{"step", metrics.step},
               {"epoch", metrics.epoch},
               {"loss", finite(metrics.objective.loss)},
               {"learning_rate", metrics.learning_rate},
               {"grad_norm", finite(metrics.grad_norm)},
               {"tokens", metrics.tokens},
               {"padded_tokens", metrics.padded_tokens},
               {"tokens_per_second", finite(metrics.tokens_per_second)},
               {"cpu_seconds", metrics.cpu_seconds}};
  add_optional(json, "mfu", metrics.mfu);
  json["peak_memory_mib"] = metrics.peak_memory_mib;
  add_perplexity(json, "positive_perplexity", metrics.objective.positives);
  add_perplexity(json, "hard_negative_perplexity", metrics.objective.hard_negatives);
  add_perplexity(json, "random_negative_perplexity", metrics.objective.random_negatives);
  add_optional(json, "contrast", metrics.objective.contrast);
  add_preferences(json, metrics.objective.preferences);
  for (const Figure& figure : metrics.figures) json[figure.name] = finite(figure.value);
  json["skipped_steps"] = metrics.skipped_steps;
  return json.dump();
}

std::string metrics_line(const EvaluationMetrics& metrics) {
  const EvaluationResult& result = metrics.result;
  Json json = {
      {"step", metrics.step}, {"epoch", metrics.epoch}, {"eval_loss", finite(result.loss)}};
  add_optional(json, "eval_contrast", result.contrast);
  add_optional(json, "eval_toxic_perplexity", result.sides.toxic.perplexity);
  add_optional(json, "eval_neutral_perplexity", result.sides.neutral.perplexity);
  add_optional(json, "eval_ratio", result.sides.ratio);
  add_optional(json, "eval_separation", result.sides.separation);
  add_optional(json, "eval_score", result.score);
  for (const Figure& figure : result.figures) json["eval_" + figure.name] = finite(figure.value);
  json["eval_seconds"] = metrics.seconds;
  return json.dump();
}

void cut_metrics(const fs::path& file, int64_t step) {
  std::error_code error;
  if (!fs::exists(file, error)) return;
  const std::string content = read_text_file(file);
  std::string kept;
  int64_t number = 0;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = content.find('\n', begin);
    if (end == std::string::npos) break;  // torn: the process died while it wrote
    const auto line = std::string_view(content).substr(begin, end - begin);
    const auto line_step = step_of_line(line);
    ++number;
    if (!line_step) {
      throw_<DataError>(
          "[{}: line {}] is no metrics line, expected a JSON object with an integer 'step'. Mend "
          "or remove the file.",
          file.string(), number);
    }
    if (*line_step <= step) kept.append(line).append("\n");
    begin = end + 1;
  }
  if (kept != content) write_file_atomically(file, kept);
}

MetricsLog::MetricsLog(const fs::path& run_folder, int64_t step, bool with_tensorboard) {
  const fs::path file = run_folder / "metrics.jsonl";
  cut_metrics(file, step > 0 ? step : -1);
  file_ = std::make_unique<OutputFile>(file, OutputFile::Mode::kAppend);
  if (with_tensorboard) {
    tensorboard_ = std::make_unique<formats::TensorBoardWriter>(run_folder / "tensorboard",
                                                                step > 0 ? step + 1 : 0);
  }
}

void MetricsLog::add(const StepMetrics& metrics) { write(metrics_line(metrics), metrics.step); }

void MetricsLog::add(const EvaluationMetrics& metrics) {
  write(metrics_line(metrics), metrics.step);
}

void MetricsLog::write(const std::string& line, int64_t step) {
  file_->write(line + "\n");
  file_->flush();
  if (!tensorboard_) return;
  constexpr std::string_view kEvaluation = "eval_";
  const Json json = Json::parse(line);
  for (const auto& [key, value] : json.items()) {
    if (key == "step" || !value.is_number()) continue;
    if (key == "epoch" && json.contains("eval_loss")) continue;
    const std::string tag =
        key.starts_with(kEvaluation) ? "eval/" + key.substr(kEvaluation.size()) : "train/" + key;
    tensorboard_->add_scalar(tag, value.get<double>(), step);
  }
  tensorboard_->flush();
}

std::optional<double> model_flops_utilisation(int64_t num_matmul_weights, int64_t tokens,
                                              double seconds, double peak_flops) {
  if (peak_flops <= 0.0 || seconds <= 0.0) return std::nullopt;
  const double flops = 4.0 * static_cast<double>(num_matmul_weights) * static_cast<double>(tokens);
  return flops / (seconds * peak_flops);
}

std::string progress_detail(const StepMetrics& metrics) {
  std::string detail = fmt::format("loss {:.4f}", metrics.objective.loss);
  if (metrics.objective.contrast) {
    detail += fmt::format("  contrast {:.4f}", *metrics.objective.contrast);
  }
  for (const Figure& figure : metrics.figures) {
    if (figure.in_progress) detail += fmt::format("  {} {:.4g}", figure.name, figure.value);
  }
  detail += fmt::format("  {:.0f} tok/s", metrics.tokens_per_second);
  if (metrics.mfu) detail += fmt::format("  MFU {:.0f} %", 100.0 * *metrics.mfu);
  detail += fmt::format("  {:.0f} MiB", metrics.peak_memory_mib);
  if (metrics.skipped_steps > 0) detail += fmt::format("  {} skipped", metrics.skipped_steps);
  return detail;
}

}  // namespace cpx::training
