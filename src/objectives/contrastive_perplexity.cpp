// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/contrastive_perplexity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "cpx/core/error.h"

namespace cpx::objectives {

namespace {

using Options = ContrastiveOptions;
using Members = std::vector<size_t>;  // indices of texts

bool is_positive(const ContrastText& text) { return text.role == TextRole::kPositive; }
bool is_hard(const ContrastText& text) { return text.role == TextRole::kHardNegative; }

int64_t counted_pads(const ContrastText& text, const Options& options) {
  return options.padding == Options::Padding::kPublished ? text.num_pads : 0;
}

bool needs_base(const Options& options) {
  return options.centroid == Options::Centroid::kBase || options.hold != 0.0;
}

// ---- Checks -------------------------------------------------------------------------------------

void check_options(const Options& options) {
  CPX_CHECK(options.tau > 0.0, "[contrastive_perplexity] tau: got {}, expected more than 0.",
            options.tau);
  CPX_CHECK(options.label_smoothing >= 0.0 && options.label_smoothing <= 1.0,
            "[contrastive_perplexity] label_smoothing: got {}, expected 0 to 1.",
            options.label_smoothing);
}

void check_pads(const ContrastText& text, size_t index, const ContrastBatch& batch) {
  const auto num_predictions = std::ssize(batch.token_nll);
  const auto is_prediction = [&](int64_t i) { return i >= 0 && i < num_predictions; };
  CPX_CHECK(text.num_pads >= 0 && text.num_pads == batch.padded_length - 1 - text.count,
            "[contrastive_perplexity] text {}: got {} pads in front of {} predictions, expected {} "
            "(padded_length {}).",
            index, text.num_pads, text.count, batch.padded_length - 1 - text.count,
            batch.padded_length);
  CPX_CHECK(text.num_pads == 0 || is_prediction(text.pad_prediction),
            "[contrastive_perplexity] text {} has pads: got pad_prediction {}, expected an index "
            "below {}.",
            index, text.pad_prediction, num_predictions);
  CPX_CHECK(text.num_pads <= 1 || is_prediction(batch.pad_repeat_prediction),
            "[contrastive_perplexity] text {} has {} pads: got pad_repeat_prediction {}, expected "
            "an index below {}.",
            index, text.num_pads, batch.pad_repeat_prediction, num_predictions);
}

void check_text(const ContrastText& text, size_t index, const ContrastBatch& batch,
                const Options& options) {
  const auto num_predictions = std::ssize(batch.token_nll);
  CPX_CHECK(text.role != TextRole::kInput,
            "[contrastive_perplexity] text {}: got role {}, expected positive, hard_negative or "
            "random_negative.",
            index, role_name(text.role));
  CPX_CHECK(text.group >= 0 && text.group < batch.num_groups,
            "[contrastive_perplexity] text {}: got group {}, expected 0 to {}.", index, text.group,
            batch.num_groups - 1);
  CPX_CHECK(text.count > 0,
            "[contrastive_perplexity] text {} has no predicted token: got count {}, expected 1 or "
            "more.",
            index, text.count);
  CPX_CHECK(text.first >= 0 && text.first <= num_predictions - text.count,
            "[contrastive_perplexity] text {} leaves the predictions: got first {} and count {}, "
            "expected them within {} predictions.",
            index, text.first, text.count, num_predictions);
  if (options.padding == Options::Padding::kPublished) {
    check_pads(text, index, batch);
  }
}

void check_batch(const ContrastBatch& batch, const Options& options) {
  CPX_CHECK(batch.num_groups > 0, "[contrastive_perplexity] got {} groups, expected 1 or more.",
            batch.num_groups);
  CPX_CHECK(!needs_base(options) || batch.base_token_nll.size() == batch.token_nll.size(),
            "[contrastive_perplexity] the base's token NLLs are needed for centroid base and for "
            "hold: got {}, expected {}.",
            batch.base_token_nll.size(), batch.token_nll.size());
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    check_text(batch.texts[i], i, batch, options);
  }
}

void check_step(const ContrastBatch& batch, const ObjectiveResult& result, const StepCounts& step) {
  CPX_CHECK(step.groups >= batch.num_groups && step.positive_texts >= result.positives.texts &&
                step.positive_tokens >= result.positives.tokens,
            "[contrastive_perplexity] the step's counts are too small: got {} groups, {} positive "
            "texts, {} positive tokens, expected at least the {}, {} and {} of this micro batch.",
            step.groups, step.positive_texts, step.positive_tokens, batch.num_groups,
            result.positives.texts, result.positives.tokens);
}

// ---- Groups and text values ---------------------------------------------------------------------

/// [num_groups] the texts of each group.
std::vector<Members> texts_by_group(const ContrastBatch& batch) {
  std::vector<Members> groups(batch.num_groups);
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    groups[batch.texts[i].group].push_back(i);
  }
  return groups;
}

