// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/contrastive_perplexity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "cpx/core/error.h"
#include "group_cross_entropy.h"
#include "token_ranges.h"

namespace cpx::objectives {

namespace {

using Members = std::vector<size_t>;  // indices of texts

bool is_positive(const ContrastText& text) { return text.role == TextRole::kPositive; }
bool is_hard(const ContrastText& text) { return text.role == TextRole::kHardNegative; }

TokenRange own_range(const ContrastText& text) {
  return {.first = text.first, .count = text.count};
}

int64_t counted_pads(const ContrastText& text, const ContrastiveOptions& options) {
  return options.padding == ContrastiveOptions::Padding::kPublished ? text.num_pads : 0;
}

bool is_paper(const ContrastiveOptions& options) {
  return options.form == ContrastiveOptions::Form::kPaper;
}

bool is_npo(const ContrastiveOptions& options) {
  return options.push == ContrastiveOptions::Push::kNpo;
}

// Its mean NLL is that of its differing tokens.
bool is_selected(const ContrastText& text, const ContrastiveOptions& options) {
  return options.push_tokens == ContrastiveOptions::PushTokens::kDiffering && !is_positive(text) &&
         !text.differing.empty();
}

// ---- Checks -------------------------------------------------------------------------------------

void check_options(const ContrastiveOptions& options) {
  CPX_CHECK(options.tau > 0.0, "[contrastive_perplexity] tau: got {}, expected more than 0.",
            options.tau);
  CPX_CHECK(options.label_smoothing >= 0.0 && options.label_smoothing <= 1.0,
            "[contrastive_perplexity] label_smoothing: got {}, expected 0 to 1.",
            options.label_smoothing);
  CPX_CHECK(!is_paper(options) || options.label_smoothing == 0.0,
            "[contrastive_perplexity] label_smoothing with form paper: got {}, expected 0.",
            options.label_smoothing);
  CPX_CHECK(options.negative_weight > 0.0,
            "[contrastive_perplexity] negative_weight: got {}, expected more than 0.",
            options.negative_weight);
  CPX_CHECK(options.push_aim >= 0.0,
            "[contrastive_perplexity] push_aim: got {}, expected 0 or more.", options.push_aim);
}

void check_differing(const ContrastText& text, size_t index) {
  for (const int64_t i : text.differing) {
    CPX_CHECK(i >= text.first && i < text.first + text.count,
              "[contrastive_perplexity] text {}: got differing prediction {}, expected one of its "
              "own, {} to {}.",
              index, i, text.first, text.first + text.count - 1);
  }
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
                const ContrastiveOptions& options) {
  CPX_CHECK(text.role != TextRole::kInput && text.role != TextRole::kComposed,
            "[contrastive_perplexity] text {}: got role {}, expected positive, hard_negative or "
            "random_negative.",
            index, role_name(text.role));
  CPX_CHECK(text.group >= 0 && text.group < batch.num_groups,
            "[contrastive_perplexity] text {}: got group {}, expected 0 to {}.", index, text.group,
            batch.num_groups - 1);
  check_token_range("contrastive_perplexity", "text", index, own_range(text),
                    batch.token_nll.size());
  if (options.padding == ContrastiveOptions::Padding::kPublished) check_pads(text, index, batch);
  check_differing(text, index);
}

void check_batch(const ContrastBatch& batch, const ContrastiveOptions& options) {
  CPX_CHECK(batch.num_groups > 0, "[contrastive_perplexity] got {} groups, expected 1 or more.",
            batch.num_groups);
  CPX_CHECK(!options.needs_base() || batch.base_token_nll.size() == batch.token_nll.size(),
            "[contrastive_perplexity] the base's token NLLs are needed for centroid base, for hold "
            "and for push npo: got {}, expected {}.",
            batch.base_token_nll.size(), batch.token_nll.size());
  for (size_t i = 0; i < batch.texts.size(); ++i) check_text(batch.texts[i], i, batch, options);
}

void check_step(const ContrastBatch& batch, const ObjectiveResult& result,
                const ContrastiveOptions& options, const StepCounts& step) {
  CPX_CHECK(step.groups >= batch.num_groups && step.positive_texts >= result.positives.texts &&
                step.positive_tokens >= result.positives.tokens,
            "[contrastive_perplexity] the step's counts are too small: got {} groups, {} positive "
            "texts, {} positive tokens, expected at least the {}, {} and {} of this micro batch.",
            step.groups, step.positive_texts, step.positive_tokens, batch.num_groups,
            result.positives.texts, result.positives.tokens);
  const int64_t num_negatives = result.hard_negatives.texts + result.random_negatives.texts;
  CPX_CHECK(!is_npo(options) || step.negative_texts >= num_negatives,
            "[contrastive_perplexity] the step's counts are too small: got {} negative texts, "
            "expected at least the {} of this micro batch.",
            step.negative_texts, num_negatives);
}

// ---- Groups and text values ---------------------------------------------------------------------

// [num_groups] the texts of each group.
std::vector<Members> texts_by_group(const ContrastBatch& batch) {
  std::vector<Members> groups(batch.num_groups);
  for (size_t i = 0; i < batch.texts.size(); ++i) groups[batch.texts[i].group].push_back(i);
  return groups;
}

int64_t count_role(const ContrastBatch& batch, const Members& members, TextRole role) {
  return std::ranges::count_if(members, [&](size_t i) { return batch.texts[i].role == role; });
}

// d m / d nll of each of the text's own predictions, m its mean NLL with the pads that count.
double token_weight(const ContrastText& text, const ContrastiveOptions& options) {
  return 1.0 / static_cast<double>(text.count + counted_pads(text, options));
}

// Mean NLL m of a text. With k > 0 pads that count: k - 1 pads predict a pad each, the last one
// predicts the text's first token.
double text_mean_nll(const ContrastText& text, const ContrastBatch& batch,
                     std::span<const double> nll, const ContrastiveOptions& options) {
  if (is_selected(text, options)) {
    double sum = 0.0;
    for (const int64_t i : text.differing) sum += nll[i];
    return sum / static_cast<double>(text.differing.size());
  }
  const int64_t num_pads = counted_pads(text, options);
  double sum = nll_sum(own_range(text), nll);
  if (num_pads > 0) sum += nll[text.pad_prediction];
  if (num_pads > 1) sum += static_cast<double>(num_pads - 1) * nll[batch.pad_repeat_prediction];
  return sum * token_weight(text, options);
}

// Adds `slope` * d m / d nll to the gradient of the predictions that m is the mean of.
void add_mean_nll_gradient(const ContrastText& text, const ContrastBatch& batch,
                           const ContrastiveOptions& options, double slope,
                           std::vector<double>& gradient) {
  if (is_selected(text, options)) {
    const double token_slope = slope / static_cast<double>(text.differing.size());
    for (const int64_t i : text.differing) gradient[i] += token_slope;
    return;
  }
  const int64_t num_pads = counted_pads(text, options);
  const double token_slope = slope * token_weight(text, options);
  add_token_slope(own_range(text), token_slope, gradient);
  if (num_pads > 0) gradient[text.pad_prediction] += token_slope;
  if (num_pads > 1) {
    gradient[batch.pad_repeat_prediction] += static_cast<double>(num_pads - 1) * token_slope;
  }
}

// [texts] mean NLL of each text.
std::vector<double> mean_nlls(const ContrastBatch& batch, std::span<const double> nll,
                              const ContrastiveOptions& options) {
  std::vector<double> means;
  means.reserve(batch.texts.size());
  for (const ContrastText& text : batch.texts) {
    means.push_back(text_mean_nll(text, batch, nll, options));
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
    TextSums sums = text_sums(own_range(text), batch.token_nll);
    sums.text_nll_sum = means[i];  // pads may count in it, or the differing tokens alone
    sums_of_role(result, text.role) += sums;
  }
}

// ---- Centroids ----------------------------------------------------------------------------------

double positive_mean(const ContrastBatch& batch, const Members& members,
                     const std::vector<double>& values) {
  double sum = 0.0;
  for (const size_t i : members) sum += is_positive(batch.texts[i]) ? values[i] : 0.0;
  return sum / static_cast<double>(count_role(batch, members, TextRole::kPositive));
}

// The sets of texts that share a centroid: the whole micro batch, or each group.
std::vector<Members> centroid_sets(const ContrastBatch& batch, const std::vector<Members>& groups,
                                   const ContrastiveOptions& options) {
  if (options.centroid != ContrastiveOptions::Centroid::kBatch) return groups;
  Members everything(batch.texts.size());
  std::iota(everything.begin(), everything.end(), size_t{0});
  return {everything};
}

// [texts] phi of each mean NLL, which is what texts are compared by; `slopes` are d phi / d mean.
struct TextValues {
  std::vector<double> values;
  std::vector<double> slopes;
};

TextValues text_values(const std::vector<double>& means, const ContrastiveOptions& options) {
  TextValues phi{.values = means, .slopes = std::vector<double>(means.size(), 1.0)};
  if (options.phi == ContrastiveOptions::Phi::kPerplexity) {
    for (double& value : phi.values) value = std::exp(value);
    phi.slopes = phi.values;
  }
  return phi;
}

// [texts] what each text's value is compared with.
std::vector<double> text_centres(const ContrastBatch& batch, const std::vector<Members>& sets,
                                 const std::vector<double>& values,
                                 const ContrastiveOptions& options) {
  const bool is_base = options.centroid == ContrastiveOptions::Centroid::kBase;
  const auto base_values =
      is_base ? text_values(mean_nlls(batch, batch.base_token_nll, options), options).values
              : std::vector<double>{};
  std::vector<double> centres(batch.texts.size());
  for (const Members& set : sets) {
    const double centroid = positive_mean(batch, set, is_base ? base_values : values);
    for (const size_t i : set) {
      centres[i] = is_base && is_positive(batch.texts[i]) ? base_values[i] : centroid;
    }
  }
  return centres;
}

// Adds to each positive's slope what flows to it through the centroids: -slope of every text,
// shared by the positives of its set.
void add_centroid_slopes(const ContrastBatch& batch, const std::vector<Members>& sets,
                         std::vector<double>& slopes) {
  for (const Members& set : sets) {
    double sum = 0.0;
    for (const size_t i : set) sum -= slopes[i];
    const double share = sum / static_cast<double>(count_role(batch, set, TextRole::kPositive));
    for (const size_t i : set) slopes[i] += is_positive(batch.texts[i]) ? share : 0.0;
  }
}

// ---- Scores and cross entropy -------------------------------------------------------------------

// s = exp(-d) / tau; in the paper's form its logarithm, -d / tau. With the derivative by the
// text's value.
Score score(const ContrastText& text, double value, double centre,
            const ContrastiveOptions& options) {
  const double difference = value - centre;
  const bool is_signed =
      options.distance == ContrastiveOptions::Distance::kSigned && !is_positive(text);
  if (is_paper(options)) {
    const double sign = is_signed || difference > 0.0 ? 1.0 : (difference < 0.0 ? -1.0 : 0.0);
    return {.value = -sign * difference / options.tau, .slope = -sign / options.tau};
  }
  if (is_signed) {
    const double score = std::exp(-difference) / options.tau;
    return {.value = score, .slope = -score};
  }
  const Score score = closeness(difference, /*rate=*/1.0);
  return {.value = score.value / options.tau, .slope = score.slope / options.tau};
}

// Softmax does not change when all logits move together, so where there are hard negatives alpha is
// taken from the other texts instead of given to them. Each target y then meets
// log-sum-exp - s + alpha [not hard], whose last term is the constant, kept apart.
CrossEntropy group_loss(const ContrastBatch& batch, const Members& members,
                        const std::vector<Score>& scores, const ContrastiveOptions& options) {
  const double lead = count_role(batch, members, TextRole::kHardNegative) > 0 ? options.alpha : 0.0;
  std::vector<ClassScore> classes;
  for (const size_t i : members) {
    const ContrastText& text = batch.texts[i];
    classes.push_back({.score = scores[i].value,
                       .lag = is_hard(text) ? 0.0 : lead,
                       .is_target = is_positive(text)});
  }
  return cross_entropy(classes, options.label_smoothing);
}

// log of the sum of exp(score + log weight), with the part of each member in the sum.
struct WeightedSum {
  double log_sum = 0.0;
  std::vector<double> shares;  // [members] they add up to 1
};

WeightedSum log_weighted_sum(const Members& members, const std::vector<Score>& scores,
                             const std::vector<double>& weights) {
  double highest = -std::numeric_limits<double>::infinity();
  for (size_t k = 0; k < members.size(); ++k) {
    if (weights[k] > 0.0) highest = std::max(highest, scores[members[k]].value);
  }
  WeightedSum result;
  double sum = 0.0;
  for (size_t k = 0; k < members.size(); ++k) {
    const bool counts = weights[k] > 0.0;  // else the exponential may be infinite
    result.shares.push_back(counts ? weights[k] * std::exp(scores[members[k]].value - highest)
                                   : 0.0);
    sum += result.shares.back();
  }
  for (double& share : result.shares) share /= sum;
  result.log_sum = highest + std::log(sum);
  return result;
}

// -log J, J the positives' part of all scores, negatives weighing negative_weight. Scores are
// logarithms.
CrossEntropy paper_group_loss(const ContrastBatch& batch, const Members& members,
                              const std::vector<Score>& scores, const ContrastiveOptions& options) {
  std::vector<double> in_numerator;
  std::vector<double> in_denominator;
  for (const size_t i : members) {
    const bool counts = is_positive(batch.texts[i]);
    in_numerator.push_back(counts ? 1.0 : 0.0);
    in_denominator.push_back(counts ? 1.0 : options.negative_weight);
  }
  const WeightedSum positives = log_weighted_sum(members, scores, in_numerator);
  const WeightedSum all = log_weighted_sum(members, scores, in_denominator);
  CrossEntropy loss{.margin = all.log_sum - positives.log_sum, .constant = 0.0, .slopes = {}};
  for (size_t k = 0; k < members.size(); ++k) {
    loss.slopes.push_back(all.shares[k] - positives.shares[k]);
  }
  return loss;
}

// True if the loss contains an additive constant that depends on alpha alone, so that `contrast`
// can be reported.
bool has_contrast(const ContrastBatch& batch, const std::vector<Members>& groups,
                  const ContrastiveOptions& options) {
  return !is_paper(options) && options.label_smoothing == 0.0 &&
         std::ranges::all_of(groups, [&](const Members& group) {
           return count_role(batch, group, TextRole::kHardNegative) > 0;
         });
}

// ---- The terms of the loss ----------------------------------------------------------------------

// What a group's loss is divided by: |P| + 1 + |R|, in the paper's form 1.
double group_divisor(const ContrastBatch& batch, const Members& group,
                     const ContrastiveOptions& options) {
  if (is_paper(options)) return 1.0;
  return static_cast<double>(count_role(batch, group, TextRole::kPositive) + 1 +
                             count_role(batch, group, TextRole::kRandomNegative));
}

// beta * the group's loss / its divisor, of every group over the step's groups.
void add_contrast(const ContrastBatch& batch, const std::vector<Members>& groups,
                  const std::vector<double>& means, const ContrastiveOptions& options,
                  const StepCounts& step, ObjectiveResult& result) {
  const std::vector<Members> sets = centroid_sets(batch, groups, options);
  const TextValues phi = text_values(means, options);
  const std::vector<double> centres = text_centres(batch, sets, phi.values, options);
  std::vector<Score> scores;
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    scores.push_back(score(batch.texts[i], phi.values[i], centres[i], options));
  }

