// SPDX-License-Identifier: Apache-2.0
#include "text_micro_batch.h"

#include <utility>
#include <vector>

namespace cpx::training {

namespace {

std::vector<objectives::GroupText> group_texts_of(const data::PackedBatch& packed) {
  std::vector<objectives::GroupText> texts;
  for (const data::PackedText& text : packed.texts) {
    texts.push_back({.group = text.group,
                     .role = text.role,
                     .tokens = {.first = text.first, .count = text.count}});
  }
  return texts;
}

class TextMicroBatch : public PackedMicroBatch {
 public:
  TextMicroBatch(MicroBatchInfo info, data::PackedBatch packed, TextLoss loss)
      : PackedMicroBatch(std::move(info), std::move(packed)),
        texts_(group_texts_of(this->packed())),
        loss_(std::move(loss)) {}

  objectives::ObjectiveResult objective(std::span<const double> nll,
                                        const objectives::StepCounts& step) const override {
    return loss_({.texts = texts_, .num_groups = info().counts.groups, .token_nll = nll}, step);
  }

 private:
  std::vector<objectives::GroupText> texts_;
  TextLoss loss_;
};

}  // namespace

std::unique_ptr<PackedMicroBatch> make_text_batch(GroupSource& source,
                                                  std::span<const data::DrawnGroup> groups,
                                                  const TextLoss& loss) {
  const GroupBatch batch = source.encode(groups, /*needs_hard_negative=*/false).batch;
  auto packed = source.pack(batch);
  auto info = source.info(batch, packed);
  return std::make_unique<TextMicroBatch>(std::move(info), std::move(packed), loss);
}

}  // namespace cpx::training
