// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/ppo_step.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>
#include <optional>
#include <utility>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <torch/autograd.h>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/core/output_file.h"
#include "cpx/core/random.h"
#include "cpx/training/metrics.h"
#include "packed_micro_batch.h"
#include "ppo_state.h"
#include "stopwatch.h"

namespace cpx::training {

using objectives::ObjectiveResult;
using objectives::PpoSums;
using objectives::StepCounts;

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kSamplesFile = "samples.jsonl";
constexpr uint64_t kOrderStream = 3;            // of the responses in a pass
constexpr uint64_t kEvaluation = ~uint64_t{0};  // in place of a rollout's number

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// With Bessel's correction; 0 of a single one.
double deviation(std::span<const double> values) {
  if (values.size() < 2) return 0.0;
  const double centre = mean(values);
  double squares = 0.0;
  for (const double value : values) squares += (value - centre) * (value - centre);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double mean_tokens(std::span<const Response> responses) {
  double sum = 0.0;
  for (const Response& response : responses) sum += static_cast<double>(response.ids.size());
  return sum / static_cast<double>(responses.size());
}

double stopped_share(std::span<const Response> responses) {
  double sum = 0.0;
  for (const Response& response : responses) sum += response.is_stopped ? 1.0 : 0.0;
  return sum / static_cast<double>(responses.size());
}

void check_options(const PpoStepOptions& options) {
  if (options.batch_size < 1 || options.prompts_per_micro_batch < 1 ||
      options.batch_size % options.prompts_per_micro_batch != 0) {
    throw_<ConfigError>(
        "[ppo] rollout.batch_size: got {}, expected a multiple of the {} prompts of a micro batch "
        "(training.groups).",
        options.batch_size, options.prompts_per_micro_batch);
  }
  if (options.ppo_epochs < 1) {
    throw_<ConfigError>("[ppo] ppo_epochs: got {}, expected 1 or more.", options.ppo_epochs);
  }
  if (options.early_stopping && !(options.target_kl > 0.0)) {
    throw_<ConfigError>("[ppo] target_kl: got {}, expected more than 0 with early_stopping.",
                        options.target_kl);
  }
}

// The means over a step's tokens.
std::vector<Figure> figures_of(const PpoSums& sums) {
  if (sums.tokens == 0) return {};
  const auto tokens = static_cast<double>(sums.tokens);
  std::vector<Figure> figures = {
      {.name = "policy_loss", .value = sums.policy_loss / tokens},
      {.name = "value_loss", .value = sums.value_loss / tokens},
      {.name = "clip_fraction", .value = static_cast<double>(sums.num_clipped) / tokens},
      {.name = "value_clip_fraction",
       .value = static_cast<double>(sums.num_clipped_values) / tokens},
      {.name = "approx_kl", .value = 0.5 * sums.squared_change / tokens},
      {.name = "policy_kl", .value = sums.change / tokens},
      {.name = "ratio", .value = sums.ratio / tokens},
      {.name = "value", .value = sums.value / tokens}};
  if (const auto explained = objectives::explained_variance(sums)) {
    figures.push_back({.name = "explained_variance", .value = *explained});
  }
  return figures;
}

std::vector<double> slice(std::span<const double> values, const objectives::TokenRange& range) {
  const auto part =
      values.subspan(static_cast<size_t>(range.first), static_cast<size_t>(range.count));
  return {part.begin(), part.end()};
}

// One sum a range.
std::vector<double> sums_of(std::span<const double> values,
                            std::span<const objectives::TokenRange> ranges) {
  std::vector<double> sums;
  for (const auto& range : ranges) {
    const auto part = slice(values, range);
    sums.push_back(std::accumulate(part.begin(), part.end(), 0.0));
  }
  return sums;
}

}  // namespace

int64_t micro_batches_per_rollout(const PpoStepOptions& options) {
  return options.ppo_epochs * (options.batch_size / options.prompts_per_micro_batch);
}

int64_t rollouts_per_epoch(int64_t num_prompts, const PpoStepOptions& options) {
  return num_prompts / options.batch_size;
}

// Rollouts, what is learned from them, and what is told of both.
class PpoStep::Impl {
 public:
  Impl(const nn::CausalLm& model, const data::Prompts& prompts,
       std::span<const data::EncodedPrompt> eval_prompts, const tokenizer::Tokenizer& tokenizer,
       RewardModel reward, const PpoStepOptions& options)
      : prompts_(prompts),
        eval_prompts_(eval_prompts),
        tokenizer_(tokenizer),
        reward_(std::move(reward)),
        options_(options),
        head_(model.shape().hidden_size, model.device(), options.value_head) {
    check_options(options);
    state_.kl_coef = options.kl.init_kl_coef;
    check_rollout(prompts.train(), options.rollout, model.shape().max_position);
    check_rollout(eval_prompts, options.rollout, model.shape().max_position);
    if (num_rollouts() == 0) {
      throw_<DataError>(
          "[ppo] got {} prompts to train on, expected at least {} for one rollout "
          "(rollout.batch_size). Lower it or add data.",
          prompts.train().size(), options.batch_size);
    }
  }

