// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/objective_result.h"

namespace cpx::objectives {

StepCounts& StepCounts::operator+=(const StepCounts& other) {
  groups += other.groups;
  positive_texts += other.positive_texts;
  positive_tokens += other.positive_tokens;
  negative_texts += other.negative_texts;
  pairs += other.pairs;
  retained_tokens += other.retained_tokens;
  response_tokens += other.response_tokens;
  return *this;
}

TextSums& TextSums::operator+=(const TextSums& other) {
  texts += other.texts;
  tokens += other.tokens;
  nll_sum += other.nll_sum;
  text_nll_sum += other.text_nll_sum;
  return *this;
}

PreferenceSums& PreferenceSums::operator+=(const PreferenceSums& other) {
  pairs += other.pairs;
  num_correct += other.num_correct;
  chosen_reward_sum += other.chosen_reward_sum;
  rejected_reward_sum += other.rejected_reward_sum;
  return *this;
}

}  // namespace cpx::objectives
