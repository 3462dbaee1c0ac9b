// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/transfer.h"

#include <limits>
#include <vector>

#include "cpx/core/error.h"
#include "group_cross_entropy.h"
#include "token_ranges.h"

namespace cpx::objectives {

namespace {

using TextGroup = std::vector<const TransferText*>;

bool has_part(const TransferText& text, TransferPart part) { return text.part == part; }

std::vector<TextGroup> split_groups(const TransferBatch& batch) {
  std::vector<TextGroup> groups(batch.num_groups);
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    const TransferText& text = batch.texts[i];
    CPX_CHECK(text.group >= 0 && text.group < batch.num_groups,
              "[transfer] text {}: got group {}, expected 0 to {}.", i, text.group,
              batch.num_groups - 1);
    check_token_range("transfer", "text", i, text.tokens, batch.token_nll.size());
    groups[text.group].push_back(&text);
  }
  return groups;
}

// Adds alpha * CE / (|P| + 1) of a group over the step's groups.
void add_contrast(const TextGroup& group, size_t index, const TransferBatch& batch, double weight,
                  ObjectiveResult& result) {
  std::vector<CentredText> centred;
  double centre_sum = 0.0;
  double num_centre = 0.0;
  double num_targets = 0.0;
  for (const TransferText* text : group) {
    const bool is_target = !has_part(*text, TransferPart::kReferenceNegative);
    centred.push_back(
        {.mean_nll = mean_nll(text->tokens, batch.token_nll), .is_target = is_target});
    num_targets += is_target ? 1.0 : 0.0;
    if (has_part(*text, TransferPart::kPositiveReference)) {
      centre_sum += centred.back().mean_nll;
      num_centre += 1.0;
    }
  }
  CPX_CHECK(num_centre > 0.0,
            "[transfer] group {}: got no positive with the reference, expected 1 or more.", index);
  const CentredCrossEntropy loss =
      centred_cross_entropy(centred, centre_sum / num_centre, /*label_smoothing=*/0.0);

  const double group_weight = weight / (num_targets + 1.0);
  result.loss += group_weight * loss.value;
  for (size_t k = 0; k < group.size(); ++k) {
    const bool is_centre = has_part(*group[k], TransferPart::kPositiveReference);
    const double slope = loss.slopes[k] + (is_centre ? loss.centre_slope / num_centre : 0.0);
    add_mean_slope(group[k]->tokens, group_weight * slope, result.gradient);
  }
}

}  // namespace

ObjectiveResult transfer(const TransferBatch& batch, const TransferOptions& options,
                         const StepCounts& step) {
  CPX_CHECK(batch.num_groups > 0, "[transfer] got {} groups, expected 1 or more.",
            batch.num_groups);
  const std::vector<TextGroup> groups = split_groups(batch);
  ObjectiveResult result;
  result.gradient.assign(batch.token_nll.size(), 0.0);
  int64_t num_transfers = 0;
  for (const TransferText& text : batch.texts) {
    const bool is_target = !has_part(text, TransferPart::kReferenceNegative);
    (is_target ? result.positives : result.hard_negatives) +=
        text_sums(text.tokens, batch.token_nll);
    num_transfers += has_part(text, TransferPart::kNegativeReference) ? 1 : 0;
  }
  CPX_CHECK(step.groups >= batch.num_groups && step.pairs >= num_transfers,
            "[transfer] the step's counts are too small: got {} groups, {} pairs, expected at "
            "least the {} and {} of this micro batch.",
            step.groups, step.pairs, batch.num_groups, num_transfers);

  for (const TransferText& text : batch.texts) {
    if (has_part(text, TransferPart::kNegativeReference)) {
      const double weight = 1.0 / static_cast<double>(step.pairs);
      result.loss += weight * mean_nll(text.tokens, batch.token_nll);
      add_mean_slope(text.tokens, weight, result.gradient);
    }
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    add_contrast(groups[g], g, batch, options.alpha / static_cast<double>(step.groups), result);
  }
  if (!all_finite(batch.token_nll)) result.loss = std::numeric_limits<double>::quiet_NaN();
  return result;
}

}  // namespace cpx::objectives