int64_t count_role(const ContrastBatch& batch, const Members& members, TextRole role) {
  return std::ranges::count_if(members, [&](size_t i) { return batch.texts[i].role == role; });
}

double own_nll_sum(const ContrastText& text, std::span<const double> nll) {
  const auto own = nll.subspan(text.first, text.count);
  return std::accumulate(own.begin(), own.end(), 0.0);
}

/// d m / d nll of each of the text's own predictions, m its mean NLL with the pads that count.
double token_weight(const ContrastText& text, const Options& options) {
  return 1.0 / static_cast<double>(text.count + counted_pads(text, options));
}

/// Mean NLL m of a text. With k > 0 pads that count: k - 1 pads predict a pad each, the last one
/// predicts the text's first token.
double mean_nll(const ContrastText& text, const ContrastBatch& batch, std::span<const double> nll,
                const Options& options) {
  const int64_t num_pads = counted_pads(text, options);
  double sum = own_nll_sum(text, nll);
  if (num_pads > 0) {
    sum += nll[text.pad_prediction];
  }
  if (num_pads > 1) {
    sum += static_cast<double>(num_pads - 1) * nll[batch.pad_repeat_prediction];
  }
  return sum * token_weight(text, options);
}

/// Adds `slope` * d m / d nll to the gradient of the predictions that m is the mean of.
void add_mean_nll_gradient(const ContrastText& text, const ContrastBatch& batch,
                           const Options& options, double slope, std::vector<double>& gradient) {
  const int64_t num_pads = counted_pads(text, options);
  const double token_slope = slope * token_weight(text, options);
  for (int64_t t = text.first; t < text.first + text.count; ++t) {
    gradient[t] += token_slope;
  }
  if (num_pads > 0) {
    gradient[text.pad_prediction] += token_slope;
  }
  if (num_pads > 1) {
    gradient[batch.pad_repeat_prediction] += static_cast<double>(num_pads - 1) * token_slope;
  }
}

/// [texts] mean NLL of each text.
std::vector<double> mean_nlls(const ContrastBatch& batch, std::span<const double> nll,
                              const Options& options) {
  std::vector<double> means;
  means.reserve(batch.texts.size());
  for (const ContrastText& text : batch.texts) {
    means.push_back(mean_nll(text, batch, nll, options));
  }
  return means;
}

TextSums& sums_of_role(ObjectiveResult& result, TextRole role) {
  switch (role) {
    case TextRole::kHardNegative:
      return result.hard_negatives;
    case TextRole::kRandomNegative:
      return result.random_negatives;
    default:
      return result.positives;
  }
}

void add_text_sums(const ContrastBatch& batch, const std::vector<double>& means,
                   ObjectiveResult& result) {
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    const ContrastText& text = batch.texts[i];
    sums_of_role(result, text.role) += {.texts = 1,
                                        .tokens = text.count,
                                        .nll_sum = own_nll_sum(text, batch.token_nll),
                                        .text_nll_sum = means[i]};
  }
}

// ---- Centroids ----------------------------------------------------------------------------------

double positive_mean(const ContrastBatch& batch, const Members& members,
                     const std::vector<double>& means) {
  double sum = 0.0;
  for (const size_t i : members) {
    sum += is_positive(batch.texts[i]) ? means[i] : 0.0;
  }
  return sum / static_cast<double>(count_role(batch, members, TextRole::kPositive));
}

/// The sets of texts that share a centroid: the whole micro batch, or each group.
std::vector<Members> centroid_sets(const ContrastBatch& batch, const std::vector<Members>& groups,
                                   const Options& options) {
  if (options.centroid != Options::Centroid::kBatch) {
    return groups;
  }
  Members everything(batch.texts.size());
  std::iota(everything.begin(), everything.end(), size_t{0});
  return {everything};
}