  int64_t num_micro_batches() const { return num_rollouts() * micro_batches_per_rollout(options_); }
  bool has_evaluation() const { return !eval_prompts_.empty(); }
  const ValueHead& head() const { return head_; }
  const PpoState& state() const { return state_; }

  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index);
  EvaluationResult evaluate(nn::CausalLm& model);

  void begin_run(const fs::path& run_folder, int64_t step) {
    const fs::path path = run_folder / kSamplesFile;
    cut_metrics(path, step > 0 ? step : -1);
    samples_ = std::make_unique<OutputFile>(path, OutputFile::Mode::kAppend);
    step_ = step;
  }

  std::vector<Figure> end_step(int64_t step) {
    step_ = step;
    tell_samples();
    std::vector<Figure> figures;
    for (const auto& [name, value] : state_.rollout.figures) {
      const bool in_progress = name == "reward_mean" || name == "kl";
      figures.push_back({.name = name, .value = value, .in_progress = in_progress});
    }
    const auto means = figures_of(step_sums_);
    figures.insert(figures.end(), means.begin(), means.end());
    figures.push_back(
        {.name = "skipped_micro_batches", .value = static_cast<double>(num_skipped_)});
    figures.insert(figures.end(), times_.begin(), times_.end());
    step_sums_ = {};
    num_skipped_ = 0;
    times_.clear();
    return figures;
  }

  void write_state(const fs::path& folder) const { write_ppo_state(folder, state_); }

  void read_state(const fs::path& folder) {
    head_.read(folder);
    state_ = read_ppo_state(folder);
  }

  // ---- What a micro batch reports ---------------------------------------------------------------

  void add(const objectives::PpoResult& result) {
    step_sums_ += result.sums;
    if (!result.is_skipped) return;
    ++num_skipped_;
    log_warning(
        "[ppo] rollout {}: a micro batch is skipped: its mean ratio of probabilities is {:.4g}, "
        "expected at most {:.4g} (objective.ratio_threshold).",
        state_.rollout.number,
        result.sums.ratio / static_cast<double>(std::max<int64_t>(1, result.sums.tokens)),
        options_.objective.ratio_threshold);
  }
  void add_skipped() { ++num_skipped_; }

  // The last micro batch of a pass moved the policy by so much.
  void end_pass(const PpoSums& sums) {
    if (!options_.early_stopping) return;
    const double policy_kl = sums.change / static_cast<double>(sums.tokens);
    state_.is_stopped = objectives::is_above_target_kl(policy_kl, options_.target_kl);
  }

 private:
  int64_t num_rollouts() const {
    return rollouts_per_epoch(std::ssize(prompts_.train()), options_);
  }

  Policies policies(nn::CausalLm& model) const {
    return {.trained = model, .head = head_, .reference = options_.reference};
  }

