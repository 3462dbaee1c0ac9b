// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/sft_step.h"

#include <algorithm>
#include <vector>

#include "cpx/objectives/sft.h"
#include "text_micro_batch.h"

namespace cpx::training {

namespace {

// Toxic texts (of an evaluation) have no part in the loss.
objectives::ObjectiveResult sft_of_neutral_texts(const objectives::TextBatch& batch,
                                                 const objectives::StepCounts& step) {
  std::vector<objectives::TokenRange> ranges;
  for (const objectives::GroupText& text : batch.texts) {
    if (text.role == TextRole::kPositive) ranges.push_back(text.tokens);
  }
  return objectives::sft(ranges, batch.token_nll, step.positive_tokens);
}

// Adds the record's first toxic texts, as many as neutral ones or all there are.
void add_toxic_texts(data::DrawnGroup& group, const data::Record& record) {
  const int64_t count = std::min(std::ssize(group.texts), std::ssize(record.toxic));
  for (int64_t i = 0; i < count; ++i) {
    group.texts.push_back({.role = TextRole::kHardNegative, .record = group.record, .text = i});
  }
}

std::unique_ptr<PackedMicroBatch> make_sft_training(nn::CausalLm& /*model*/, GroupSource& source,
                                                    std::span<const data::DrawnGroup> groups) {
  return make_text_batch(source, groups, sft_of_neutral_texts);
}

std::unique_ptr<PackedMicroBatch> make_sft_evaluation(nn::CausalLm& /*model*/, GroupSource& source,
                                                      std::span<const data::DrawnGroup> groups) {
  std::vector<data::DrawnGroup> both_sides(groups.begin(), groups.end());
  for (data::DrawnGroup& group : both_sides) {
    add_toxic_texts(group, source.groups().records()[static_cast<size_t>(group.record)]);
  }
  return make_text_batch(source, both_sides, sft_of_neutral_texts);
}

}  // namespace

std::unique_ptr<GroupStep> sft_step(const GroupData& data) {
  return std::make_unique<GroupStep>("sft", data, make_sft_training, make_sft_evaluation);
}

}  // namespace cpx::training
