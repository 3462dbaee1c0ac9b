// SPDX-License-Identifier: Apache-2.0
// What the numbers of a text classifier mean.
#pragma once

namespace cpx {

/// How to turn the numbers of a classifier into scores.
enum class LabelKind {
  kOneOf,        // one label is right: softmax over all
  kIndependent,  // each label by itself: sigmoid
  kValues,       // no labels but values (regression): no probabilities
};

}  // namespace cpx