  void make_rollout(nn::CausalLm& model, int64_t epoch, int64_t number);
  std::vector<NumberedPrompt> prompts_of(int64_t epoch, int64_t number) const;
  std::vector<double> scores_of(std::span<const Response> responses) const;
  Rollout scored(std::vector<Response> responses, std::vector<double> scores,
                 const ResponseFigures& figures);

  // Lines of samples.jsonl; `frame` is what they say besides.
  void write_samples(const Json& frame, std::span<const Response> responses,
                     std::span<const double> scores, std::span<const double> kl);
  // Those of a new rollout.
  void tell_samples() {
    if (state_.is_told) return;
    const Rollout& rollout = state_.rollout;
    write_samples({{"step", step_}, {"rollout", rollout.number}}, rollout.responses, rollout.scores,
                  rollout.kl);
    state_.is_told = true;
  }

  const data::Prompts& prompts_;
  std::span<const data::EncodedPrompt> eval_prompts_;
  const tokenizer::Tokenizer& tokenizer_;
  RewardModel reward_;
  PpoStepOptions options_;
  ValueHead head_;
  PpoState state_;

  // Of the step that is being done.
  PpoSums step_sums_;
  int64_t num_skipped_ = 0;
  std::vector<Figure> times_;

  int64_t step_ = 0;  // the last that was done
  std::unique_ptr<OutputFile> samples_;
};

namespace {

// The micro batch of a rollout that was stopped.
class SkippedMicroBatch : public MicroBatch {
 public:
  explicit SkippedMicroBatch(std::function<void()> report)
      : MicroBatch(MicroBatchInfo()), report_(std::move(report)) {}

  ObjectiveResult forward_backward(nn::CausalLm& /*model*/, const StepCounts& /*step*/,
                                   const nn::ForwardOptions& /*options*/) const override {
    report_();
    ObjectiveResult result;
    result.is_skipped = true;
    return result;
  }

 private:
  std::function<void()> report_;
};

// Some responses of a rollout, packed, and what was known when they were sampled.
struct Part {
  data::PackedBatch packed = {};
  std::vector<objectives::TokenRange> ranges = {};  // in the pack
  std::vector<std::vector<double>> old_nll = {};    // a vector a response
  std::vector<std::vector<double>> old_values = {};
  std::vector<std::vector<double>> advantages = {};
  std::vector<std::vector<double>> returns = {};
};

Part part_of(const Rollout& rollout, std::span<const int64_t> members) {
  const auto ranges = token_ranges(rollout.responses);
  Part part;
  std::vector<Response> responses;
  for (const int64_t i : members) {
    const auto& range = ranges[static_cast<size_t>(i)];
    responses.push_back(rollout.responses[static_cast<size_t>(i)]);
    part.old_nll.push_back(slice(rollout.old_nll, range));
    part.old_values.push_back(slice(rollout.old_values, range));
    part.advantages.push_back(slice(rollout.advantages, range));
    part.returns.push_back(slice(rollout.returns, range));
  }
  part.packed = pack_responses(responses);
  part.ranges = token_ranges(responses);
  return part;
}

MicroBatchInfo info_of(const Part& part, const Rollout& rollout, std::span<const int64_t> members) {
  MicroBatchInfo info{.counts = {.response_tokens = std::ssize(part.packed.targets)},
                      .num_tokens = part.packed.num_tokens,
                      .num_padded_tokens = part.packed.num_padded_tokens};
  for (const int64_t i : members) {
    info.records.push_back(fmt::format("rollout {}, prompt {}", rollout.number,
                                       rollout.responses[static_cast<size_t>(i)].prompt));
  }
  return info;
}

using Report = std::function<void(const objectives::PpoResult&)>;

class PpoMicroBatch : public MicroBatch {
 public:
  PpoMicroBatch(MicroBatchInfo info, Part part, const ValueHead& head,
                const objectives::PpoOptions& options, Report report)
      : MicroBatch(std::move(info)),
        part_(std::move(part)),
        head_(head),
        options_(options),
        report_(std::move(report)) {}

