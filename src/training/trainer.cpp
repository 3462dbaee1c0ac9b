// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

#include <ATen/record_function.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/faults.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/progress.h"
#include "cpx/core/random.h"
#include "cpx/tensor/memory.h"
#include "cpx/tensor/profile.h"
#include "cpx/training/metrics.h"
#include "group_batch.h"
#include "stopwatch.h"

namespace cpx::training {

namespace fs = std::filesystem;

namespace {

using MicroBatches = std::vector<std::unique_ptr<MicroBatch>>;

constexpr double kMib = 1024.0 * 1024.0;
constexpr double kNotComputed = std::numeric_limits<double>::quiet_NaN();

bool is_due(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

std::string number_text(const std::optional<double>& value) {
  return value ? fmt::format("{:.4g}", *value) : "none";
}

bool has_sides(const EvaluationResult& result) {
  return result.sides.toxic.perplexity || result.sides.neutral.perplexity;
}

std::string evaluation_text(const EvaluationResult& result) {
  std::string text = fmt::format("loss {:.4f}", result.loss);
  if (result.contrast) text += fmt::format(", contrast {:.4f}", *result.contrast);
  if (has_sides(result)) {
    text += fmt::format(", toxic perplexity {}, neutral {}, ratio {}, separation {}",
                        number_text(result.sides.toxic.perplexity),
                        number_text(result.sides.neutral.perplexity),
                        number_text(result.sides.ratio), number_text(result.sides.separation));
  }
  if (result.score) text += fmt::format(", score {:.4g}", *result.score);
  for (const Figure& figure : result.figures) {
    text += fmt::format(", {} {:.4g}", figure.name, figure.value);
  }
  return text;
}

// The task's tensors follow the adapter's.
std::vector<nn::NamedParameter> all_trainable(std::vector<nn::NamedParameter> adapter,
                                              const StepTask& task) {
  const auto own = task.trainable();
  adapter.insert(adapter.end(), own.begin(), own.end());
  return adapter;
}

void make_run_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw_<DataError>("[training.output] {}: the folder cannot be made: {}. Choose another one.",
                      folder.string(), error.message());
  }
}

}  // namespace

int64_t steps_per_epoch(int64_t num_micro_batches, int64_t accumulate) {
  CPX_CHECK(num_micro_batches > 0 && accumulate > 0,
            "[trainer] got {} micro batches an epoch and {} in a step, expected 1 or more.",
            num_micro_batches, accumulate);
  return (num_micro_batches + accumulate - 1) / accumulate;
}

int64_t total_steps(int64_t num_micro_batches, const TrainerOptions& options) {
  CPX_CHECK(options.epochs > 0 || options.max_steps > 0,
            "[trainer] got epochs {} and max_steps {}, expected one to be more than 0.",
            options.epochs, options.max_steps);
  const int64_t an_epoch = steps_per_epoch(num_micro_batches, options.accumulate);
  constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
  const int64_t by_epochs = options.epochs > 0 && options.epochs < kNoLimit / an_epoch
                                ? options.epochs * an_epoch
                                : kNoLimit;
  return options.max_steps > 0 ? std::min(options.max_steps, by_epochs) : by_epochs;
}

std::string adapter_fault(const TrainerState& state, std::span<const nn::NamedParameter> adapter,
                          const std::optional<double>& evaluation_loss) {
  if (2 * state.skipped_steps > state.step) {
    return fmt::format("{} of {} optimizer steps were skipped, expected at most half",
                       state.skipped_steps, state.step);
  }
  for (const nn::NamedParameter& parameter : adapter) {
    if (parameter.value.isfinite().all().item<bool>()) continue;
    return fmt::format("'{}' holds numbers that are not finite", parameter.name);
  }
  if (evaluation_loss && !std::isfinite(*evaluation_loss)) {
    return fmt::format("the last evaluation's loss is {}, expected a finite number",
                       *evaluation_loss);
  }
  return {};
}

