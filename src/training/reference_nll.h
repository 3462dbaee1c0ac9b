// SPDX-License-Identifier: Apache-2.0
// What a frozen policy says of answers behind their prompts.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cpx/data/pair_encoder.h"
#include "cpx/training/preference_step.h"

namespace cpx::training {

/// Asks the cache where it knows, else the model.
class ReferenceNll {
 public:
  ReferenceNll(PreferenceReference reference, bool shares_prompts)
      : reference_(std::move(reference)), shares_prompts_(shares_prompts) {}

  /// The sum over each answer's predicted tokens, natural log, in the order of the pairs and their
  /// answers.
  std::vector<double> of(nn::CausalLm& trained, std::span<const data::EncodedPair> pairs);

  /// Answers that the model has computed so far.
  int64_t num_computed() const { return num_computed_; }

  /// Writes what the cache has taken in.
  void flush() const;

 private:
  std::optional<double> look_up(const data::EncodedPair& pair, int64_t answer) const;
  std::vector<double> compute(nn::CausalLm& trained, std::span<const data::EncodedPair> pairs);

  PreferenceReference reference_;
  bool shares_prompts_;
  int64_t num_computed_ = 0;
};

}  // namespace cpx::training
