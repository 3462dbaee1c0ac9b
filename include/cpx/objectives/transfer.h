// SPDX-License-Identifier: Apache-2.0
// Transfer: the model learns to go on from a toxic wording to the neutral reference, and the
// contrast tells items that end in the reference from items that end in a toxic wording.
// Formulas and what is open in the source: docs/objectives.md.
// Source: train_seq2seq.py of SAP-samples/acl2025-contrastive-perplexity (ee41e50).
// N = predictions of a micro batch.
#pragma once

#include <cstdint>
#include <span>

#include "cpx/objectives/objective_result.h"
#include "cpx/objectives/token_range.h"

namespace cpx::objectives {

/// What a text is put together from, the reference being the record's input sentence.
enum class TransferPart {
  kPositiveReference,  // a neutral wording and the reference, in any order
  kNegativeReference,  // a toxic wording, then the reference: what is to be learned
  kReferenceNegative,  // the reference, then a toxic wording
};

/// One text of a group; all its predicted tokens count, those of the first sentence too.
struct TransferText {
  int64_t group = 0;  // 0 .. num_groups - 1
  TransferPart part = TransferPart::kPositiveReference;
  TokenRange tokens = {};  // an empty text is an error
};

/// A micro batch. Texts may come in any order; nothing is kept of the spans.
struct TransferBatch {
  std::span<const TransferText> texts = {};
  int64_t num_groups = 0;
  std::span<const double> token_nll = {};  // [N] natural log
};

struct TransferOptions {
  double alpha = 100.0;  // weight of the contrast against the transfer

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("alpha", alpha, "Weight of the contrast", {.at_least = 0});
  }
};

/// Mean NLL of the kNegativeReference texts over `step.pairs` (as many as the step has of them)
/// plus alpha times the contrast over `step.groups`, with its gradient. Each group has a
/// kPositiveReference text or more. kNegativeReference texts are targets of the contrast as well.
/// Targets are under `positives`, the others under `hard_negatives`. A NLL that is not finite gives
/// a loss of NaN and never throws; anything else that does not fit is std::invalid_argument.
ObjectiveResult transfer(const TransferBatch& batch, const TransferOptions& options,
                         const StepCounts& step);

}  // namespace cpx::objectives
