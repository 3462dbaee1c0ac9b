// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/prototype_step.h"

#include <utility>
#include <vector>

#include "group_task.h"

namespace cpx::training {

namespace {

using objectives::ObjectiveResult;
using objectives::PrototypeText;
using objectives::StepCounts;

std::vector<PrototypeText> prototype_texts(const data::PackedBatch& packed) {
  std::vector<PrototypeText> texts;
  for (const data::PackedText& text : packed.texts) {
    texts.push_back({.group = text.group,
                     .role = text.role,
                     .tokens = {.first = text.first, .count = text.count}});
  }
  return texts;
}

class PrototypeMicroBatch : public PackedMicroBatch {
 public:
  PrototypeMicroBatch(MicroBatchInfo info, data::PackedBatch packed,
                      const objectives::PrototypeOptions& options)
      : PackedMicroBatch(std::move(info), std::move(packed)),
        texts_(prototype_texts(this->packed())),
        options_(options) {}

  ObjectiveResult objective(std::span<const double> nll, const StepCounts& step) const override {
    return objectives::prototype(
        {.texts = texts_, .num_groups = info().counts.groups, .token_nll = nll}, options_, step);
  }

 private:
  std::vector<PrototypeText> texts_;
  objectives::PrototypeOptions options_;
};

MakeMicroBatch prototype_maker(const objectives::PrototypeOptions& options) {
  return [options](nn::CausalLm& /*model*/, GroupSource& source,
                   std::span<const data::DrawnGroup> groups) {
    const GroupBatch batch = source.encode(groups, /*needs_hard_negative=*/false).batch;
    auto packed = data::pack(batch.texts);
    auto info = source.info(batch, packed);
    return std::make_unique<PrototypeMicroBatch>(std::move(info), std::move(packed), options);
  };
}

}  // namespace

std::unique_ptr<GroupStep> prototype_step(std::span<const data::Record> train_records,
                                          std::span<const data::Record> eval_records,
                                          const data::TextEncoder& encoder,
                                          const PrototypeStepOptions& options) {
  const GroupTaskData data =
      group_task_data(train_records, eval_records, encoder, options, /*with_input=*/true);
  return std::make_unique<GroupStep>(
      "prototype", std::make_unique<GroupTask>(data, prototype_maker(options.objective),
                                               prototype_maker(options.objective)));
}

}  // namespace cpx::training
