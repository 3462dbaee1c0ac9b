// SPDX-License-Identifier: Apache-2.0
#include "tests/objectives/contrast_case.h"

#include "cpx/core/random.h"

namespace cpx::objectives {

void ContrastCase::add(int64_t group, TextRole role, const std::vector<double>& nll,
                       const std::vector<double>& base) {
  texts.push_back(
      {.group = group, .role = role, .first = std::ssize(token_nll), .count = std::ssize(nll)});
  token_nll.insert(token_nll.end(), nll.begin(), nll.end());
  base_token_nll.insert(base_token_nll.end(), base.begin(), base.end());
}

void ContrastCase::pad(int64_t length, double eos_nll, const std::vector<double>& first_nll,
                       double base_eos_nll, const std::vector<double>& base_first_nll) {
  const bool has_base = !base_token_nll.empty();
  padded_length = length;
  for (size_t i = 0; i < texts.size(); ++i) {
    texts[i].num_pads = length - 1 - texts[i].count;
    texts[i].pad_prediction = std::ssize(token_nll);
    token_nll.push_back(first_nll[i]);
    if (has_base) base_token_nll.push_back(base_first_nll[i]);
  }
  pad_repeat_prediction = std::ssize(token_nll);
  token_nll.push_back(eos_nll);
  if (has_base) base_token_nll.push_back(base_eos_nll);
}

ContrastBatch ContrastCase::batch() const {
  return {.texts = texts,
          .num_groups = num_groups,
          .token_nll = token_nll,
          .base_token_nll = base_token_nll,
          .pad_repeat_prediction = pad_repeat_prediction,
          .padded_length = padded_length};
}

StepCounts ContrastCase::counts() const {
  StepCounts counts{.groups = num_groups};
  for (const ContrastText& text : texts) {
    if (text.role == TextRole::kPositive) {
      ++counts.positive_texts;
      counts.positive_tokens += text.count;
    } else {
      ++counts.negative_texts;
    }
  }
  return counts;
}

// Every other prediction of the text, from its second on.
void select_some(ContrastText& text) {
  for (int64_t i = 1; i < text.count; i += 2) text.differing.push_back(text.first + i);
}

ContrastCase random_case(const CaseShape& shape, uint64_t seed) {
  CounterRng rng(seed, {});
  const auto near = [&](double nll) { return nll + 0.3 * (rng.uniform() - 0.5); };
  ContrastCase result{.num_groups = shape.num_groups};
  const auto add_texts = [&](int64_t group, TextRole role, int64_t num_texts) {
    for (int64_t i = 0; i < num_texts; ++i) {
      std::vector<double> nll(1 + rng.below(6));
      std::vector<double> base;
      for (double& value : nll) {
        value = 0.1 + 3.0 * rng.uniform();
        base.push_back(near(value));
      }
      result.add(group, role, nll, base);
      if (role != TextRole::kPositive) select_some(result.texts.back());
    }
  };
  for (int64_t group = 0; group < shape.num_groups; ++group) {
    add_texts(group, TextRole::kPositive, shape.positives);
    add_texts(group, TextRole::kHardNegative, shape.hard_negatives);
    add_texts(group, TextRole::kRandomNegative, shape.random_negatives);
  }
  if (shape.has_pads) {
    std::vector<double> first;
    std::vector<double> base_first;
    for (size_t i = 0; i < result.texts.size(); ++i) {
      first.push_back(4.0 * rng.uniform());
      base_first.push_back(near(first.back()));
    }
    result.pad(/*length=*/8, /*eos_nll=*/0.7, first, /*base_eos_nll=*/0.9, base_first);
  }
  return result;
}

ObjectiveResult run(const ContrastCase& one, const ContrastiveOptions& options) {
  return contrastive_perplexity(one.batch(), options, one.counts());
}

}  // namespace cpx::objectives
