// SPDX-License-Identifier: Apache-2.0
// The figures of a run: metrics.jsonl, one JSON object an optimizer step and one an evaluation, and
// the same as TensorBoard scalars. A figure that is not finite is null.
//
// Step:       step, epoch, loss, learning_rate, grad_norm (before clipping), tokens, padded_tokens,
//             tokens_per_second, cpu_seconds (of all threads, user and system), mfu,
//             peak_memory_mib, positive_perplexity, hard_negative_perplexity,
//             random_negative_perplexity, contrast, reward_accuracy, reward_chosen,
//             reward_rejected, reward_margin (of preferences), the objective's own figures,
//             skipped_steps
// Evaluation: step, epoch, eval_loss, eval_contrast, eval_toxic_perplexity,
//             eval_neutral_perplexity, eval_ratio, eval_separation, eval_score, the objective's own
//             figures (eval_...), eval_seconds
// Keys without a meaning in the run (no random negatives, no peak for mfu) are left out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpx/core/output_file.h"
#include "cpx/formats/tensorboard.h"
#include "cpx/objectives/objective_result.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

/// One optimizer step.
struct StepMetrics {
  int64_t step = 0;    // 1 after the first optimizer step
  double epoch = 0.0;  // epochs done
  /// Loss, contrast and sums of all micro batches together; its gradient is empty.
  objectives::ObjectiveResult objective = {};
  std::vector<Figure> figures = {};  // the objective's own
  double learning_rate = 0.0;
  double grad_norm = 0.0;
  int64_t tokens = 0;         // through the model in this step
  int64_t padded_tokens = 0;  // that padding would have added
  double tokens_per_second = 0.0;
  double cpu_seconds = 0.0;  // of all threads, user and system
  std::optional<double> mfu = std::nullopt;
  double peak_memory_mib = 0.0;
  int64_t skipped_steps = 0;  // in the run so far
};

struct EvaluationMetrics {
  int64_t step = 0;
  double epoch = 0.0;
  EvaluationResult result = {};
  double seconds = 0.0;
};

/// The line of metrics.jsonl, without the end of line.
std::string metrics_line(const StepMetrics& metrics);
std::string metrics_line(const EvaluationMetrics& metrics);

/// Cuts metrics.jsonl (or another file of lines with a "step") back to the lines of steps up to
/// `step`, atomically; a torn last line goes too. No file: nothing to do. Throws DataError for a
/// line in the middle that is no metrics line.
void cut_metrics(const std::filesystem::path& file, int64_t step);

/// Appends to `run_folder`/metrics.jsonl and to event files in `run_folder`/tensorboard. Every line
/// is handed to the system at once.
class MetricsLog {
 public:
  /// Goes on after `step` (0: a new run); what was written past it is cut off.
  MetricsLog(const std::filesystem::path& run_folder, int64_t step, bool with_tensorboard);

  void add(const StepMetrics& metrics);
  void add(const EvaluationMetrics& metrics);

 private:
  void write(const std::string& line, int64_t step);

  std::unique_ptr<OutputFile> file_;
  std::unique_ptr<formats::TensorBoardWriter> tensorboard_;
};

/// Share of the peak that was used: 4 N FLOPs a token (2 N forward, 2 N for the gradient of the
/// activations; frozen weights have none). None where the peak is not known (0).
std::optional<double> model_flops_utilisation(int64_t num_matmul_weights, int64_t tokens,
                                              double seconds, double peak_flops);

/// "loss 75.77  contrast 0.772  1234 tok/s  MFU 41 %  812 MiB" for the progress line.
std::string progress_detail(const StepMetrics& metrics);

}  // namespace cpx::training
