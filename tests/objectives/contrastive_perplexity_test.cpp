// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/contrastive_perplexity.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <limits>
#include <numbers>
#include <numeric>
#include <string>

#include <gtest/gtest.h>

#include "tests/objectives/contrast_case.h"
#include "tests/support/errors.h"

namespace cpx::objectives {
namespace contrastive_perplexity_test {

using std::numbers::e;
using std::numbers::ln2;
using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;
using Options = ContrastiveOptions;

constexpr TextRole kPositive = TextRole::kPositive;
constexpr TextRole kHard = TextRole::kHardNegative;
constexpr TextRole kRandom = TextRole::kRandomNegative;

MATCHER_P(DoubleNearOther, tolerance, "") {
  return std::abs(std::get<0>(arg) - std::get<1>(arg)) <= tolerance;
}

// m = 1 for the positive, 1 + ln 2 for the hard negative.
ContrastCase one_of_each() {
  ContrastCase one;
  one.add(0, kPositive, {0.5, 1.5});
  one.add(0, kHard, {1.0 + ln2});
  return one;
}

ContrastCase positive_with_base() {
  ContrastCase one;
  one.add(0, kPositive, {1.0, 3.0}, {0.5, 2.0});
  return one;
}

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

std::string error_of(const ContrastCase& one, const Options& options) {
  return testing_support::message_of<std::invalid_argument>([&] { run(one, options); });
}

// ---- By hand ------------------------------------------------------------------------------------

// c = 1, so s = (1, 1/2) and z = (1, 100.5). CE = log(e^1 + e^100.5) - 1 = 99.5 but for e^-99.5;
// loss = 99.5 / (1 + 1), contrast = 49.75 - 100 / 2. The positive lies on c and gets no slope of
// its own; d loss / d m of the negative is 1/2 * -1/2, and through c the positive gets the
// opposite.
TEST(ContrastivePerplexity, IsTheValueComputedByHand) {
  const ObjectiveResult result = run(one_of_each(), {});
  EXPECT_NEAR(result.loss, 49.75, 1e-13);
  EXPECT_NEAR(result.contrast.value(), -0.25, 1e-15);
  EXPECT_THAT(result.gradient, ElementsAre(DoubleNear(0.125, 1e-15), DoubleNear(0.125, 1e-15),
                                           DoubleNear(-0.25, 1e-15)));
}

// c = 2, s = (a, a, 1) with a = e^-1, y = (1, 1, 0): CE = 2 log(2 e^a + e) - 2 a, over 2 + 1 + 1.
TEST(ContrastivePerplexity, WithoutHardNegativesHasNoMarginAndNoContrast) {
  ContrastCase one;
  one.add(0, kPositive, {1.0});
  one.add(0, kPositive, {3.0, 3.0});
  one.add(0, kRandom, {2.0});
  const ObjectiveResult result = run(one, {});
  const double a = std::exp(-1.0);
  EXPECT_NEAR(result.loss, (std::log(2.0 * std::exp(a) + e) - a) / 2.0, 1e-15);
  EXPECT_EQ(result.contrast, std::nullopt);
}

// tau = 1/2: s = (2, 1), z = (2, 2) at alpha 1, CE = log(2 e^2) - 2 = ln 2.
TEST(ContrastivePerplexity, TauDividesTheScores) {
  const ObjectiveResult result = run(one_of_each(), {.alpha = 1.0, .tau = 0.5});
  EXPECT_NEAR(result.loss, ln2 / 2.0, 1e-15);
}

// Both on the centroid: z = (1, 2), y = 0.8 (1, 0) + 0.1, CE = log(e + e^2) - 0.9 - 0.2, over 2.
TEST(ContrastivePerplexity, LabelSmoothingSpreadsTheTargets) {
  ContrastCase one;
  one.add(0, kPositive, {1.0});
  one.add(0, kHard, {1.0});
  const ObjectiveResult result = run(one, {.alpha = 1.0, .label_smoothing = 0.2});
  EXPECT_NEAR(result.loss, (std::log(e + e * e) - 1.1) / 2.0, 1e-15);
  EXPECT_EQ(result.contrast, std::nullopt);
}

// The negative is twice as probable as the centroid: d = ln 2 and s = 1/2, or d = -ln 2 and s = 2.
// At alpha 100 contrast = (s - 1) / 2, and only the signed score falls as m grows.
TEST(ContrastivePerplexity, SignedDistanceScoresAProbableNegativeAboveThePositives) {
  ContrastCase one;
  one.add(0, kPositive, {1.0});
  one.add(0, kHard, {1.0 - ln2});
  const ObjectiveResult absolute = run(one, {});
  EXPECT_NEAR(absolute.contrast.value(), -0.25, 1e-15);
  EXPECT_NEAR(absolute.gradient[1], 0.25, 1e-15);
  const ObjectiveResult signed_result = run(one, {.distance = Options::Distance::kSigned});
  EXPECT_NEAR(signed_result.contrast.value(), 0.5, 1e-15);
  EXPECT_NEAR(signed_result.gradient[1], -1.0, 1e-15);
}

// Positives 1 and 3 (group 0), 5 (group 1). Their hard negatives lie on 2 and 5: on the centroids
// of their groups (d = 0), and 1 and 2 away from that of the micro batch, which is 3.
TEST(ContrastivePerplexity, CentroidIsOfTheMicroBatchOrOfTheGroup) {
  ContrastCase one{.num_groups = 2};
  one.add(0, kPositive, {1.0});
  one.add(0, kPositive, {3.0});
  one.add(0, kHard, {2.0});
  one.add(1, kPositive, {5.0});
  one.add(1, kHard, {5.0});
  // contrast of a group = (|P| s_h - sum of s_p) / (|P| + 1), then the mean over the two groups.
  const double group_value = (2.0 - 2.0 * std::exp(-1.0)) / 3.0 / 2.0;
  EXPECT_NEAR(run(one, {.centroid = Options::Centroid::kGroup}).contrast.value(), group_value,
              1e-15);
  const double batch_value = (2.0 * std::exp(-1.0) - std::exp(-2.0) - 1.0) / 3.0 / 2.0;
  EXPECT_NEAR(run(one, {}).contrast.value(), batch_value, 1e-15);
}

// Base means: 1 and 2 of the positives, so 1.5 for the negative. m = 1, 3, 2.5: d = 0, 1, 1.
// contrast = (2 e^-1 - 1 - e^-1) / 3; positives: 0 at d = 0, e^-1 / 3; negative: -2 e^-1 / 3.
TEST(ContrastivePerplexity, BaseCentroidIsAPositivesOwnAndTheGroupsMeanForANegative) {
  ContrastCase one;
  one.add(0, kPositive, {1.0}, {1.0});
  one.add(0, kPositive, {3.0}, {2.0});
  one.add(0, kHard, {2.5}, {7.0});
  const ObjectiveResult result = run(one, {.centroid = Options::Centroid::kBase});
  const double a = std::exp(-1.0);
  EXPECT_NEAR(result.contrast.value(), (a - 1.0) / 3.0, 1e-15);
  EXPECT_THAT(result.gradient,
              ElementsAre(0.0, DoubleNear(a / 3.0, 1e-15), DoubleNear(-2.0 * a / 3.0, 1e-15)));
}

// One positive alone has CE 0. anchor: 0.5 * 2. hold: 0.25 * (0.5^2 + 1^2) / 2.
TEST(ContrastivePerplexity, AnchorAndHoldAreTheValuesComputedByHand) {
  const ObjectiveResult result = run(positive_with_base(), {.anchor = 0.5, .hold = 0.25});
  EXPECT_NEAR(result.loss, 1.0 + 0.15625, 1e-15);
  EXPECT_THAT(result.gradient,
              ElementsAre(DoubleNear(0.25 + 0.125, 1e-15), DoubleNear(0.25 + 0.25, 1e-15)));
}

// Texts of 2 and 4 predictions in a padded length of 6: 3 pads and 1. The first text's mean is
// (2 * 4 + 5 + 1 + 2) / 5 = 3.2, the second's (6 + 1 + 1 + 1 + 1) / 5 = 2.
ContrastCase padded_pair() {
  ContrastCase one;
  one.add(0, kPositive, {1.0, 2.0}, {1.0, 2.5});
  one.add(0, kHard, {1.0, 1.0, 1.0, 1.0}, {1.0, 1.0, 1.0, 1.0});
  one.pad(/*length=*/6, /*eos_nll=*/4.0, {5.0, 6.0}, /*base_eos_nll=*/3.0, {4.0, 6.0});
  return one;
}

// contrast = (e^-1.2 - 1) / 2, and each prediction has its share of m: own and first|eos 1/5, the
// repeated pad 2/5 of the first text's slope.
TEST(ContrastivePerplexity, PublishedPaddingCountsPadsInTheMean) {
  const ObjectiveResult result = run(padded_pair(), {.padding = Options::Padding::kPublished});
  const double score = std::exp(-1.2);
  EXPECT_NEAR(result.positives.text_nll_sum, 3.2, 1e-15);
  EXPECT_NEAR(result.hard_negatives.text_nll_sum, 2.0, 1e-15);
  EXPECT_NEAR(result.contrast.value(), (score - 1.0) / 2.0, 1e-15);
  // The negative lies below c: its slope is +score / 2, that of the positive through c -score / 2.
  const double share = score / 2.0 / 5.0;
  const std::vector<double> expected = {-share, -share, share, share,       share,
                                        share,  -share, share, -2.0 * share};
  EXPECT_THAT(result.gradient, Pointwise(DoubleNearOther(1e-15), expected));
}

TEST(ContrastivePerplexity, ExcludedPaddingIgnoresPads) {
  const ObjectiveResult result = run(padded_pair(), {});
  EXPECT_NEAR(result.positives.text_nll_sum, 1.5, 1e-15);
  EXPECT_NEAR(result.contrast.value(), (std::exp(-0.5) - 1.0) / 2.0, 1e-15);
  for (const size_t pad : {6, 7, 8}) EXPECT_EQ(result.gradient[pad], 0.0);
}

// The base's means are (2 * 3 + 4 + 3.5) / 5 = 2.7 with pads: d = 0.5 and 0.7 (m = 3.2 and 2).
TEST(ContrastivePerplexity, PublishedPaddingCountsPadsInTheBasesMeanToo) {
  const ObjectiveResult result = run(padded_pair(), {.centroid = Options::Centroid::kBase,
                                                     .padding = Options::Padding::kPublished});
  EXPECT_NEAR(result.contrast.value(), (std::exp(-0.7) - std::exp(-0.5)) / 2.0, 1e-15);
}

// anchor: 2 * 1.5; hold: 4 * (0^2 + 0.5^2) / 2.
TEST(ContrastivePerplexity, AnchorAndHoldNeverCountPads) {
  const ObjectiveResult result =
      run(padded_pair(),
          {.beta = 0.0, .padding = Options::Padding::kPublished, .anchor = 2.0, .hold = 4.0});
  EXPECT_NEAR(result.loss, 3.0 + 0.5, 1e-15);
  for (const size_t pad : {6, 7, 8}) EXPECT_EQ(result.gradient[pad], 0.0);
}

TEST(ContrastivePerplexity, SumsAreByRole) {
  ContrastCase one;
  one.add(0, kPositive, {1.0, 3.0});
  one.add(0, kPositive, {5.0});
  one.add(0, kHard, {2.0, 2.0, 5.0});
  one.add(0, kRandom, {7.0});
  const ObjectiveResult result = run(one, {});
  EXPECT_EQ(result.positives.texts, 2);
  EXPECT_EQ(result.positives.tokens, 3);
  EXPECT_EQ(result.positives.nll_sum, 9.0);
  EXPECT_EQ(result.positives.text_nll_sum, 7.0);
  EXPECT_EQ(result.hard_negatives.tokens, 3);
  EXPECT_EQ(result.hard_negatives.nll_sum, 9.0);
  EXPECT_NEAR(result.hard_negatives.text_nll_sum, 3.0, 1e-15);
  EXPECT_EQ(result.random_negatives.texts, 1);
  EXPECT_EQ(result.random_negatives.nll_sum, 7.0);
  TextSums total = result.positives;
  total += result.hard_negatives;
  EXPECT_EQ(total.texts, 3);
  EXPECT_EQ(total.tokens, 6);
  EXPECT_EQ(total.nll_sum, 18.0);
  EXPECT_NEAR(total.text_nll_sum, 10.0, 1e-15);
}

// ---- Limits -------------------------------------------------------------------------------------

TEST(ContrastivePerplexity, BetaZeroSwitchesTheContrastOff) {
  const ObjectiveResult result = run(random_case({}, 1), {.beta = 0.0});
  EXPECT_EQ(result.loss, 0.0);
  EXPECT_EQ(result.contrast.value(), 0.0);
  EXPECT_THAT(result.gradient, Each(0.0));
}

TEST(ContrastivePerplexity, OnePositiveAloneHasNothingToTellApart) {
  const ObjectiveResult result = run(positive_with_base(), {});
  EXPECT_EQ(result.loss, 0.0);
  EXPECT_THAT(result.gradient, Each(0.0));
}

TEST(ContrastivePerplexity, AlphaZeroMakesHardNegativesRandomOnesButForTheDivisor) {
  ContrastCase hard = random_case({.num_groups = 1, .random_negatives = 0}, 2);
  ContrastCase random = hard;
  for (ContrastText& text : random.texts) text.role = text.role == kHard ? kRandom : text.role;
  const ObjectiveResult hard_result = run(hard, {.alpha = 0.0});
  EXPECT_NEAR(hard_result.loss * 4.0, run(random, {.alpha = 0.0}).loss * 6.0, 1e-14);
  EXPECT_EQ(hard_result.contrast.value(), hard_result.loss);
}

// With nothing but pads every text is alike: s = 1 for all, contrast = |P| log |H| / (|P| + 1). The
// slopes of the texts cancel in the shared pad, as c moves with it.
TEST(ContrastivePerplexity, AllPaddingMakesTextsAlike) {
  ContrastCase one = random_case({.random_negatives = 0, .has_pads = true}, 3);
  constexpr int64_t kLength = int64_t{1} << 50;
  for (ContrastText& text : one.texts) text.num_pads = kLength - 1 - text.count;
  one.padded_length = kLength;
  const ObjectiveResult result = run(one, {.padding = Options::Padding::kPublished});
  EXPECT_NEAR(result.contrast.value(), 3.0 * std::log(2.0) / 4.0, 1e-12);
  EXPECT_THAT(result.gradient, Each(DoubleNear(0.0, 1e-12)));
}

TEST(ContrastivePerplexity, TextsOnTheCentroidGetNoGradient) {
  ContrastCase one{.num_groups = 2};
  for (const int64_t group : {0, 1}) {
    for (const TextRole role : {kPositive, kPositive, kHard, kRandom}) {
      one.add(group, role, {1.5, 1.5});
    }
  }
  EXPECT_THAT(run(one, {.alpha = 1.0}).gradient, Each(0.0));
}

TEST(ContrastivePerplexity, RandomNegativesGetNoGradientAtTheDefaultAlpha) {
  const ContrastCase one = random_case({}, 4);
  const auto largest_random_slope = [&](double alpha) {
    const ObjectiveResult result = run(one, {.alpha = alpha});
    double largest = 0.0;
    for (const ContrastText& text : one.texts) {
      if (text.role == kRandom) largest = std::max(largest, std::abs(result.gradient[text.first]));
    }
    return largest;
  };
  EXPECT_LT(largest_random_slope(100.0), 1e-42);
  EXPECT_GT(largest_random_slope(1.0), 1e-3);
}

// Between 100 and 1e9 nothing is left of the other texts in the softmax, so contrast stays; the
// loss itself holds no more than seven digits behind the point there.
TEST(ContrastivePerplexity, ContrastKeepsItsDigitsAtAnyAlpha) {
  const ContrastCase one = random_case({}, 5);
  const double contrast = run(one, {.alpha = 100.0}).contrast.value();
  const ObjectiveResult result = run(one, {.alpha = 1e9});
  EXPECT_NEAR(result.contrast.value(), contrast, 1e-14);
  EXPECT_NEAR(result.loss, contrast + 1e9 * 3.0 / 5.0, 1e-6);
}

TEST(ContrastivePerplexity, ContrastIsTheLossWithoutItsConstant) {
  const Options options{
      .alpha = 3.0, .beta = 0.5, .centroid = Options::Centroid::kGroup, .anchor = 0.2, .hold = 0.3};
  const ContrastCase one = random_case({}, 6);
  StepCounts step = one.counts();
  step.groups *= 4;  // a quarter of a step's groups
  const ObjectiveResult result = contrastive_perplexity(one.batch(), options, step);
  EXPECT_NEAR(result.contrast.value(), result.loss - 0.5 * 3.0 * 3.0 / 5.0 / 4.0, 1e-14);
}

// ---- What must not matter -----------------------------------------------------------------------

TEST(ContrastivePerplexity, TextOrderDoesNotMatter) {
  const Options options{.alpha = 1.0, .label_smoothing = 0.1, .anchor = 0.2, .hold = 0.3};
  for (const auto centroid :
       {Options::Centroid::kBatch, Options::Centroid::kGroup, Options::Centroid::kBase}) {
    Options with_centroid = options;
    with_centroid.centroid = centroid;
    ContrastCase one = random_case({.num_groups = 3}, 7);
    const ObjectiveResult result = run(one, with_centroid);
    std::ranges::reverse(one.texts);
    std::swap(one.texts[1], one.texts[9]);
    const ObjectiveResult shuffled = run(one, with_centroid);
    EXPECT_NEAR(shuffled.loss, result.loss, 1e-14);
    EXPECT_THAT(shuffled.gradient, Pointwise(DoubleNearOther(1e-15), result.gradient));
  }
}

// Cuts one group out of a case of groups that lie one after the other.
ContrastCase group_of(const ContrastCase& one, int64_t group) {
  ContrastCase result;
  for (const ContrastText& text : one.texts) {
    if (text.group == group) {
      const auto begin = one.token_nll.begin() + text.first;
      const auto base = one.base_token_nll.begin() + text.first;
      result.add(0, text.role, {begin, begin + text.count}, {base, base + text.count});
    }
  }
  return result;
}

TEST(ContrastivePerplexity, MicroBatchesAddUpWhereTheCentroidDoesNotJoinGroups) {
  const ContrastCase both = random_case({}, 8);
  for (const auto centroid : {Options::Centroid::kGroup, Options::Centroid::kBase}) {
    const Options options{.alpha = 1.0, .centroid = centroid, .anchor = 0.2, .hold = 0.3};
    const ObjectiveResult whole = run(both, options);
    double loss = 0.0;
    double contrast = 0.0;
    std::vector<double> gradient;
    TextSums positives;
    for (const int64_t group : {0, 1}) {
      const ContrastCase one = group_of(both, group);
      const ObjectiveResult part = contrastive_perplexity(one.batch(), options, both.counts());
      loss += part.loss;
      contrast += part.contrast.value();
      gradient.insert(gradient.end(), part.gradient.begin(), part.gradient.end());
      positives += part.positives;
    }
    EXPECT_NEAR(loss, whole.loss, 1e-14);
    EXPECT_NEAR(contrast, whole.contrast.value(), 1e-14);
    EXPECT_THAT(gradient, Pointwise(DoubleNearOther(1e-15), whole.gradient));
    EXPECT_EQ(positives.tokens, whole.positives.tokens);
    EXPECT_NEAR(positives.nll_sum, whole.positives.nll_sum, 1e-13);
  }
}

// The published objective sees differences of means only: all texts may drift together.
TEST(ContrastivePerplexity, OwnCentroidsLeaveTheCommonLevelFree) {
  for (const auto centroid : {Options::Centroid::kBatch, Options::Centroid::kGroup}) {
    for (const auto distance : {Options::Distance::kAbsolute, Options::Distance::kSigned}) {
      const Options options{.alpha = 1.0, .centroid = centroid, .distance = distance};
      ContrastCase one = random_case({}, 9);
      const ObjectiveResult result = run(one, options);
      EXPECT_NEAR(sum(result.gradient), 0.0, 1e-15);
      for (double& nll : one.token_nll) nll += 2.0;
      EXPECT_NEAR(run(one, options).loss, result.loss, 1e-14);
    }
  }
}

// ---- What cannot be ----------------------------------------------------------------------------

TEST(ContrastivePerplexity, NllThatIsNotFiniteMakesTheLossNotANumber) {
  const Options options{.centroid = Options::Centroid::kBase};
  for (const double bad : {std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity(), std::nan("")}) {
    for (const int64_t text : {0, 3, 5}) {
      ContrastCase one = random_case({}, 10);
      one.token_nll[one.texts[text].first] = bad;
      const ObjectiveResult result = run(one, {});
      EXPECT_TRUE(std::isnan(result.loss)) << bad << " in text " << text;
      EXPECT_TRUE(std::isnan(result.contrast.value()));

      ContrastCase base = random_case({}, 10);
      base.base_token_nll[base.texts[text].first] = bad;
      EXPECT_TRUE(std::isnan(run(base, options).loss)) << bad << " in the base's text " << text;
    }
  }
}

TEST(ContrastivePerplexity, RefusesAGroupWithoutPositives) {
  ContrastCase one = one_of_each();
  one.num_groups = 2;
  one.add(1, kHard, {1.0});
  EXPECT_EQ(error_of(one, {}),
            "[contrastive_perplexity] group 1: got no positive among 1 texts, expected 1 or more.");
  one.num_groups = 0;
  EXPECT_EQ(error_of(one, {}), "[contrastive_perplexity] got 0 groups, expected 1 or more.");
}

TEST(ContrastivePerplexity, RefusesATextThatDoesNotFit) {
  ContrastCase one = one_of_each();
  one.add(0, kRandom, {});
  EXPECT_EQ(error_of(one, {}),
            "[contrastive_perplexity] text 2 has no predicted token: got count 0, expected 1 or "
            "more.");
  one.texts[2].count = 1;
  EXPECT_EQ(error_of(one, {}),
            "[contrastive_perplexity] text 2 leaves the predictions: got first 3 and count 1, "
            "expected them within 3 predictions.");
  one.texts[2] = one.texts[0];
  one.texts[2].first = -1;
  EXPECT_THAT(error_of(one, {}), HasSubstr("got first -1 and count 2"));
  one.texts[2] = one.texts[0];
  one.texts[2].group = 1;
  EXPECT_EQ(error_of(one, {}), "[contrastive_perplexity] text 2: got group 1, expected 0 to 0.");
  one.texts[2] = one.texts[0];
  one.texts[2].role = TextRole::kInput;
  EXPECT_EQ(error_of(one, {}),
            "[contrastive_perplexity] text 2: got role input, expected positive, hard_negative or "
            "random_negative.");
}

TEST(ContrastivePerplexity, RefusesAMissingBaseWhereItIsNeeded) {
  const std::string expected =
      "[contrastive_perplexity] the base's token NLLs are needed for centroid base, for hold and "
      "for push npo: got 0, expected 3.";
  EXPECT_EQ(error_of(one_of_each(), {.centroid = Options::Centroid::kBase}), expected);
  EXPECT_EQ(error_of(one_of_each(), {.hold = 0.1}), expected);
  EXPECT_EQ(error_of(one_of_each(), {.anchor = 0.1}), "(nothing was thrown)");
}

TEST(ContrastivePerplexity, RefusesPadsThatDoNotFit) {
  const Options options{.padding = Options::Padding::kPublished};
  ContrastCase one = padded_pair();
  one.texts[0].num_pads = 2;
  EXPECT_EQ(error_of(one, options),
            "[contrastive_perplexity] text 0: got 2 pads in front of 2 predictions, expected 3 "
            "(padded_length 6).");
  one = padded_pair();
  one.padded_length = 4;
  one.texts[0].num_pads = 1;
  one.texts[1].num_pads = -1;
  EXPECT_THAT(error_of(one, options), HasSubstr("text 1: got -1 pads"));
  one = padded_pair();
  one.texts[1].pad_prediction = 9;
  EXPECT_EQ(error_of(one, options),
            "[contrastive_perplexity] text 1 has pads: got pad_prediction 9, expected an index "
            "below 9.");
  one = padded_pair();
  one.pad_repeat_prediction = -1;
  EXPECT_EQ(error_of(one, options),
            "[contrastive_perplexity] text 0 has 3 pads: got pad_repeat_prediction -1, expected an "
            "index below 9.");
}

TEST(ContrastivePerplexity, RefusesCountsThatAreSmallerThanTheMicroBatch) {
  const ContrastCase one = one_of_each();
  for (const StepCounts& step : {StepCounts{0, 1, 2}, StepCounts{1, 0, 2}, StepCounts{1, 1, 1}}) {
    EXPECT_THROW(contrastive_perplexity(one.batch(), {}, step), std::invalid_argument);
  }
  EXPECT_EQ(testing_support::message_of<std::invalid_argument>(
                [&] { contrastive_perplexity(one.batch(), {}, {}); }),
            "[contrastive_perplexity] the step's counts are too small: got 0 groups, 0 "
            "positive texts, 0 positive tokens, expected at least the 1, 1 and 2 of this "
            "micro batch.");
}

TEST(ContrastivePerplexity, RefusesOptionsOutOfRange) {
  EXPECT_EQ(error_of(one_of_each(), {.tau = 0.0}),
            "[contrastive_perplexity] tau: got 0, expected more than 0.");
  EXPECT_EQ(error_of(one_of_each(), {.label_smoothing = 1.5}),
            "[contrastive_perplexity] label_smoothing: got 1.5, expected 0 to 1.");
}

// ---- The paper's form ---------------------------------------------------------------------------

ContrastiveOptions paper_options() {
  return {.form = ContrastiveOptions::Form::kPaper,
          .centroid = ContrastiveOptions::Centroid::kGroup};
}

// One positive: d = 0, score 1. A negative ln 2 above it: score 1/2. J = 1 / (1 + 1/2), so the loss
// is log(3/2). With p = 1/3 the negative's part of the denominator, its slope is -p and the
// centroid hands the same back to the positive.
TEST(ContrastivePerplexityPaper, IsTheValueComputedByHand) {
  ContrastCase one;
  one.add(0, TextRole::kPositive, {1.0});
  one.add(0, TextRole::kHardNegative, {1.0 + std::log(2.0)});
  const ObjectiveResult result = run(one, paper_options());
  EXPECT_NEAR(result.loss, std::log(1.5), 1e-15);
  EXPECT_NEAR(result.gradient[0], 1.0 / 3.0, 1e-15);
  EXPECT_NEAR(result.gradient[1], -1.0 / 3.0, 1e-15);
  EXPECT_EQ(result.contrast, std::nullopt);
}

// The weight 1.1 in the denominator: J = 1 / (1 + 0.55).
TEST(ContrastivePerplexityPaper, NegativesWeighInTheDenominatorAlone) {
  ContrastCase one;
  one.add(0, TextRole::kPositive, {1.0});
  one.add(0, TextRole::kHardNegative, {1.0 + std::log(2.0)});
  ContrastiveOptions options = paper_options();
  options.negative_weight = 1.1;
  EXPECT_NEAR(run(one, options).loss, std::log(1.55), 1e-15);
}

// exp(1) against exp(1) + 2 at tau 2: score exp(-1).
TEST(ContrastivePerplexityPaper, PerplexityIsComparedWhereAskedFor) {
  ContrastCase one;
  one.add(0, TextRole::kPositive, {1.0});
  one.add(0, TextRole::kHardNegative, {std::log(std::exp(1.0) + 2.0)});
  ContrastiveOptions options = paper_options();
  options.phi = ContrastiveOptions::Phi::kPerplexity;
  options.tau = 2.0;
  EXPECT_NEAR(run(one, options).loss, std::log1p(std::exp(-1.0)), 1e-15);
}

// exp(-2000) underflows, its logarithm does not.
TEST(ContrastivePerplexityPaper, DistancesOfAnySizeStayExact) {
  ContrastCase one;
  one.add(0, TextRole::kPositive, {0.0});
  one.add(0, TextRole::kPositive, {4000.0});
  one.add(0, TextRole::kHardNegative, {2000.0});
  EXPECT_NEAR(run(one, paper_options()).loss, 2000.0 - std::log(2.0), 1e-9);
}

}  // namespace contrastive_perplexity_test
}  // namespace cpx::objectives