// One run() from its first to its last step: the files, the clock, and the stages of a step.
class Trainer::Session {
 public:
  explicit Session(Trainer& trainer)
      : trainer_(trainer),
        model_(trainer.model_),
        task_(trainer.task_),
        info_(trainer.info_),
        options_(trainer.options_),
        generations_(trainer.options_.generate_every > 0 ? trainer.generations_ : nullptr),
        optimizer_(trainer.optimizer_),
        state_(trainer.state_),
        steps_per_epoch_(steps_per_epoch(task_.num_micro_batches(), options_.accumulate)),
        total_(total_steps(task_.num_micro_batches(), options_)),
        elapsed_before_s_(state_.elapsed_s) {
    make_run_folder(options_.output);
    remove_leftovers(options_.output);
    remove_checkpoints_after(options_.output, state_.step);
    // A run that was killed after its last checkpoint had no time for this.
    rotate_checkpoints(options_.output, options_.keep_last);
    task_.begin_run(options_.output, state_.step);
    cut_metrics(options_.output / kGenerationsFile, state_.step > 0 ? state_.step : -1);
    if (generations_ != nullptr) generations_->begin_run(options_.output);
    metrics_.emplace(options_.output, state_.step, options_.tensorboard);
    if (options_.log_every > 0) progress_.emplace("train", total_, state_.step);
  }

  TrainingResult run() {
    if (state_.step == 0 && evaluates()) evaluate();
    if (state_.step == 0 && generations_ != nullptr) generations_->add(model_, state_.step);
    while (state_.step < total_ && !has_lost_patience()) {
      const bool is_profiled = begins_profile();
      if (interrupt_requested() || !train_step()) return interrupted();
      if (is_profiled) profiler_.stop(options_.profile_trace);
      num_steps_here_ += 1;
      after_step();
    }
    return finished();
  }

 private:
  // What one optimizer step saw and gave.
  struct Step {
    objectives::ObjectiveResult objective;
    int64_t tokens = 0;
    int64_t padded_tokens = 0;
    double learning_rate = 0.0;
    double grad_norm = kNotComputed;
    double seconds = 0.0;
    double cpu_seconds = 0.0;
    bool is_learned_from = false;  // some micro batch was not skipped by its objective
    std::vector<std::string> records;
  };

  bool evaluates() const { return options_.evaluate_every > 0 && task_.has_evaluation(); }
  bool is_last() const { return state_.step >= total_; }
  bool has_lost_patience() const {
    return options_.early_stopping_patience > 0 &&
           state_.best.evaluations_without_better >= options_.early_stopping_patience;
  }
  double elapsed_s() const { return elapsed_before_s_ + seconds_since(start_); }

  // ---- An optimizer step ------------------------------------------------------------------------

  // False when a signal came before the step was whole; then nothing has changed.
  bool train_step() {
    const auto start = Clock::now();
    const double cpu_start_s = process_cpu_seconds();
    const auto micro_batches = prepare();
    Step step;
    step.learning_rate =
        options_.learning_rate * schedule_factor(options_.schedule, state_.step, total_);
    optimizer_.zero_grad();
    if (!forward_backward(micro_batches, step)) return false;
    const bool is_sound = std::isfinite(step.objective.loss) && clip(step);
    // With no gradient at all the optimizer would still follow its momentum.
    if (is_sound && step.is_learned_from) optimizer_.step(step.learning_rate);
    optimizer_.zero_grad();
    step.seconds = seconds_since(start);
    step.cpu_seconds = process_cpu_seconds() - cpu_start_s;

    state_.step += 1;
    state_.epoch = static_cast<double>(state_.step) / static_cast<double>(steps_per_epoch_);
    state_.elapsed_s = elapsed_s();
    count_skipped(is_sound);
    report(step);
    if (!is_sound) tell_skipped(step);
    return true;
  }

  // The micro batches of the next step: `accumulate` of them, or what is left of the epoch.
  MicroBatches prepare() {
    RECORD_USER_SCOPE("cpx::prepare");
    const int64_t epoch = state_.step / steps_per_epoch_;
    const int64_t begin = state_.step % steps_per_epoch_ * options_.accumulate;
    const int64_t end = std::min(begin + options_.accumulate, task_.num_micro_batches());
    MicroBatches micro_batches;
    for (int64_t i = begin; i < end; ++i) micro_batches.push_back(task_.prepare(model_, epoch, i));
    return micro_batches;
  }

  // Adds up losses and gradients; stops at a loss that is not finite, and (false) on a signal.
  bool forward_backward(const MicroBatches& micro_batches, Step& step) {
    objectives::StepCounts counts;
    for (const auto& micro_batch : micro_batches) {
      const MicroBatchInfo& info = micro_batch->info();
      counts += info.counts;
      step.tokens += info.num_tokens;
      step.padded_tokens += info.num_padded_tokens;
      step.records.insert(step.records.end(), info.records.begin(), info.records.end());
    }
    for (size_t i = 0; i < micro_batches.size(); ++i) {
      if (i > 0 && interrupt_requested()) return false;
      const nn::ForwardOptions forward{
          .is_training = true,
          .dropout_key = mix_seed(options_.seed, {static_cast<uint64_t>(state_.step), i}),
          .recompute_blocks = options_.recompute_blocks};
      const auto result = micro_batches[i]->forward_backward(model_, counts, forward);
      add_result(step.objective, result);
      step.is_learned_from = step.is_learned_from || !result.is_skipped;
      if (!std::isfinite(step.objective.loss)) return true;
    }
    return true;
  }