/// [texts] what each text's mean NLL is compared with.
std::vector<double> text_centres(const ContrastBatch& batch, const std::vector<Members>& sets,
                                 const std::vector<double>& means, const Options& options) {
  const bool is_base = options.centroid == Options::Centroid::kBase;
  const auto base_means =
      is_base ? mean_nlls(batch, batch.base_token_nll, options) : std::vector<double>{};
  std::vector<double> centres(batch.texts.size());
  for (const Members& set : sets) {
    const double centroid = positive_mean(batch, set, is_base ? base_means : means);
    for (const size_t i : set) {
      centres[i] = is_base && is_positive(batch.texts[i]) ? base_means[i] : centroid;
    }
  }
  return centres;
}

/// Adds to each positive's slope what flows to it through the centroids: -slope of every text,
/// shared by the positives of its set.
void add_centroid_slopes(const ContrastBatch& batch, const std::vector<Members>& sets,
                         std::vector<double>& slopes) {
  for (const Members& set : sets) {
    double sum = 0.0;
    for (const size_t i : set) {
      sum -= slopes[i];
    }
    const double share = sum / static_cast<double>(count_role(batch, set, TextRole::kPositive));
    for (const size_t i : set) {
      slopes[i] += is_positive(batch.texts[i]) ? share : 0.0;
    }
  }
}

// ---- Scores and cross entropy -------------------------------------------------------------------

/// s = exp(-d) / tau with its derivative by the text's mean NLL.
struct Score {
  double value;
  double slope;
};

Score score(const ContrastText& text, double mean, double centre, const Options& options) {
  const double difference = mean - centre;
  const bool is_signed = options.distance == Options::Distance::kSigned && !is_positive(text);
  const double distance = is_signed ? difference : std::abs(difference);
  const double sign = is_signed || difference > 0.0 ? 1.0 : (difference < 0.0 ? -1.0 : 0.0);
  const double value = std::exp(-distance) / options.tau;
  return {.value = value, .slope = -value * sign};
}

/// -sum_i y_i log softmax(z)_i of one group, in two parts that add up to it.
struct CrossEntropy {
  double margin = 0.0;         // the part that the texts decide
  double constant = 0.0;       // the part that alpha puts in; no gradient
  std::vector<double> slopes;  // [members] d / d score
};

// Softmax does not change when all logits move together, so where there are hard negatives alpha is
// taken from the other texts instead of given to them. Each target y then meets
// log-sum-exp - s + alpha [not hard], whose last term is the constant, kept apart.
CrossEntropy cross_entropy(const ContrastBatch& batch, const Members& members,
                           const std::vector<Score>& scores, const Options& options) {
  const auto num_texts = static_cast<double>(members.size());
  const double shift =
      count_role(batch, members, TextRole::kHardNegative) > 0 ? options.alpha : 0.0;
  const auto offset = [&](size_t i) { return is_hard(batch.texts[i]) ? 0.0 : shift; };
  const auto target = [&](size_t i) {
    const double label = is_positive(batch.texts[i]) ? 1.0 : 0.0;
    return label * (1.0 - options.label_smoothing) + options.label_smoothing / num_texts;
  };

  double max_logit = -std::numeric_limits<double>::infinity();
  for (const size_t i : members) {
    max_logit = std::max(max_logit, scores[i].value - offset(i));
  }
  double exp_sum = 0.0;
  double target_sum = 0.0;
  for (const size_t i : members) {
    exp_sum += std::exp(scores[i].value - offset(i) - max_logit);
    target_sum += target(i);
  }
  const double log_sum_exp = max_logit + std::log(exp_sum);

  CrossEntropy result;
  for (const size_t i : members) {
    result.margin += target(i) * (log_sum_exp - scores[i].value);
    result.constant += target(i) * offset(i);
    const double probability = std::exp(scores[i].value - offset(i) - log_sum_exp);
    result.slopes.push_back(target_sum * probability - target(i));
  }
  return result;
}