  ObjectiveResult forward_backward(nn::CausalLm& model, const StepCounts& step,
                                   const nn::ForwardOptions& options) const override {
    const auto policy = policy_pass(model, part_.packed, options);
    const auto values = head_.forward(policy.hidden, options);
    const auto result = objective(nn::to_doubles(policy.nll), nn::to_doubles(values), step);
    if (std::isfinite(result.loss) && !result.is_skipped) {
      torch::autograd::backward(
          {policy.nll, values},
          {at::tensor(result.gradient, at::kDouble).to(policy.nll.options()),
           at::tensor(result.value_gradient, at::kDouble).to(values.options())});
    }
    report_(result);
    ObjectiveResult told;
    told.loss = result.loss;
    told.is_skipped = result.is_skipped;
    return told;
  }

 private:
  objectives::PpoResult objective(const std::vector<double>& nll, const std::vector<double>& values,
                                  const StepCounts& step) const {
    std::vector<objectives::PpoResponse> responses;
    for (size_t i = 0; i < part_.ranges.size(); ++i) {
      responses.push_back({.tokens = part_.ranges[i],
                           .old_nll = part_.old_nll[i],
                           .old_values = part_.old_values[i],
                           .advantages = part_.advantages[i],
                           .returns = part_.returns[i]});
    }
    return objectives::ppo({.responses = responses, .token_nll = nll, .values = values}, options_,
                           step.response_tokens);
  }

  Part part_;
  const ValueHead& head_;
  const objectives::PpoOptions& options_;
  Report report_;
};

}  // namespace

// ---- Micro batches ------------------------------------------------------------------------------

std::unique_ptr<MicroBatch> PpoStep::Impl::prepare(nn::CausalLm& model, int64_t epoch,
                                                   int64_t index) {
  const int64_t in_rollout = index % micro_batches_per_rollout(options_);
  const int64_t number = epoch * num_rollouts() + index / micro_batches_per_rollout(options_);
  if (state_.rollout.number != number) make_rollout(model, epoch, number);
  if (state_.is_stopped) {
    return std::make_unique<SkippedMicroBatch>([this] { add_skipped(); });
  }

  const int64_t in_pass = options_.batch_size / options_.prompts_per_micro_batch;
  const int64_t pass = in_rollout / in_pass;
  const auto order = random_permutation(
      options_.batch_size, CounterRng(options_.seed, {kOrderStream, static_cast<uint64_t>(number),
                                                      static_cast<uint64_t>(pass)}));
  const auto members = std::span(order).subspan(
      static_cast<size_t>(in_rollout % in_pass * options_.prompts_per_micro_batch),
      static_cast<size_t>(options_.prompts_per_micro_batch));
  Part part = part_of(state_.rollout, members);
  auto info = info_of(part, state_.rollout, members);
  const bool ends_pass = in_rollout % in_pass == in_pass - 1;
  return std::make_unique<PpoMicroBatch>(std::move(info), std::move(part), head_,
                                         options_.objective,
                                         [this, ends_pass](const objectives::PpoResult& result) {
                                           add(result);
                                           if (ends_pass) end_pass(result.sums);
                                         });
}

// ---- Rollouts -----------------------------------------------------------------------------------

std::vector<NumberedPrompt> PpoStep::Impl::prompts_of(int64_t epoch, int64_t number) const {
  const auto order = prompts_.epoch_order(epoch);
  const int64_t begin = number % num_rollouts() * options_.batch_size;
  std::vector<NumberedPrompt> prompts;
  for (int64_t i = begin; i < begin + options_.batch_size; ++i) {
    const int64_t prompt = order[static_cast<size_t>(i)];
    prompts.push_back({.ids = prompts_.train()[static_cast<size_t>(prompt)].ids, .number = prompt});
  }
  return prompts;
}

