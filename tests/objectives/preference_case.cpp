// SPDX-License-Identifier: Apache-2.0
#include "tests/objectives/preference_case.h"

#include <numeric>

#include "cpx/core/random.h"

namespace cpx::objectives {

Answer PreferenceCase::answer(const std::vector<double>& nll, double reference_nll) {
  const TokenRange tokens{.first = std::ssize(token_nll), .count = std::ssize(nll)};
  token_nll.insert(token_nll.end(), nll.begin(), nll.end());
  return {.tokens = tokens, .reference_nll = reference_nll};
}

void PreferenceCase::add(const std::vector<double>& chosen, double chosen_reference,
                         const std::vector<double>& rejected, double rejected_reference) {
  const Answer wanted = answer(chosen, chosen_reference);
  preferences.push_back({.chosen = wanted, .rejected = {answer(rejected, rejected_reference)}});
}

StepCounts PreferenceCase::counts() const {
  StepCounts counts{.pairs = std::ssize(preferences)};
  for (const Preference& one : preferences) {
    counts.positive_texts += 1;
    counts.positive_tokens += one.chosen.tokens.count;
  }
  return counts;
}

PreferenceCase random_preferences(int64_t num_pairs, int64_t num_rejected, uint64_t seed) {
  CounterRng rng(seed, {});
  PreferenceCase result;
  const auto random_answer = [&] {
    std::vector<double> nll(1 + rng.below(6));
    for (double& value : nll) value = 0.1 + 3.0 * rng.uniform();
    const double sum = std::accumulate(nll.begin(), nll.end(), 0.0);
    return result.answer(nll, sum + 6.0 * (rng.uniform() - 0.5));
  };
  for (int64_t i = 0; i < num_pairs; ++i) {
    Preference one{.chosen = random_answer()};
    for (int64_t k = 0; k < num_rejected; ++k) one.rejected.push_back(random_answer());
    result.preferences.push_back(one);
  }
  return result;
}

ObjectiveResult run(const PreferenceCase& one, const DpoOptions& options) {
  return dpo(one.batch(), options, one.counts());
}

ObjectiveResult run(const PreferenceCase& one, const SimpoOptions& options) {
  return simpo(one.batch(), options, one.counts());
}

ObjectiveResult run(const PreferenceCase& one, const OrpoOptions& options) {
  return orpo(one.batch(), options, one.counts());
}

ObjectiveResult run(const PreferenceCase& one, const CpoOptions& options) {
  return cpo(one.batch(), options, one.counts());
}

ObjectiveResult run(const PreferenceCase& one, const NpoOptions& options) {
  return npo(one.batch(), options, one.counts());
}

}  // namespace cpx::objectives
