// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/retain_step.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <ATen/ATen.h>

#include "base_nll.h"
#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/core/random.h"
#include "cpx/objectives/retain.h"
#include "packed_micro_batch.h"

namespace cpx::training {

namespace {

using objectives::ObjectiveResult;
using objectives::StepCounts;
using objectives::TokenRange;
using tokenizer::TokenId;
using TextIds = std::vector<std::vector<TokenId>>;

// First part of the keys of a run's random numbers: what they are for.
constexpr uint64_t kRetainOrderStream = 101;
constexpr uint64_t kRetainDropoutStream = 102;

// The texts that have a predicted token.
TextIds encode_texts(const std::vector<RetainedText>& texts, const data::TextEncoder& encoder) {
  TextIds all;
  for (const RetainedText& text : texts) {
    auto ids = encoder.encode_unframed(text.text).ids;
    if (ids.size() >= 2) {
      all.push_back(std::move(ids));
    } else {
      log_warning("[{}] has no predicted token and is left out.", text.where);
    }
  }
  if (all.empty()) {
    throw_<DataError>(
        "[data.retain] none of the texts has a predicted token: got {} texts, expected one of at "
        "least two tokens. Set data.append_eos, or give other files.",
        texts.size());
  }
  return all;
}

data::PackedBatch pack_texts(const TextIds& all, std::span<const int64_t> chosen) {
  std::vector<data::BatchText> texts;
  for (const int64_t text : chosen) texts.push_back({.ids = all[static_cast<size_t>(text)]});
  return data::pack(texts);
}

// Which texts stand beside which micro batch.
class RetainOrder {
 public:
  RetainOrder(int64_t num_texts, const RetainStepOptions& options)
      : num_texts_(num_texts), shuffle_(options.shuffle), seed_(options.seed) {}

  // The texts [begin, begin + count) of the sequence of all rounds.
  std::vector<int64_t> texts(int64_t begin, int64_t count) {
    std::vector<int64_t> texts;
    for (int64_t position = begin; position < begin + count; ++position) {
      begin_round(position / num_texts_);
      texts.push_back(order_[static_cast<size_t>(position % num_texts_)]);
    }
    return texts;
  }

 private:
  void begin_round(int64_t round) {
    if (round == round_) return;
    round_ = round;
    if (shuffle_) {
      order_ = random_permutation(
          num_texts_, CounterRng(seed_, {kRetainOrderStream, static_cast<uint64_t>(round)}));
    } else {
      order_.resize(static_cast<size_t>(num_texts_));
      std::iota(order_.begin(), order_.end(), int64_t{0});
    }
  }

  int64_t num_texts_;
  bool shuffle_;
  uint64_t seed_;
  int64_t round_ = -1;
  std::vector<int64_t> order_;  // of round_
};

// A micro batch of retained texts by themselves.
class RetainMicroBatch : public PackedMicroBatch {
 public:
  RetainMicroBatch(MicroBatchInfo info, data::PackedBatch packed, std::vector<double> base_nll,
                   double weight)
      : PackedMicroBatch(std::move(info), std::move(packed)),
        base_nll_(std::move(base_nll)),
        weight_(weight) {
    for (const data::PackedText& text : this->packed().texts) {
      ranges_.push_back({.first = text.first, .count = text.count});
    }
  }

  double weight() const { return weight_; }

  ObjectiveResult objective(std::span<const double> nll, const StepCounts& step) const override {
    return objectives::retain(ranges_, nll, base_nll_, weight_, step.retained_tokens);
  }

 private:
  std::vector<TokenRange> ranges_;
  std::vector<double> base_nll_;
  double weight_;
};

MicroBatchInfo sum_of(const MicroBatchInfo& inner, const MicroBatchInfo& retained) {
  MicroBatchInfo sum = inner;
  sum.counts += retained.counts;
  sum.num_tokens += retained.num_tokens;
  sum.num_padded_tokens += retained.num_padded_tokens;
  return sum;
}

// A micro batch of the inner task, then one of retained texts.
class MicroBatchPair : public MicroBatch {
 public:
  // `distance`: the retained loss of the step without its weight is added to it.
  MicroBatchPair(std::unique_ptr<MicroBatch> inner, std::unique_ptr<RetainMicroBatch> retained,
                 std::shared_ptr<double> distance)
      : MicroBatch(sum_of(inner->info(), retained->info())),
        inner_(std::move(inner)),
        retained_(std::move(retained)),
        distance_(std::move(distance)) {}

  ObjectiveResult forward_backward(nn::CausalLm& model, const StepCounts& step,
                                   const nn::ForwardOptions& options) const override {
    auto result = inner_->forward_backward(model, step, options);
    if (!std::isfinite(result.loss)) return result;
    nn::ForwardOptions own_options = options;
    own_options.dropout_key = mix_seed(options.dropout_key, {kRetainDropoutStream});
    const double loss = retained_->forward_backward(model, step, own_options).loss;
    result.loss += loss;
    if (result.contrast) *result.contrast += loss;
    if (retained_->weight() > 0.0) *distance_ += loss / retained_->weight();
    return result;
  }