void PpoStep::Impl::make_rollout(nn::CausalLm& model, int64_t epoch, int64_t number) {
  const auto start = Clock::now();
  auto responses = sample_responses(model, prompts_of(epoch, number), options_.rollout,
                                    static_cast<uint64_t>(number));
  const auto sampled = Clock::now();
  auto scores = scores_of(responses);
  const auto scored_at = Clock::now();
  const auto figures =
      response_figures(policies(model), responses, options_.prompts_per_micro_batch,
                       {.full_kl = options_.kl_penalty == objectives::KlPenalty::kFull});
  times_ = {
      {.name = "sampling_seconds", .value = std::chrono::duration<double>(sampled - start).count()},
      {.name = "scoring_seconds",
       .value = std::chrono::duration<double>(scored_at - sampled).count()},
      {.name = "policy_seconds", .value = seconds_since(scored_at)}};

  state_.rollout = scored(std::move(responses), std::move(scores), figures);
  state_.rollout.number = number;
  state_.is_told = false;
  state_.is_stopped = false;
  state_.kl_coef = objectives::updated_kl_coef(
      state_.kl_coef, options_.kl, state_.rollout.figures.at("kl"), options_.batch_size);
}

std::vector<double> PpoStep::Impl::scores_of(std::span<const Response> responses) const {
  std::vector<std::string> texts;
  for (const Response& response : responses) {
    const std::string prompt = options_.scores_prompt ? prompt_text(tokenizer_, response) : "";
    texts.push_back(prompt + response_text(tokenizer_, response));
  }
  auto scores = reward_.scores(texts);
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isfinite(scores[i])) continue;
    throw_<DataError>(
        "[reward] prompt {}: the score of its response of {} tokens is {}, expected a finite "
        "number. Check the classifier.",
        responses[i].prompt, responses[i].ids.size(), scores[i]);
  }
  return scores;
}

// From scores to advantages; updates the running moments.
Rollout PpoStep::Impl::scored(std::vector<Response> responses, std::vector<double> scores,
                              const ResponseFigures& figures) {
  std::vector<objectives::ResponseScore> own;
  for (size_t i = 0; i < responses.size(); ++i) {
    own.push_back({.score = scores[i], .has_eos = responses[i].is_stopped});
  }
  const auto processed = objectives::process_scores(own, options_.scores, state_.moments);
  state_.moments = processed.moments;
  const auto ranges = token_ranges(responses);
  const auto rewards =
      objectives::token_rewards({.responses = ranges,
                                 .token_nll = figures.token_nll,
                                 .reference_token_nll = figures.reference_token_nll,
                                 .full_kl = figures.full_kl},
                                processed.scores, options_.kl_penalty, state_.kl_coef);
  auto advantages =
      objectives::compute_advantages(ranges, figures.values, rewards.rewards, options_.advantages);
  Rollout rollout{.scores = std::move(scores),
                  .kl = sums_of(rewards.kl, ranges),
                  .old_nll = figures.token_nll,
                  .old_values = figures.values,
                  .advantages = std::move(advantages.advantages),
                  .returns = std::move(advantages.returns)};
  rollout.figures = {{"reward_mean", mean(rollout.scores)},
                     {"reward_std", deviation(rollout.scores)},
                     {"kl", rewards.mean_kl},
                     {"kl_coef", state_.kl_coef},
                     {"non_score_reward", rewards.mean_non_score_reward},
                     {"entropy", mean(figures.token_entropy)},
                     {"response_tokens", mean_tokens(responses)},
                     {"stopped_share", stopped_share(responses)}};
  rollout.responses = std::move(responses);
  return rollout;
}

void PpoStep::Impl::write_samples(const Json& frame, std::span<const Response> responses,
                                  std::span<const double> scores, std::span<const double> kl) {
  if (!samples_) return;
  for (size_t i = 0; i < responses.size(); ++i) {
    Json line = frame;
    line["prompt"] = prompt_text(tokenizer_, responses[i]);
    line["response"] = response_text(tokenizer_, responses[i]);
    line["score"] = scores[i];
    line["kl"] = kl[i];
    line["tokens"] = responses[i].ids.size();
    samples_->write(line.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) +
                    "\n");
  }
  samples_->flush();
}