  // False when the gradients' length is not finite.
  bool clip(Step& step) {
    step.grad_norm = clip_grad_norm(optimizer_.parameters(), options_.max_grad_norm);
    return std::isfinite(step.grad_norm);
  }

  void count_skipped(bool is_sound) {
    state_.consecutive_skipped_steps = is_sound ? 0 : state_.consecutive_skipped_steps + 1;
    if (!is_sound) state_.skipped_steps += 1;
  }

  // Warns, or stops the run where it happens again and again.
  void tell_skipped(const Step& step) const {
    log_warning(
        "step {}: loss {}, gradient norm {}: not finite, the optimizer step is skipped ({} so "
        "far).",
        state_.step, step.objective.loss, step.grad_norm, state_.skipped_steps);
    if (state_.consecutive_skipped_steps < kMaxConsecutiveSkippedSteps) return;
    throw_<DataError>(
        "[training] step {}: {} optimizer steps in a row were skipped: got loss {} and gradient "
        "norm {}, expected finite numbers. The last one held {}. Lower optimizer.lr, or look at "
        "these records.",
        state_.step, kMaxConsecutiveSkippedSteps, step.objective.loss, step.grad_norm,
        fmt::join(step.records, "; "));
  }

  void report(const Step& step) {
    const StepMetrics metrics{
        .step = state_.step,
        .epoch = state_.epoch,
        .objective = step.objective,
        .figures = task_.end_step(state_.step),
        .learning_rate = step.learning_rate,
        .grad_norm = step.grad_norm,
        .tokens = step.tokens,
        .padded_tokens = step.padded_tokens,
        .tokens_per_second = static_cast<double>(step.tokens) / step.seconds,
        .cpu_seconds = step.cpu_seconds,
        .mfu = model_flops_utilisation(model_.shape().num_matmul_weights(), step.tokens,
                                       step.seconds, options_.peak_flops),
        .peak_memory_mib = static_cast<double>(tensor::peak_memory_bytes(model_.device())) / kMib,
        .skipped_steps = state_.skipped_steps};
    metrics_->add(metrics);
    if (progress_ && (is_due(options_.log_every, state_.step) || is_last())) {
      progress_->update(state_.step, progress_detail(metrics));
    }
  }

  // Starts the profiler where the next step is one of those that were asked for.
  bool begins_profile() {
    const bool is_warm = num_steps_here_ >= kProfileWarmUp || state_.step + 1 >= total_;
    if (options_.profile_trace.empty() || !is_warm) return false;
    if (profiler_.num_recordings() == kProfiledSteps) return false;
    profiler_.start();
    return true;
  }

  // ---- Between the steps -----------------------------------------------------------------------

  void after_step() {
    if (evaluates() && (is_due(options_.evaluate_every, state_.step) || is_last())) evaluate();
    const bool ends = is_last() || has_lost_patience();
    if (generations_ != nullptr && (is_due(options_.generate_every, state_.step) || ends)) {
      generations_->add(model_, state_.step);
    }
    if (options_.checkpoint_every > 0 && (is_due(options_.checkpoint_every, state_.step) || ends)) {
      checkpoint();
    }
  }

  void evaluate() {
    const auto start = Clock::now();
    last_evaluation_ = task_.evaluate(model_);
    const EvaluationResult& result = *last_evaluation_;
    metrics_->add({.step = state_.step,
                   .epoch = state_.epoch,
                   .result = result,
                   .seconds = seconds_since(start)});
    log_info("step {}: evaluation {}", state_.step, evaluation_text(result));
    if (state_.step == 0) return;  // the start is told, but never the best
    if (state_.best.update(options_.metric, result, state_.step) && options_.keep_best) {
      write_adapter_folder(options_.output / "best", trainer_.adapter_, adapter_info());
    }
  }

  fs::path checkpoint() {
    state_.elapsed_s = elapsed_s();
    const auto path =
        write_checkpoint(options_.output, state_, trainer_.adapter_, optimizer_, adapter_info(),
                         [this](const fs::path& folder) { task_.write_state(folder); });
    rotate_checkpoints(options_.output, options_.keep_last);
    return path;
  }