/// Has the loss a constant that is only alpha's? Not with smoothing, not without hard negatives.
bool has_contrast(const ContrastBatch& batch, const std::vector<Members>& groups,
                  const Options& options) {
  return options.label_smoothing == 0.0 && std::ranges::all_of(groups, [&](const Members& group) {
           return count_role(batch, group, TextRole::kHardNegative) > 0;
         });
}

// ---- The terms of the loss ----------------------------------------------------------------------

/// beta * CE / (|P| + 1 + |R|) of every group over the step's groups.
void add_cross_entropy(const ContrastBatch& batch, const std::vector<Members>& groups,
                       const std::vector<double>& means, const Options& options,
                       const StepCounts& step, ObjectiveResult& result) {
  const std::vector<Members> sets = centroid_sets(batch, groups, options);
  const std::vector<double> centres = text_centres(batch, sets, means, options);
  std::vector<Score> scores;
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    scores.push_back(score(batch.texts[i], means[i], centres[i], options));
  }

  double margin = 0.0;
  double constant = 0.0;
  std::vector<double> slopes(batch.texts.size());  // d loss / d m
  for (const Members& group : groups) {
    const auto divisor = static_cast<double>(count_role(batch, group, TextRole::kPositive) + 1 +
                                             count_role(batch, group, TextRole::kRandomNegative));
    const double weight = options.beta / divisor / static_cast<double>(step.groups);
    const CrossEntropy group_loss = cross_entropy(batch, group, scores, options);
    margin += weight * group_loss.margin;
    constant += weight * group_loss.constant;
    for (size_t k = 0; k < group.size(); ++k) {
      slopes[group[k]] = weight * group_loss.slopes[k] * scores[group[k]].slope;
    }
  }
  if (options.centroid != Options::Centroid::kBase) {
    add_centroid_slopes(batch, sets, slopes);
  }
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    add_mean_nll_gradient(batch.texts[i], batch, options, slopes[i], result.gradient);
  }

  result.loss = margin + constant;
  if (has_contrast(batch, groups, options)) {
    result.contrast = margin;
  }
}

/// What anchor and hold add, and its gradient; both read the positives' own tokens only.
double add_anchor_and_hold(const ContrastBatch& batch, const Options& options,
                           const StepCounts& step, std::vector<double>& gradient) {
  const double anchor = options.anchor / static_cast<double>(step.positive_texts);
  const double hold = options.hold / static_cast<double>(step.positive_tokens);
  double loss = 0.0;
  for (const ContrastText& text : batch.texts) {
    if (!is_positive(text)) {
      continue;
    }
    const double token_anchor = anchor / static_cast<double>(text.count);
    for (int64_t t = text.first; t < text.first + text.count; ++t) {
      loss += token_anchor * batch.token_nll[t];
      gradient[t] += token_anchor;
      if (options.hold != 0.0) {
        const double difference = batch.token_nll[t] - batch.base_token_nll[t];
        loss += hold * difference * difference;
        gradient[t] += 2.0 * hold * difference;
      }
    }
  }
  return loss;
}

bool all_finite(std::span<const double> values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

}  // namespace

ObjectiveResult contrastive_perplexity(const ContrastBatch& batch,
                                       const ContrastiveOptions& options, const StepCounts& step) {
  check_options(options);
  check_batch(batch, options);
  const std::vector<Members> groups = texts_by_group(batch);
  for (size_t g = 0; g < groups.size(); ++g) {
    CPX_CHECK(count_role(batch, groups[g], TextRole::kPositive) > 0,
              "[contrastive_perplexity] group {}: got no positive among {} texts, expected 1 or "
              "more.",
              g, groups[g].size());
  }
  const std::vector<double> means = mean_nlls(batch, batch.token_nll, options);

  ObjectiveResult result;
  result.gradient.assign(batch.token_nll.size(), 0.0);
  add_text_sums(batch, means, result);
  check_step(batch, result, step);

  add_cross_entropy(batch, groups, means, options, step, result);
  double others = add_anchor_and_hold(batch, options, step, result.gradient);
  // A text of infinite NLL scores 0 and would vanish from the loss; the caller must see it.
  if (!all_finite(batch.token_nll) || !all_finite(batch.base_token_nll)) {
    others = std::numeric_limits<double>::quiet_NaN();
  }
  result.loss += others;
  if (result.contrast) {
    *result.contrast += others;
  }
  return result;
}

}  // namespace cpx::objectives