// ---- Evaluation ---------------------------------------------------------------------------------

EvaluationResult PpoStep::Impl::evaluate(nn::CausalLm& model) {
  check_has_evaluation(has_evaluation(), "prompts");
  RolloutOptions sampling = options_.rollout;
  if (options_.evaluation == EvaluationSampling::kGreedy) sampling.temperature = 0.0;
  std::vector<NumberedPrompt> prompts;
  for (const data::EncodedPrompt& prompt : eval_prompts_) {
    prompts.push_back({.ids = prompt.ids, .number = std::ssize(prompts)});
  }
  std::vector<Response> responses;
  std::vector<double> scores;
  for (size_t begin = 0; begin < prompts.size();) {
    const size_t count = std::min(prompts.size() - begin, static_cast<size_t>(options_.batch_size));
    auto some =
        sample_responses(model, std::span(prompts).subspan(begin, count), sampling, kEvaluation);
    const auto some_scores = scores_of(some);
    scores.insert(scores.end(), some_scores.begin(), some_scores.end());
    responses.insert(responses.end(), std::move_iterator(some.begin()),
                     std::move_iterator(some.end()));
    begin += count;
  }
  const auto figures =
      response_figures(policies(model), responses, options_.prompts_per_micro_batch,
                       {.values = false,
                        .entropy = false,
                        .full_kl = options_.kl_penalty == objectives::KlPenalty::kFull});
  const auto ranges = token_ranges(responses);
  const auto rewards =
      objectives::token_rewards({.responses = ranges,
                                 .token_nll = figures.token_nll,
                                 .reference_token_nll = figures.reference_token_nll,
                                 .full_kl = figures.full_kl},
                                scores, options_.kl_penalty, state_.kl_coef);
  write_samples({{"step", step_}, {"evaluation", true}}, responses, scores,
                sums_of(rewards.kl, ranges));
  const double score = mean(scores);
  return {.loss = -(score - state_.kl_coef * rewards.mean_kl),
          .score = score,
          .figures = {{.name = "score_std", .value = deviation(scores)},
                      {.name = "kl", .value = rewards.mean_kl},
                      {.name = "response_tokens", .value = mean_tokens(responses)},
                      {.name = "stopped_share", .value = stopped_share(responses)}}};
}

// ---- The task -----------------------------------------------------------------------------------

PpoStep::PpoStep(const nn::CausalLm& model, const data::Prompts& prompts,
                 std::span<const data::EncodedPrompt> eval_prompts,
                 const tokenizer::Tokenizer& tokenizer, RewardModel reward,
                 const PpoStepOptions& options)
    : impl_(std::make_unique<Impl>(model, prompts, eval_prompts, tokenizer, std::move(reward),
                                   options)) {}

PpoStep::~PpoStep() = default;

int64_t PpoStep::num_micro_batches() const { return impl_->num_micro_batches(); }

std::unique_ptr<MicroBatch> PpoStep::prepare(nn::CausalLm& model, int64_t epoch, int64_t index) {
  return impl_->prepare(model, epoch, index);
}

bool PpoStep::has_evaluation() const { return impl_->has_evaluation(); }

EvaluationResult PpoStep::evaluate(nn::CausalLm& model) { return impl_->evaluate(model); }

std::vector<nn::NamedParameter> PpoStep::trainable() const { return impl_->head().parameters(); }

void PpoStep::begin_run(const fs::path& run_folder, int64_t step) {
  impl_->begin_run(run_folder, step);
}

std::vector<Figure> PpoStep::end_step(int64_t step) { return impl_->end_step(step); }

void PpoStep::write_weights(const fs::path& folder) const { impl_->head().write(folder); }

void PpoStep::write_state(const fs::path& folder) const { impl_->write_state(folder); }

void PpoStep::read_state(const fs::path& folder) { impl_->read_state(folder); }

const Rollout& PpoStep::rollout() const { return impl_->state().rollout; }

double PpoStep::kl_coef() const { return impl_->state().kl_coef; }

}  // namespace cpx::training
