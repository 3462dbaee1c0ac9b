// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/objective_result.h"

namespace cpx::objectives {

TextSums& TextSums::operator+=(const TextSums& other) {
  texts += other.texts;
  tokens += other.tokens;
  nll_sum += other.nll_sum;
  text_nll_sum += other.text_nll_sum;
  return *this;
}

}  // namespace cpx::objectives
