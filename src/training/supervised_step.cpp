// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/supervised_step.h"

#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "cpx/core/error.h"
#include "cpx/objectives/sft.h"
#include "group_batch.h"
#include "packed_micro_batch.h"

namespace cpx::training {

namespace {

class SupervisedMicroBatch : public PackedMicroBatch {
 public:
  SupervisedMicroBatch(MicroBatchInfo info, data::PackedBatch packed)
      : PackedMicroBatch(std::move(info), std::move(packed)) {
    for (const data::PackedText& text : this->packed().texts) {
      tokens_.push_back({.first = text.first, .count = text.count});
    }
  }

  objectives::ObjectiveResult objective(std::span<const double> nll,
                                        const objectives::StepCounts& step) const override {
    return objectives::sft(tokens_, nll, step.positive_tokens);
  }

 private:
  std::vector<objectives::TokenRange> tokens_;
};

// The texts of one purpose, training or evaluation.
class SupervisedSource {
 public:
  SupervisedSource(std::span<const data::SupervisedText> texts, const SupervisedData& data,
                   bool is_shuffled, bool drop_last)
      : texts_(texts),
        encoder_(data.encoder),
        order_(std::ssize(texts), data.texts_per_micro_batch, drop_last,
               [num_texts = std::ssize(texts), is_shuffled, seed = data.seed](int64_t epoch) {
                 return data::supervised_order(num_texts, is_shuffled, seed, epoch);
               }) {}

  int64_t num_micro_batches() const { return order_.num_micro_batches(); }

  std::unique_ptr<PackedMicroBatch> prepare(int64_t epoch, int64_t index) {
    std::vector<data::MaskedText> encoded;
    std::vector<std::string> records;
    for (const int64_t number : order_.units(epoch, index)) {
      const data::SupervisedText& text = texts_[static_cast<size_t>(number)];
      encoded.push_back(encoder_.encode(text));
      records.push_back(text.where);
    }
    std::vector<data::BatchText> texts;
    for (const data::MaskedText& text : encoded) {
      texts.push_back({.ids = text.ids, .group = std::ssize(texts), .predicted = text.predicted});
    }
    auto packed = data::pack(texts);
    auto info = packed_info(packed);
    info.records = std::move(records);
    return std::make_unique<SupervisedMicroBatch>(std::move(info), std::move(packed));
  }

 private:
  std::span<const data::SupervisedText> texts_;
  const data::SupervisedEncoder& encoder_;
  MicroBatchOrder order_;
};

class SupervisedStep final : public StepTask {
 public:
  explicit SupervisedStep(const SupervisedData& data)
      : train_(data.train, data, data.shuffle, data.drop_last) {
    if (!data.eval.empty()) {
      eval_.emplace(data.eval, data, /*is_shuffled=*/false, /*drop_last=*/false);
    }
  }

  std::string name() const override { return "sft"; }
  int64_t num_micro_batches() const override { return train_.num_micro_batches(); }

  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& /*model*/, int64_t epoch,
                                      int64_t index) override {
    return train_.prepare(epoch, index);
  }

  bool has_evaluation() const override { return eval_.has_value(); }

  EvaluationResult evaluate(nn::CausalLm& model) override {
    check_has_evaluation(eval_.has_value(), "texts");
    for (int64_t i = std::ssize(eval_batches_); i < eval_->num_micro_batches(); ++i) {
      eval_batches_.push_back(eval_->prepare(/*epoch=*/0, i));
    }
    const double loss = evaluate_batches(model, eval_batches_).loss;
    return {.loss = loss, .figures = {{.name = "perplexity", .value = std::exp(loss)}}};
  }

 private:
  SupervisedSource train_;
  std::optional<SupervisedSource> eval_;
  std::vector<std::unique_ptr<PackedMicroBatch>> eval_batches_;  // the same each time
};

}  // namespace

std::unique_ptr<StepTask> supervised_step(const SupervisedData& data) {
  return std::make_unique<SupervisedStep>(data);
}

}  // namespace cpx::training