  double margin = 0.0;
  double constant = 0.0;
  std::vector<double> slopes(batch.texts.size());  // d loss / d phi
  for (const Members& group : groups) {
    const double divisor = group_divisor(batch, group, options);
    const double weight = options.beta / divisor / static_cast<double>(step.groups);
    const CrossEntropy loss = is_paper(options) ? paper_group_loss(batch, group, scores, options)
                                                : group_loss(batch, group, scores, options);
    margin += weight * loss.margin;
    constant += weight * loss.constant;
    for (size_t k = 0; k < group.size(); ++k) {
      slopes[group[k]] = weight * loss.slopes[k] * scores[group[k]].slope;
    }
  }
  if (options.centroid != ContrastiveOptions::Centroid::kBase) {
    add_centroid_slopes(batch, sets, slopes);
  }
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    add_mean_nll_gradient(batch.texts[i], batch, options, slopes[i] * phi.slopes[i],
                          result.gradient);
  }

  result.loss = margin + constant;
  if (has_contrast(batch, groups, options)) result.contrast = margin;
}

// log(1 + e^x), with its derivative.
Score softplus(double x) {
  const double small = std::exp(-std::abs(x));
  return {.value = std::max(x, 0.0) + std::log1p(small),
          .slope = (x >= 0.0 ? 1.0 : small) / (1.0 + small)};
}

