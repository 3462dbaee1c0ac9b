// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/cycle.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "cpx/core/error.h"
#include "group_cross_entropy.h"
#include "token_ranges.h"

namespace cpx::objectives {

namespace {

using Members = std::vector<size_t>;  // indices of texts

bool is_positive(const CycleText& text) { return text.contrast == TextRole::kPositive; }

// ---- Checks -------------------------------------------------------------------------------------

void check_text(const CycleText& text, size_t index, const CycleBatch& batch) {
  CPX_CHECK(text.group >= 0 && text.group < batch.num_groups,
            "[cycle] text {}: got group {}, expected 0 to {}.", index, text.group,
            batch.num_groups - 1);
  CPX_CHECK(!text.contrast || is_positive(text) || text.contrast == TextRole::kHardNegative,
            "[cycle] text {}: got role {} in the contrast, expected positive or hard_negative.",
            index, role_name(*text.contrast));
  check_token_range("cycle", "text", index, text.tokens, batch.token_nll.size());
}

StepCounts counts_of(const CycleBatch& batch) {
  StepCounts counts{.groups = batch.num_groups};
  for (const CycleText& text : batch.texts) {
    counts.pairs += text.term == CycleTerm::kPairs ? 1 : 0;
    counts.positive_texts += text.term == CycleTerm::kPositives ? 1 : 0;
    counts.negative_texts += text.term == CycleTerm::kNegatives ? 1 : 0;
  }
  return counts;
}

void check(const CycleBatch& batch, const CycleOptions& options, const StepCounts& step) {
  CPX_CHECK(options.label_smoothing >= 0.0 && options.label_smoothing <= 1.0,
            "[cycle] label_smoothing: got {}, expected 0 to 1.", options.label_smoothing);
  CPX_CHECK(batch.num_groups > 0, "[cycle] got {} groups, expected 1 or more.", batch.num_groups);
  for (size_t i = 0; i < batch.texts.size(); ++i) check_text(batch.texts[i], i, batch);
  const StepCounts own = counts_of(batch);
  CPX_CHECK(step.groups >= own.groups && step.pairs >= own.pairs &&
                step.positive_texts >= own.positive_texts &&
                step.negative_texts >= own.negative_texts,
            "[cycle] the step's counts are too small: got {} groups, {} pairs, {} positive and {} "
            "negative texts, expected at least the {}, {}, {} and {} of this micro batch.",
            step.groups, step.pairs, step.positive_texts, step.negative_texts, own.groups,
            own.pairs, own.positive_texts, own.negative_texts);
}

// ---- The terms of the loss ----------------------------------------------------------------------

int64_t term_count(CycleTerm term, const StepCounts& step) {
  switch (term) {
    case CycleTerm::kPairs:
      return step.pairs;
    case CycleTerm::kPositives:
      return step.positive_texts;
    case CycleTerm::kNegatives:
      return step.negative_texts;
  }
  return 0;
}

void add_fine_tuning(const CycleBatch& batch, const StepCounts& step, ObjectiveResult& result) {
  for (const CycleText& text : batch.texts) {
    if (text.term) {
      const double weight = 1.0 / static_cast<double>(term_count(*text.term, step));
      result.loss += weight * mean_nll(text.tokens, batch.token_nll);
      add_mean_slope(text.tokens, weight, result.gradient);
    }
  }
}

// [num_groups] the texts of each group that take part in the contrast.
std::vector<Members> contrast_groups(const CycleBatch& batch) {
  std::vector<Members> groups(batch.num_groups);
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    if (batch.texts[i].contrast) groups[batch.texts[i].group].push_back(i);
  }
  return groups;
}

double count_positives(const CycleBatch& batch, const Members& members) {
  return static_cast<double>(
      std::ranges::count_if(members, [&](size_t i) { return is_positive(batch.texts[i]); }));
}

double centroid_of(const CycleBatch& batch, const Members& members) {
  double sum = 0.0;
  for (const size_t i : members) {
    sum += is_positive(batch.texts[i]) ? mean_nll(batch.texts[i].tokens, batch.token_nll) : 0.0;
  }
  return sum / count_positives(batch, members);
}

// Adds the contrast of groups that share a centroid, each `weight` * CE / (|P| + 1).
void add_contrast(const CycleBatch& batch, const std::vector<Members>& groups, double weight,
                  double label_smoothing, ObjectiveResult& result) {
  Members everything;
  for (const Members& group : groups) {
    everything.insert(everything.end(), group.begin(), group.end());
  }
  const double centroid = centroid_of(batch, everything);
  double centroid_slope = 0.0;
  for (const Members& group : groups) {
    std::vector<CentredText> centred;
    for (const size_t i : group) {
      centred.push_back({.mean_nll = mean_nll(batch.texts[i].tokens, batch.token_nll),
                         .is_target = is_positive(batch.texts[i])});
    }
    const CentredCrossEntropy loss = centred_cross_entropy(centred, centroid, label_smoothing);
    const double group_weight = weight / (count_positives(batch, group) + 1.0);
    result.loss += group_weight * loss.value;
    centroid_slope += group_weight * loss.centre_slope;
    for (size_t k = 0; k < group.size(); ++k) {
      add_mean_slope(batch.texts[group[k]].tokens, group_weight * loss.slopes[k], result.gradient);
    }
  }
  const double share = centroid_slope / count_positives(batch, everything);
  for (const size_t i : everything) {
    if (is_positive(batch.texts[i])) add_mean_slope(batch.texts[i].tokens, share, result.gradient);
  }
}

}  // namespace

ObjectiveResult cycle(const CycleBatch& batch, const CycleOptions& options,
                      const StepCounts& step) {
  check(batch, options, step);
  const std::vector<Members> groups = contrast_groups(batch);
  for (size_t g = 0; g < groups.size(); ++g) {
    CPX_CHECK(count_positives(batch, groups[g]) > 0.0,
              "[cycle] group {}: got no positive in the contrast, expected 1 or more.", g);
  }

  ObjectiveResult result;
  result.gradient.assign(batch.token_nll.size(), 0.0);
  for (const CycleText& text : batch.texts) {
    if (text.contrast) {
      (is_positive(text) ? result.positives : result.hard_negatives) +=
          text_sums(text.tokens, batch.token_nll);
    }
  }
  add_fine_tuning(batch, step, result);
  const double weight = options.alpha / static_cast<double>(step.groups);
  if (options.centroid == CycleOptions::Centroid::kBatch) {
    add_contrast(batch, groups, weight, options.label_smoothing, result);
  } else {
    for (const Members& group : groups) {
      add_contrast(batch, {group}, weight, options.label_smoothing, result);
    }
  }
  if (!all_finite(batch.token_nll)) result.loss = std::numeric_limits<double>::quiet_NaN();
  return result;
}

}  // namespace cpx::objectives
