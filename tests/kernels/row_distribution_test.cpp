// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/row_distribution.h"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/errors.h"
#include "tests/support/gradient_check.h"
#include "tests/support/tensors.h"

namespace cpx::kernels {
namespace row_distribution_test {

using testing_support::is_close;
using testing_support::message_of;
using testing_support::random_tensor;
using torch::Tensor;

// Softmax of one row, a number at a time.
std::vector<double> softmax(const Tensor& row) {
  std::vector<double> values;
  double sum = 0.0;
  for (int64_t i = 0; i < row.size(0); ++i) {
    values.push_back(std::exp(row[i].item<double>()));
    sum += values.back();
  }
  for (double& value : values) value /= sum;
  return values;
}

Tensor entropy_by_hand(const Tensor& logits) {
  std::vector<double> entropies;
  for (int64_t row = 0; row < logits.size(0); ++row) {
    double entropy = 0.0;
    for (const double p : softmax(logits[row])) entropy -= p * std::log(p);
    entropies.push_back(entropy);
  }
  return at::tensor(entropies, at::kDouble);
}

Tensor kl_by_hand(const Tensor& logits, const Tensor& reference_logits) {
  std::vector<double> divergences;
  for (int64_t row = 0; row < logits.size(0); ++row) {
    const auto p = softmax(logits[row]);
    const auto q = softmax(reference_logits[row]);
    double kl = 0.0;
    for (size_t i = 0; i < p.size(); ++i) kl += p[i] * std::log(p[i] / q[i]);
    divergences.push_back(kl);
  }
  return at::tensor(divergences, at::kDouble);
}

// Rounded to bfloat16, so that the numbers are the same in every type.
Tensor random_logits(uint64_t seed) {
  return (2.0 * random_tensor({7, 11}, seed)).to(at::kBFloat16).to(at::kDouble);
}

TEST(RowEntropy, EqualsTheSumByHand) {
  const auto logits = random_logits(1);
  const auto expected = entropy_by_hand(logits);
  EXPECT_TRUE(is_close(row_entropy(logits), expected));
  EXPECT_TRUE(is_close(row_entropy(logits.to(at::kFloat)), expected));
  EXPECT_TRUE(is_close(row_entropy(logits.to(at::kBFloat16)), expected, at::kFloat));
}

// log 4 of four equal scores, 0 of one that is far above the others, log 2 of two such.
TEST(RowEntropy, OfKnownDistributions) {
  const auto logits = at::tensor({1.0, 1.0, 1.0, 1.0,    //
                                  800.0, 0.0, 0.0, 0.0,  //
                                  800.0, 0.0, 800.0, 0.0},
                                 at::kDouble)
                          .view({3, 4});
  const auto expected = at::tensor({std::log(4.0), 0.0, std::log(2.0)}, at::kDouble);
  EXPECT_TRUE(is_close(row_entropy(logits), expected));
}

TEST(RowKl, EqualsTheSumByHand) {
  const auto logits = random_logits(2);
  const auto reference = random_logits(3);
  const auto expected = kl_by_hand(logits, reference);
  EXPECT_TRUE(is_close(row_kl(logits, reference), expected));
  EXPECT_TRUE(is_close(row_kl(logits.to(at::kFloat), reference.to(at::kFloat)), expected));
}

TEST(RowKl, IsZeroOfEqualDistributions) {
  const auto logits = random_logits(4);
  EXPECT_LT(row_kl(logits, logits + 3.0).abs().max().item<double>(), 1e-14);
}

TEST(RowKlOfReference, IsTheKlOfTheOtherOrder) {
  const auto logits = random_logits(7);
  const auto reference = random_logits(8);
  const auto expected = kl_by_hand(reference, logits);
  EXPECT_TRUE(is_close(row_kl_of_reference(logits, reference), expected));
  EXPECT_TRUE(
      is_close(row_kl_of_reference(logits.to(at::kBFloat16), reference), expected, at::kFloat));
}

TEST(RowKlOfReference, HasTheGradientOfItsFormula) {
  const auto reference = random_logits(9);
  const auto function = [&](const std::vector<Tensor>& inputs) {
    return row_kl_of_reference(inputs[0], reference.to(inputs[0].dtype()));
  };
  const auto formula = [&](const std::vector<Tensor>& inputs) {
    const auto log_reference = at::log_softmax(reference, 1);
    return (log_reference.exp() * (log_reference - at::log_softmax(inputs[0], 1))).sum(1);
  };
  EXPECT_TRUE(testing_support::equals_formula(function, formula, {random_logits(10)}, at::kFloat));
  EXPECT_TRUE(testing_support::equals_finite_differences(function, {random_logits(10)}));
}

TEST(RowDistribution, NothingElseHasAGradient) {
  auto logits = random_logits(5).requires_grad_(true);
  EXPECT_FALSE(row_entropy(logits).requires_grad());
  EXPECT_FALSE(row_kl(logits, random_logits(6)).requires_grad());
}

TEST(RowDistribution, ShapesThatDoNotFitAreNamed) {
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              row_kl(at::zeros({2, 3}), at::zeros({2, 4}));
            }),
            "[row_kl] shapes do not fit: got logits [2, 3] and [2, 4] of the reference, "
            "expected [N, V] twice.");
  EXPECT_EQ(message_of<std::invalid_argument>([&] { row_entropy(at::zeros({3})); }),
            "[row_entropy] logits are [3], expected [N, V].");
}

}  // namespace row_distribution_test
}  // namespace cpx::kernels