// beta * tau softplus((push_aim - (m - its m under the base)) / tau), the mean over the step's
// negatives.
void add_bounded_push(const ContrastBatch& batch, const std::vector<double>& means,
                      const ContrastiveOptions& options, const StepCounts& step,
                      ObjectiveResult& result) {
  const double weight =
      options.beta / static_cast<double>(std::max<int64_t>(step.negative_texts, 1));
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    const ContrastText& text = batch.texts[i];
    if (is_positive(text)) continue;
    const double moved = means[i] - text_mean_nll(text, batch, batch.base_token_nll, options);
    const Score push = softplus((options.push_aim - moved) / options.tau);
    result.loss += weight * options.tau * push.value;
    add_mean_nll_gradient(text, batch, options, -weight * push.slope, result.gradient);
  }
}

// What anchor and hold add, and its gradient; both read the positives' own tokens only.
double add_anchor_and_hold(const ContrastBatch& batch, const ContrastiveOptions& options,
                           const StepCounts& step, std::vector<double>& gradient) {
  const double anchor = options.anchor / static_cast<double>(step.positive_texts);
  const double hold = options.hold / static_cast<double>(step.positive_tokens);
  double loss = 0.0;
  for (const ContrastText& text : batch.texts) {
    if (!is_positive(text)) continue;
    const TokenRange tokens = own_range(text);
    loss += anchor * mean_nll(tokens, batch.token_nll);
    add_mean_slope(tokens, anchor, gradient);
    if (options.holds_nll()) {
      loss += add_squared_distance(tokens, batch.token_nll, batch.base_token_nll, hold, gradient);
    }
  }
  return loss;
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
  check_step(batch, result, options, step);

  if (is_npo(options)) {
    add_bounded_push(batch, means, options, step, result);
  } else {
    add_contrast(batch, groups, means, options, step, result);
  }
  double others = add_anchor_and_hold(batch, options, step, result.gradient);
  // A text of infinite NLL scores 0 and would vanish from the loss; the caller must see it.
  if (!all_finite(batch.token_nll) || !all_finite(batch.base_token_nll)) {
    others = std::numeric_limits<double>::quiet_NaN();
  }
  result.loss += others;
  if (result.contrast) *result.contrast += others;
  return result;
}

}  // namespace cpx::objectives
