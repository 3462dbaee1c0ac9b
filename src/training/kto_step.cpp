// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/kto_step.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/data/pair_batch.h"
#include "group_batch.h"
#include "packed_micro_batch.h"
#include "reference_nll.h"

namespace cpx::training {

namespace {

using data::EncodedPair;
using objectives::LabelledAnswer;
using objectives::ObjectiveResult;
using objectives::StepCounts;

// The KL terms since they were last asked for.
struct KlMean {
  double sum = 0.0;
  int64_t count = 0;

  void add(double kl) {
    sum += kl;
    count += 1;
  }
  std::vector<Figure> take() {
    if (count == 0) return {};
    const double mean = sum / static_cast<double>(count);
    *this = {};
    return {{.name = "kl", .value = mean}};
  }
};

// Answers whose KL term is known.
class LabelledMicroBatch : public PackedMicroBatch {
 public:
  LabelledMicroBatch(MicroBatchInfo info, data::PackedBatch packed,
                     std::span<const LabelledAnswer> answers, double kl,
                     const objectives::KtoOptions& options)
      : PackedMicroBatch(std::move(info), std::move(packed)),
        answers_(answers.begin(), answers.end()),
        kl_(kl),
        options_(options) {}

  ObjectiveResult objective(std::span<const double> nll, const StepCounts& step) const override {
    return objectives::kto({.answers = answers_, .token_nll = nll, .kl = kl_}, options_, step);
  }

 private:
  std::vector<LabelledAnswer> answers_;
  double kl_;
  objectives::KtoOptions options_;
};

// Mismatched prompts and answers, and what the reference says of all of them.
struct MismatchedTexts {
  data::PackedBatch packed = {};
  double reference_nll_sum = 0.0;
};

// The KL term is the policy's at the moment it is asked for.
class KtoMicroBatch : public MicroBatch {
 public:
  KtoMicroBatch(MicroBatchInfo info, data::PackedBatch packed, std::vector<LabelledAnswer> answers,
                MismatchedTexts mismatched, const objectives::KtoOptions& options,
                std::shared_ptr<KlMean> kl_mean)
      : MicroBatch(std::move(info)),
        packed_(std::move(packed)),
        answers_(std::move(answers)),
        mismatched_(std::move(mismatched)),
        options_(options),
        kl_mean_(std::move(kl_mean)) {}

  ObjectiveResult forward_backward(nn::CausalLm& model, const StepCounts& step,
                                   const nn::ForwardOptions& options) const override {
    const double kl = kl_of(model);
    kl_mean_->add(kl);
    return with_kl(kl)->forward_backward(model, step, options);
  }

  double kl_of(nn::CausalLm& model) const {
    const torch::NoGradGuard no_grad;
    const auto nll = nn::to_doubles(token_nll(model, mismatched_.packed, {}));
    const double policy_nll_sum = std::accumulate(nll.begin(), nll.end(), 0.0);
    const double kl = (mismatched_.reference_nll_sum - policy_nll_sum) /
                      static_cast<double>(mismatched_.packed.texts.size());
    return kl < 0.0 ? 0.0 : kl;  // NaN stays
  }

  std::unique_ptr<PackedMicroBatch> with_kl(double kl) const {
    return std::make_unique<LabelledMicroBatch>(info(), packed_, answers_, kl, options_);
  }

 private:
  data::PackedBatch packed_;
  std::vector<LabelledAnswer> answers_;
  MismatchedTexts mismatched_;
  objectives::KtoOptions options_;
  std::shared_ptr<KlMean> kl_mean_;
};

// `answer` behind `prompt`, cut to `max_tokens`.
EncodedPair cut_pair(const EncodedPair& prompt, const EncodedPair& answer, int64_t max_tokens) {
  EncodedPair pair{.prompt = prompt.prompt, .answers = answer.answers};
  std::vector<tokenizer::TokenId>& ids = pair.answers[0].ids;
  const int64_t room = std::max<int64_t>(max_tokens - std::ssize(pair.prompt), 0);
  if (max_tokens > 0 && std::ssize(ids) > room) ids.resize(static_cast<size_t>(room));
  return pair;
}

// Each prompt with the answer before it, the first one with the last.
std::vector<EncodedPair> mismatched_pairs(std::span<const EncodedPair> uncut, int64_t max_tokens) {
  std::vector<EncodedPair> pairs;
  for (size_t i = 0; i < uncut.size(); ++i) {
    const size_t before = i == 0 ? uncut.size() - 1 : i - 1;
    pairs.push_back(cut_pair(uncut[i], uncut[before], max_tokens));
  }
  return pairs;
}

// The answers of one purpose, training or evaluation.
class LabelledSource {
 public:
  LabelledSource(std::shared_ptr<const data::LabelledAnswers> answers, const LabelledData& data,
                 const objectives::KtoOptions& options, bool drop_last,
                 std::shared_ptr<KlMean> kl_mean)
      : answers_(std::move(answers)),
        max_tokens_(data.encoder.max_tokens()),
        uncut_(data.encoder.uncut()),
        options_(options),
        kl_mean_(std::move(kl_mean)),
        order_(answers_->num_answers(), data.answers_per_micro_batch, drop_last,
               [this](int64_t epoch) { return answers_->epoch_order(epoch); }) {}
  LabelledSource(const LabelledSource&) = delete;
  LabelledSource& operator=(const LabelledSource&) = delete;

  int64_t num_micro_batches() const { return order_.num_micro_batches(); }

