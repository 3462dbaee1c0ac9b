// SPDX-License-Identifier: Apache-2.0
// A micro batch that owns its numbers, written text by text, and random ones.
#pragma once

#include <cstdint>
#include <vector>

#include "cpx/objectives/contrastive_perplexity.h"

namespace cpx::objectives {

struct ContrastCase {
  std::vector<ContrastText> texts = {};
  int64_t num_groups = 1;
  std::vector<double> token_nll = {};
  std::vector<double> base_token_nll = {};
  int64_t pad_repeat_prediction = -1;
  int64_t padded_length = 0;

  /// Appends a text; `base` is as long as `nll`, or empty in all texts.
  void add(int64_t group, TextRole role, const std::vector<double>& nll,
           const std::vector<double>& base = {});

  /// Appends nll(eos | eos) once and nll(first | eos) of each text, and pads all to `length`.
  void pad(int64_t length, double eos_nll, const std::vector<double>& first_nll,
           double base_eos_nll = 0.0, const std::vector<double>& base_first_nll = {});

  ContrastBatch batch() const;
  /// The counts of a step that has this micro batch only.
  StepCounts counts() const;
};

/// Shape of a random case: every group has as many texts of each role.
struct CaseShape {
  int64_t num_groups = 2;
  int64_t positives = 3;
  int64_t hard_negatives = 2;
  int64_t random_negatives = 1;
  bool has_pads = false;
};

/// A case with texts of 1 to 6 predictions, base NLLs near the NLLs, every other token of a
/// negative as differing (none in a text of one), and pads when asked for.
ContrastCase random_case(const CaseShape& shape, uint64_t seed);

/// A micro batch that is a whole step.
ObjectiveResult run(const ContrastCase& one, const ContrastiveOptions& options);

}  // namespace cpx::objectives
