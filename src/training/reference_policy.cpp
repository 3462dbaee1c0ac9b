// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/reference_policy.h"

namespace cpx::training {

ReferenceGuard::ReferenceGuard(const ReferencePolicy& reference, nn::CausalLm& trained)
    : model_(reference.model != nullptr ? *reference.model : trained) {
  if (reference.model == nullptr) adapter_off_.emplace();
}

}  // namespace cpx::training