  std::unique_ptr<KtoMicroBatch> prepare(nn::CausalLm& model, ReferenceNll& reference,
                                         int64_t epoch, int64_t index) {
    std::vector<EncodedPair> uncut;
    std::vector<EncodedPair> matched;
    std::vector<bool> labels;
    std::vector<std::string> records;
    for (const int64_t number : order_.units(epoch, index)) {
      const data::DrawnAnswer drawn = answers_->draw(number, epoch);
      const data::PreferenceItem& item = answers_->item(drawn);
      uncut.push_back(uncut_.encode(item.prompt, {&answers_->text(drawn), 1}, item.frame));
      matched.push_back(cut_pair(uncut.back(), uncut.back(), max_tokens_));
      labels.push_back(drawn.is_desirable);
      records.push_back(item.where);
    }
    const auto mismatched = mismatched_pairs(uncut, max_tokens_);
    const auto sums = reference.of(model, together(matched, mismatched));
    auto packed = data::pack_pairs(matched, /*shares_prompts=*/false);
    std::vector<LabelledAnswer> answers;
    MismatchedTexts mismatched_texts{.packed =
                                         data::pack_pairs(mismatched, /*shares_prompts=*/false)};
    for (size_t i = 0; i < labels.size(); ++i) {
      packed.texts[i].role = labels[i] ? TextRole::kPositive : TextRole::kHardNegative;
      answers.push_back(
          {.answer = {.tokens = {.first = packed.texts[i].first, .count = packed.texts[i].count},
                      .reference_nll = sums[2 * i]},
           .is_desirable = labels[i]});
      mismatched_texts.reference_nll_sum += sums[2 * i + 1];
    }
    auto info = packed_info(packed);
    info.records = std::move(records);
    return std::make_unique<KtoMicroBatch>(std::move(info), std::move(packed), std::move(answers),
                                           std::move(mismatched_texts), options_, kl_mean_);
  }

 private:
  // Each prompt with both answers, its own first.
  static std::vector<EncodedPair> together(std::span<const EncodedPair> matched,
                                           std::span<const EncodedPair> mismatched) {
    std::vector<EncodedPair> pairs(matched.begin(), matched.end());
    for (size_t i = 0; i < pairs.size(); ++i) pairs[i].answers.push_back(mismatched[i].answers[0]);
    return pairs;
  }

  std::shared_ptr<const data::LabelledAnswers> answers_;
  int64_t max_tokens_;
  data::PairEncoder uncut_;
  objectives::KtoOptions options_;
  std::shared_ptr<KlMean> kl_mean_;
  MicroBatchOrder order_;
};

}  // namespace

class KtoStep::Impl {
 public:
  Impl(const LabelledData& data, const objectives::KtoOptions& options,
       PreferenceReference reference)
      : reference_(std::move(reference), /*shares_prompts=*/true),
        train_(data.train, data, options, data.drop_last, kl_mean_) {
    if (data.eval != nullptr) {
      eval_.emplace(data.eval, data, options, /*drop_last=*/false, kl_mean_);
    }
  }

  const LabelledSource& train() const { return train_; }
  bool has_evaluation() const { return eval_.has_value(); }
  int64_t num_reference_answers() const { return reference_.num_computed(); }
  void flush() const { reference_.flush(); }
  std::vector<Figure> take_figures() { return kl_mean_->take(); }

  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) {
    return train_.prepare(model, reference_, epoch, index);
  }

  EvaluationResult evaluate(nn::CausalLm& model) {
    check_has_evaluation(eval_.has_value(), "answers");
    for (int64_t i = std::ssize(eval_batches_); i < eval_->num_micro_batches(); ++i) {
      eval_batches_.push_back(eval_->prepare(model, reference_, /*epoch=*/0, i));
    }
    KlMean kl_mean;
    std::vector<std::unique_ptr<PackedMicroBatch>> batches;
    for (const auto& batch : eval_batches_) {
      const double kl = batch->kl_of(model);
      kl_mean.add(kl);
      batches.push_back(batch->with_kl(kl));
    }
    EvaluationResult result = evaluate_batches(model, batches);
    result.figures = kl_mean.take();
    return result;
  }

 private:
  std::shared_ptr<KlMean> kl_mean_ = std::make_shared<KlMean>();
  ReferenceNll reference_;
  LabelledSource train_;
  std::optional<LabelledSource> eval_;
  std::vector<std::unique_ptr<KtoMicroBatch>> eval_batches_;  // the same each time
};

KtoStep::KtoStep(const LabelledData& data, const objectives::KtoOptions& options,
                 PreferenceReference reference)
    : impl_(std::make_unique<Impl>(data, options, std::move(reference))) {}

KtoStep::~KtoStep() = default;

int64_t KtoStep::num_micro_batches() const { return impl_->train().num_micro_batches(); }

std::unique_ptr<MicroBatch> KtoStep::prepare(nn::CausalLm& model, int64_t epoch, int64_t index) {
  return impl_->prepare(model, epoch, index);
}

bool KtoStep::has_evaluation() const { return impl_->has_evaluation(); }

EvaluationResult KtoStep::evaluate(nn::CausalLm& model) { return impl_->evaluate(model); }

std::vector<Figure> KtoStep::end_step(int64_t /*step*/) { return impl_->take_figures(); }

void KtoStep::write_state(const std::filesystem::path& /*folder*/) const { impl_->flush(); }

int64_t KtoStep::num_reference_answers() const { return impl_->num_reference_answers(); }

}  // namespace cpx::training