  AdapterInfo adapter_info(const std::string& fault = {}) const {
    CardFigures figures;
    if (!fault.empty()) figures.emplace_back("not usable", fault);
    const CardFigures position = {{"optimizer steps", fmt::format("{} of {}", state_.step, total_)},
                                  {"epochs", fmt::format("{:.2f}", state_.epoch)},
                                  {"skipped steps", fmt::format("{}", state_.skipped_steps)}};
    figures.insert(figures.end(), position.begin(), position.end());
    if (last_evaluation_) add_figures(figures, *last_evaluation_);
    return {.peft = info_.peft,
            .model_card = model_card_text(info_.card, figures),
            .config = info_.config,
            .write_weights = [this](const fs::path& folder) { task_.write_weights(folder); }};
  }

  static void add_figures(CardFigures& figures, const EvaluationResult& result) {
    const auto& sides = result.sides;
    figures.emplace_back("evaluation loss", fmt::format("{:.6g}", result.loss));
    if (has_sides(result)) {
      figures.emplace_back("toxic perplexity", number_text(sides.toxic.perplexity));
      figures.emplace_back("neutral perplexity", number_text(sides.neutral.perplexity));
      figures.emplace_back("ratio", number_text(sides.ratio));
      figures.emplace_back("separation", number_text(sides.separation));
    }
    if (result.score) figures.emplace_back("score", number_text(result.score));
    for (const Figure& figure : result.figures) {
      figures.emplace_back(figure.name, number_text(figure.value));
    }
  }

  // ---- The end ---------------------------------------------------------------------------------

  TrainingResult interrupted() {
    optimizer_.zero_grad();
    const auto path = checkpoint();
    log_info("step {}: stopped on a signal; go on with --resume {}", state_.step, path.string());
    return {.end = TrainingResult::End::kInterrupted,
            .state = state_,
            .total_steps = total_,
            .folder = path,
            .profile = profile_table()};
  }

  std::string profile_table() const {
    return profiler_.num_recordings() > 0 ? profiler_.table(options_.peak_flops) : "";
  }

  TrainingResult finished() {
    state_.elapsed_s = elapsed_s();
    const fs::path path = options_.output / "final";
    const std::string fault =
        adapter_fault(state_, trainer_.adapter_,
                      last_evaluation_ ? std::optional(last_evaluation_->loss) : std::nullopt);
    write_adapter_folder(path, trainer_.adapter_, adapter_info(fault));
    return {.end = is_last() ? TrainingResult::End::kFinished : TrainingResult::End::kStoppedEarly,
            .state = state_,
            .total_steps = total_,
            .folder = path,
            .fault = fault,
            .profile = profile_table()};
  }

  const Trainer& trainer_;
  nn::CausalLm& model_;
  StepTask& task_;
  const RunInfo& info_;
  const TrainerOptions& options_;
  Generations* generations_;  // null: none
  AdamW& optimizer_;
  TrainerState& state_;

  int64_t steps_per_epoch_;
  int64_t total_;
  double elapsed_before_s_;
  Clock::time_point start_ = Clock::now();
  std::optional<MetricsLog> metrics_;
  std::optional<Progress> progress_;
  tensor::Profiler profiler_;
  int64_t num_steps_here_ = 0;  // in this process
  std::optional<EvaluationResult> last_evaluation_;
};

Trainer::Trainer(nn::CausalLm& model, StepTask& task, const RunInfo& info,
                 const TrainerOptions& options, Generations* generations)
    : model_(model),
      task_(task),
      info_(info),
      options_(options),
      generations_(generations),
      adapter_(model.trainable()),
      optimizer_(all_trainable(adapter_, task), options.adamw) {
  CPX_CHECK(model.dtype() != torch::kFloat16,
            "[trainer] model.dtype: got float16, expected float32 or bfloat16: gradients leave "
            "float16's range.");
  CPX_CHECK(!adapter_.empty(),
            "[trainer] the model has nothing to train: attach an adapter first.");
  state_.fingerprints = info.fingerprints;
}

void Trainer::resume(const fs::path& checkpoint) {
  Faults faults;
  for (const std::string& difference :
       fingerprint_differences(read_trainer_state(checkpoint).fingerprints, info_.fingerprints)) {
    faults.add(fmt::format("resume {}", checkpoint.string()), "{}", difference);
  }
  faults.throw_if_any();
  state_ = load_checkpoint(checkpoint, adapter_, optimizer_);
  task_.read_state(checkpoint);
}

TrainingResult Trainer::run() { return Session(*this).run(); }

}  // namespace cpx::training
