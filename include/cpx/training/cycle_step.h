// SPDX-License-Identifier: Apache-2.0
// The cycle objective (instructions from toxic to neutral and back, beside the contrast of the
// plain texts) as a step task.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "cpx/data/text_encoder.h"
#include "cpx/data/variant_items.h"
#include "cpx/objectives/cycle.h"
#include "cpx/training/group_step.h"

namespace cpx::training {

struct CycleStepOptions {
  /// What the three means of supervised fine-tuning are over; the published script leaves it open
  /// (docs/objectives.md). kTexts: both kinds of instruction pairs, the plain toxic and the plain
  /// neutral texts, as its names say. kPairs: instruction pairs alone, to neutral, to toxic, and
  /// back; the plain texts are only contrasted.
  enum class FineTuning { kTexts, kPairs };

  FineTuning fine_tuning = FineTuning::kTexts;
  objectives::CycleOptions objective = {};

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("fine_tuning", fine_tuning,
                "What is learned: texts are both kinds of instruction pairs, toxic and neutral "
                "texts; pairs are instruction pairs alone");
    objective.visit_fields(visit);
  }
};

constexpr std::array<std::string_view, 2> enum_names(CycleStepOptions::FineTuning) {
  return {"texts", "pairs"};
}

/// Those of data::cycle_items that `fine_tuning` or the contrast has a use for: without the cycle
/// pairs under kTexts, where the toxify pairs are what they would be.
std::vector<data::CycleItem> used_cycle_items(const data::GroupTexts& texts,
                                              const data::TextEncoder& encoder,
                                              CycleStepOptions::FineTuning fine_tuning);

/// The cycle objective on groups that have a positive and a hard negative or more. The evaluation
/// loss is over all items as in training, its perplexities are those of the plain neutral and toxic
/// texts alone. Throws std::invalid_argument for groups without hard negatives.
std::unique_ptr<GroupStep> cycle_step(const GroupData& data, const CycleStepOptions& options);

}  // namespace cpx::training