 private:
  std::unique_ptr<MicroBatch> inner_;
  std::unique_ptr<RetainMicroBatch> retained_;
  std::shared_ptr<double> distance_;
};

}  // namespace

class RetainedTask::Impl {
 public:
  Impl(std::unique_ptr<StepTask> inner, const std::vector<RetainedText>& texts,
       const data::TextEncoder& encoder, const RetainStepOptions& options,
       std::shared_ptr<NllCache> cache)
      : inner_(std::move(inner)),
        options_(options),
        texts_(encode_texts(texts, encoder)),
        texts_per_batch_(std::min(options.texts_per_micro_batch, std::ssize(texts_))),
        order_(std::ssize(texts_), options),
        passes_(std::move(cache)),
        base_(texts_.size()) {
    CPX_CHECK(options.texts_per_micro_batch > 0,
              "[retain] got {} texts a micro batch, expected 1 or more.",
              options.texts_per_micro_batch);
  }

  StepTask& inner() { return *inner_; }
  int64_t num_texts() const { return std::ssize(texts_); }
  int64_t num_base_passes() const { return passes_.num_passes(); }

  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) {
    auto inner = inner_->prepare(model, epoch, index);
    const int64_t position = epoch * inner_->num_micro_batches() + index;
    const auto chosen = order_.texts(position * texts_per_batch_, texts_per_batch_);
    auto packed = pack_texts(texts_, chosen);
    std::vector<double> base_nll;
    for (const int64_t text : chosen) {
      const auto& values = base_of(model, text);
      base_nll.insert(base_nll.end(), values.begin(), values.end());
    }
    MicroBatchInfo info{
        .counts = {.retained_tokens = std::ssize(packed.targets)},
        .num_tokens = packed.num_tokens,
        .num_padded_tokens = packed.num_padded_tokens,
    };
    return std::make_unique<MicroBatchPair>(
        std::move(inner),
        std::make_unique<RetainMicroBatch>(std::move(info), std::move(packed), std::move(base_nll),
                                           options_.weight),
        distance_);
  }

  // Mean squared distance over the retained tokens of the step that ends.
  double take_distance() { return std::exchange(*distance_, 0.0); }

 private:
  // The base's NLLs of a text's predicted tokens.
  const std::vector<float>& base_of(nn::CausalLm& model, int64_t text) {
    if (base_[static_cast<size_t>(text)].empty()) compute_base(model, text);
    return base_[static_cast<size_t>(text)];
  }

  // Computes the pack of neighbours that the text is one of, so that no bit of a text's values
  // depends on the order.
  void compute_base(nn::CausalLm& model, int64_t text) {
    const int64_t begin = text / texts_per_batch_ * texts_per_batch_;
    const int64_t end = std::min(begin + texts_per_batch_, num_texts());
    std::vector<int64_t> neighbours;
    for (int64_t i = begin; i < end; ++i) neighbours.push_back(i);
    const auto packed = pack_texts(texts_, neighbours);
    const auto nll = passes_.of(model, packed);
    for (size_t i = 0; i < neighbours.size(); ++i) {
      const auto first = nll.begin() + packed.texts[i].first;
      base_[static_cast<size_t>(neighbours[i])].assign(first, first + packed.texts[i].count);
    }
  }

  std::unique_ptr<StepTask> inner_;
  RetainStepOptions options_;
  TextIds texts_;
  int64_t texts_per_batch_;
  RetainOrder order_;
  BasePasses passes_;
  std::vector<std::vector<float>> base_;  // of each text; empty: not computed yet
  std::shared_ptr<double> distance_ = std::make_shared<double>(0.0);
};

RetainedTask::RetainedTask(std::unique_ptr<StepTask> inner, const std::vector<RetainedText>& texts,
                           const data::TextEncoder& encoder, const RetainStepOptions& options,
                           std::shared_ptr<NllCache> cache)
    : impl_(std::make_unique<Impl>(std::move(inner), texts, encoder, options, std::move(cache))) {}

RetainedTask::~RetainedTask() = default;

std::string RetainedTask::name() const { return impl_->inner().name(); }

int64_t RetainedTask::num_micro_batches() const { return impl_->inner().num_micro_batches(); }

std::unique_ptr<MicroBatch> RetainedTask::prepare(nn::CausalLm& model, int64_t epoch,
                                                  int64_t index) {
  return impl_->prepare(model, epoch, index);
}

bool RetainedTask::has_evaluation() const { return impl_->inner().has_evaluation(); }

EvaluationResult RetainedTask::evaluate(nn::CausalLm& model) {
  return impl_->inner().evaluate(model);
}

std::vector<nn::NamedParameter> RetainedTask::trainable() const {
  return impl_->inner().trainable();
}

void RetainedTask::begin_run(const std::filesystem::path& run_folder, int64_t step) {
  impl_->inner().begin_run(run_folder, step);
}

std::vector<Figure> RetainedTask::end_step(int64_t step) {
  auto figures = impl_->inner().end_step(step);
  figures.push_back({.name = "retain_distance", .value = impl_->take_distance()});
  return figures;
}

void RetainedTask::write_weights(const std::filesystem::path& folder) const {
  impl_->inner().write_weights(folder);
}

void RetainedTask::write_state(const std::filesystem::path& folder) const {
  impl_->inner().write_state(folder);
}

void RetainedTask::read_state(const std::filesystem::path& folder) {
  impl_->inner().read_state(folder);
}

int64_t RetainedTask::num_texts() const { return impl_->num_texts(); }

int64_t RetainedTask::num_base_passes() const { return impl_->num_base_passes(); }

}  // namespace cpx::training
