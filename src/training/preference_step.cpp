// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/preference_step.h"

#include <optional>
#include <utility>
#include <vector>

#include "cpx/core/error.h"
#include "cpx/data/pair_batch.h"
#include "group_batch.h"
#include "packed_micro_batch.h"
#include "reference_nll.h"

namespace cpx::training {

namespace {

using objectives::ObjectiveResult;
using objectives::Preference;
using objectives::StepCounts;

// The answers of a pack by pair; `reference_nll` [texts] may be empty.
std::vector<Preference> preferences_of(const data::PackedBatch& packed,
                                       std::span<const double> reference_nll) {
  std::vector<Preference> preferences(static_cast<size_t>(packed.num_groups));
  for (size_t i = 0; i < packed.texts.size(); ++i) {
    const data::PackedText& text = packed.texts[i];
    const objectives::Answer answer{
        .tokens = {.first = text.first, .count = text.count},
        .reference_nll = reference_nll.empty() ? 0.0 : reference_nll[i]};
    Preference& preference = preferences[static_cast<size_t>(text.group)];
    if (text.role == TextRole::kPositive) {
      preference.chosen = answer;
    } else {
      preference.rejected.push_back(answer);
    }
  }
  return preferences;
}

class PreferenceMicroBatch : public PackedMicroBatch {
 public:
  PreferenceMicroBatch(MicroBatchInfo info, data::PackedBatch packed,
                       std::span<const double> reference_nll, PreferenceLoss loss)
      : PackedMicroBatch(std::move(info), std::move(packed)),
        preferences_(preferences_of(this->packed(), reference_nll)),
        loss_(std::move(loss)) {}

  ObjectiveResult objective(std::span<const double> nll, const StepCounts& step) const override {
    return loss_({.preferences = preferences_, .token_nll = nll}, step);
  }

 private:
  std::vector<Preference> preferences_;
  PreferenceLoss loss_;
};

// The pairs of one purpose, training or evaluation.
class PairSource {
 public:
  PairSource(std::shared_ptr<const data::PreferencePairs> pairs, const PairData& data,
             PreferenceObjective objective, bool drop_last)
      : pairs_(std::move(pairs)),
        encoder_(data.encoder),
        shares_prompts_(data.shares_prompts),
        objective_(std::move(objective)),
        order_(pairs_->num_pairs(), data.pairs_per_micro_batch, drop_last,
               [this](int64_t epoch) { return pairs_->epoch_order(epoch); }) {}
  PairSource(const PairSource&) = delete;
  PairSource& operator=(const PairSource&) = delete;

  int64_t num_micro_batches() const { return order_.num_micro_batches(); }

  std::unique_ptr<PackedMicroBatch> prepare(nn::CausalLm& model, ReferenceNll& reference,
                                            int64_t epoch, int64_t index) {
    std::vector<data::EncodedPair> encoded;
    std::vector<std::string> records;
    for (const int64_t number : order_.units(epoch, index)) {
      const data::DrawnPair drawn = pairs_->draw(number, epoch);
      encoded.push_back(encoder_.encode(pairs_->item(drawn), drawn));
      records.push_back(pairs_->item(drawn).where);
    }
    auto packed = data::pack_pairs(encoded, shares_prompts_);
    auto info = packed_info(packed);
    info.counts.pairs = packed.num_groups;
    info.records = std::move(records);
    const auto reference_nll =
        objective_.has_reference ? reference.of(model, encoded) : std::vector<double>();
    return std::make_unique<PreferenceMicroBatch>(std::move(info), std::move(packed), reference_nll,
                                                  objective_.loss);
  }

 private:
  std::shared_ptr<const data::PreferencePairs> pairs_;
  const data::PairEncoder& encoder_;
  bool shares_prompts_;
  PreferenceObjective objective_;
  MicroBatchOrder order_;
};

}  // namespace

class PreferenceStep::Impl {
 public:
  Impl(const PairData& data, const PreferenceObjective& objective, PreferenceReference reference)
      : name_(objective.name),
        reference_(std::move(reference), data.shares_prompts),
        train_(data.train, data, objective, data.drop_last) {
    if (data.eval != nullptr) eval_.emplace(data.eval, data, objective, /*drop_last=*/false);
  }

  const std::string& name() const { return name_; }
  const PairSource& train() const { return train_; }
  bool has_evaluation() const { return eval_.has_value(); }
  int64_t num_reference_answers() const { return reference_.num_computed(); }
  void flush() const { reference_.flush(); }

  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) {
    return train_.prepare(model, reference_, epoch, index);
  }

  EvaluationResult evaluate(nn::CausalLm& model) {
    check_has_evaluation(eval_.has_value(), "items");
    for (int64_t i = std::ssize(eval_batches_); i < eval_->num_micro_batches(); ++i) {
      eval_batches_.push_back(eval_->prepare(model, reference_, /*epoch=*/0, i));
    }
    return evaluate_batches(model, eval_batches_);
  }

 private:
  std::string name_;
  ReferenceNll reference_;
  PairSource train_;
  std::optional<PairSource> eval_;
  std::vector<std::unique_ptr<PackedMicroBatch>> eval_batches_;  // the same each time
};

PreferenceStep::PreferenceStep(const PairData& data, PreferenceObjective objective,
                               PreferenceReference reference)
    : impl_(std::make_unique<Impl>(data, std::move(objective), std::move(reference))) {}

PreferenceStep::~PreferenceStep() = default;

std::string PreferenceStep::name() const { return impl_->name(); }

int64_t PreferenceStep::num_micro_batches() const { return impl_->train().num_micro_batches(); }

std::unique_ptr<MicroBatch> PreferenceStep::prepare(nn::CausalLm& model, int64_t epoch,
                                                    int64_t index) {
  return impl_->prepare(model, epoch, index);
}

bool PreferenceStep::has_evaluation() const { return impl_->has_evaluation(); }

EvaluationResult PreferenceStep::evaluate(nn::CausalLm& model) { return impl_->evaluate(model); }

void PreferenceStep::write_state(const std::filesystem::path& /*folder*/) const { impl_->flush(); }

int64_t PreferenceStep::num_reference_answers() const { return impl_->num_reference_answers(); }

}  // namespace cpx::training
