// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/prototype_step.h"

namespace cpx::training {

std::unique_ptr<GroupStep> prototype_step(const GroupData& data,
                                          const objectives::PrototypeOptions& options) {
  return text_step(
      "prototype", data,
      [options](const objectives::TextBatch& batch, const objectives::StepCounts& step) {
        return objectives::prototype(batch, options, step);
      });
}

}  // namespace cpx::training
