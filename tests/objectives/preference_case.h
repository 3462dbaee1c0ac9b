// SPDX-License-Identifier: Apache-2.0
// A micro batch of preferences that owns its numbers, written answer by answer, and random ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cpx/objectives/cpo.h"
#include "cpx/objectives/npo.h"
#include "cpx/objectives/orpo.h"
#include "cpx/objectives/preference.h"
#include "tests/objectives/gradient_check.h"

namespace cpx::objectives {

struct PreferenceCase {
  std::vector<Preference> preferences = {};
  std::vector<double> token_nll = {};

  /// Appends the answer's predictions.
  Answer answer(const std::vector<double>& nll, double reference_nll = 0.0);
  /// Appends a preference with one rejected answer.
  void add(const std::vector<double>& chosen, double chosen_reference,
           const std::vector<double>& rejected, double rejected_reference);

  PreferenceBatch batch() const { return {.preferences = preferences, .token_nll = token_nll}; }
  /// The counts of a step that has this micro batch only.
  StepCounts counts() const;
};

/// Answers of 1 to 6 tokens whose sums lie within 3 of the reference's.
PreferenceCase random_preferences(int64_t num_pairs, int64_t num_rejected, uint64_t seed);

/// A micro batch that is a whole step.
ObjectiveResult run(const PreferenceCase& one, const DpoOptions& options);
ObjectiveResult run(const PreferenceCase& one, const SimpoOptions& options);
ObjectiveResult run(const PreferenceCase& one, const OrpoOptions& options);
ObjectiveResult run(const PreferenceCase& one, const CpoOptions& options);
ObjectiveResult run(const PreferenceCase& one, const NpoOptions& options);

/// Expects the gradient of run() to be that of its loss.
template <class Options>
void expect_gradient_matches(const PreferenceCase& one, const Options& options,
                             const std::string& what) {
  const auto loss_at = [&](const std::vector<double>& token_nll) {
    PreferenceCase moved = one;
    moved.token_nll = token_nll;
    return run(moved, options).loss;
  };
  expect_gradient(run(one, options).gradient, one.token_nll, loss_at, what);
}

}  // namespace cpx::objectives
