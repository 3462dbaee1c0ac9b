// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/prototype.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "cpx/core/error.h"
#include "group_cross_entropy.h"
#include "token_ranges.h"

namespace cpx::objectives {

namespace {

using Texts = std::vector<const GroupText*>;

struct Group {
  Texts inputs;
  Texts others;  // what is compared with the input
};

void check_text(const GroupText& text, size_t index, const TextBatch& batch) {
  CPX_CHECK(text.group >= 0 && text.group < batch.num_groups,
            "[prototype] text {}: got group {}, expected 0 to {}.", index, text.group,
            batch.num_groups - 1);
  CPX_CHECK(text.role != TextRole::kRandomNegative && text.role != TextRole::kComposed,
            "[prototype] text {}: got role {}, expected input, positive or hard_negative.", index,
            role_name(text.role));
  check_token_range("prototype", "text", index, text.tokens, batch.token_nll.size());
}

void check_group(const Group& group, size_t index) {
  CPX_CHECK(group.inputs.size() == 1, "[prototype] group {}: got {} inputs, expected 1.", index,
            group.inputs.size());
  CPX_CHECK(
      std::ranges::any_of(group.others,
                          [](const GroupText* text) { return text->role == TextRole::kPositive; }),
      "[prototype] group {}: got no positive, expected 1 or more.", index);
}

std::vector<Group> split_groups(const TextBatch& batch) {
  std::vector<Group> groups(batch.num_groups);
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    const GroupText& text = batch.texts[i];
    check_text(text, i, batch);
    Group& group = groups[text.group];
    (text.role == TextRole::kInput ? group.inputs : group.others).push_back(&text);
  }
  for (size_t g = 0; g < groups.size(); ++g) check_group(groups[g], g);
  return groups;
}

// All tokens of a text, the first one too, which is not predicted.
double text_length(const GroupText& text) { return static_cast<double>(text.tokens.count + 1); }

double longest_of(const Group& group) {
  double longest = text_length(*group.inputs[0]);
  for (const GroupText* text : group.others) longest = std::max(longest, text_length(*text));
  return longest;
}

double longest_of(const std::vector<Group>& groups) {
  double longest = 0.0;
  for (const Group& group : groups) longest = std::max(longest, longest_of(group));
  return longest;
}

// Adds a group's share: `weight` times its cross entropy. Mean NLLs are multiplied by length over
// `longest`.
void add_group(const Group& group, double longest, double weight, const TextBatch& batch,
               ObjectiveResult& result) {
  const auto scale = [&](const GroupText& text) { return text_length(text) / longest; };
  const GroupText& input = *group.inputs[0];
  std::vector<CentredText> centred;
  for (const GroupText* text : group.others) {
    centred.push_back({.mean_nll = scale(*text) * mean_nll(text->tokens, batch.token_nll),
                       .is_target = text->role == TextRole::kPositive});
  }
  const double centre = scale(input) * mean_nll(input.tokens, batch.token_nll);
  const CentredCrossEntropy loss = centred_cross_entropy(centred, centre, /*label_smoothing=*/0.0);

  result.loss += weight * loss.value;
  add_mean_slope(input.tokens, weight * loss.centre_slope * scale(input), result.gradient);
  for (size_t k = 0; k < group.others.size(); ++k) {
    const GroupText& text = *group.others[k];
    add_mean_slope(text.tokens, weight * loss.slopes[k] * scale(text), result.gradient);
    (centred[k].is_target ? result.positives : result.hard_negatives) +=
        text_sums(text.tokens, batch.token_nll);
  }
}

}  // namespace

ObjectiveResult prototype(const TextBatch& batch, const PrototypeOptions& options,
                          const StepCounts& step) {
  CPX_CHECK(batch.num_groups > 0, "[prototype] got {} groups, expected 1 or more.",
            batch.num_groups);
  CPX_CHECK(step.groups >= batch.num_groups,
            "[prototype] the step's count is too small: got {} groups, expected at least the {} of "
            "this micro batch.",
            step.groups, batch.num_groups);
  const std::vector<Group> groups = split_groups(batch);
  const bool is_batch = options.longest == PrototypeOptions::Longest::kBatch;
  const double longest_of_batch = longest_of(groups);

  ObjectiveResult result;
  result.gradient.assign(batch.token_nll.size(), 0.0);
  for (const Group& group : groups) {
    add_group(group, is_batch ? longest_of_batch : longest_of(group),
              1.0 / static_cast<double>(step.groups), batch, result);
  }
  if (!all_finite(batch.token_nll)) result.loss = std::numeric_limits<double>::quiet_NaN();
  return result;
}

}  // namespace cpx::objectives
