// SPDX-License-Identifier: Apache-2.0
// Legend: T tokens, I input features, O output features, R rank.
#include "cpx/kernels/lora_linear.h"

#include <cmath>
#include <functional>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/random.h"
#include "tests/support/errors.h"
#include "tests/support/gradient_check.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::kernels {
namespace lora_linear_test {

using testing_support::equals_finite_differences;
using testing_support::equals_formula;
using testing_support::is_close;
using testing_support::message_of;
using testing_support::random_tensor;
using testing_support::TensorFunction;
using torch::Tensor;

constexpr int64_t kTokens = 7;
constexpr int64_t kInputs = 43;  // a full register, whole bytes and a rest
constexpr int64_t kOutputs = 6;
constexpr int64_t kRank = 3;

struct Case {
  bool has_bias;
  double dropout;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << (one.has_bias ? "bias" : "no bias") << ", dropout " << one.dropout;
}

class LoraLinear : public testing::TestWithParam<Case> {
 protected:
  LoraOptions options() const {
    return {.scale = 1.7, .dropout = GetParam().dropout, .dropout_key = 0x1234567890abcdefULL};
  }
  // x, a, b
  std::vector<Tensor> inputs() const {
    return {random_tensor({kTokens, kInputs}, 1), random_tensor({kRank, kInputs}, 2),
            random_tensor({kOutputs, kRank}, 3)};
  }
  TensorFunction kernel() const {
    return [this](const std::vector<Tensor>& x) {
      const auto bias = GetParam().has_bias ? bias_.to(x[0].scalar_type()) : Tensor();
      return linear(x[0], {.weight = weight_.to(x[0].scalar_type()),
                           .bias = bias,
                           .a = x[1],
                           .b = x[2],
                           .options = options()});
    };
  }
  TensorFunction formula() const {
    return [this](const std::vector<Tensor>& x) {
      const auto mask =
          dropout_mask(kTokens, kInputs, options().dropout, options().dropout_key, at::kDouble);
      auto y = at::mm(x[0], weight_.to(torch::kFloat64).t()) +
               options().scale * at::mm(at::mm(x[0] * mask, x[1].t()), x[2].t());
      return GetParam().has_bias ? y + bias_.to(torch::kFloat64) : y;
    };
  }

  // Rounded to bfloat16, so that they are the same in every type.
  const Tensor weight_ = random_tensor({kOutputs, kInputs}, 4).to(torch::kBFloat16);
  const Tensor bias_ = random_tensor({kOutputs}, 5).to(torch::kBFloat16);
};

TEST_P(LoraLinear, EqualsTheFormula) {
  for (const auto dtype : {torch::kFloat64, torch::kFloat32, torch::kBFloat16}) {
    EXPECT_TRUE(equals_formula(kernel(), formula(), inputs(), dtype)) << dtype;
  }
}

TEST_P(LoraLinear, GradientMatchesFiniteDifference) {
  EXPECT_TRUE(equals_finite_differences(kernel(), inputs()));
}

TEST_P(LoraLinear, FrozenInputsGetNoGradientAndTheOthersTheSame) {
  const auto all = testing_support::derivatives_of(kernel(), inputs());
  auto weight = weight_.to(torch::kFloat64).requires_grad_(true);
  auto bias = bias_.to(torch::kFloat64).requires_grad_(true);
  auto given = inputs();
  given[1].requires_grad_(true);
  given[2].requires_grad_(true);
  const auto y = linear(given[0], {.weight = weight,
                                   .bias = GetParam().has_bias ? bias : Tensor(),
                                   .a = given[1],
                                   .b = given[2],
                                   .options = options()});
  y.backward(random_tensor(y.sizes(), 77));
  EXPECT_FALSE(weight.grad().defined());
  EXPECT_FALSE(bias.grad().defined());
  EXPECT_FALSE(given[0].grad().defined());
  EXPECT_TRUE(is_close(given[1].grad(), all.gradients[1]));
  EXPECT_TRUE(is_close(given[2].grad(), all.gradients[2]));
}

TEST_P(LoraLinear, FloatFactorsOnBfloat16InputsGetFloatGradients) {
  auto given = inputs();
  const auto x = given[0].to(torch::kBFloat16).requires_grad_(true);
  const auto a = given[1].to(torch::kFloat32).requires_grad_(true);
  const auto b = given[2].to(torch::kFloat32).requires_grad_(true);
  const auto bias = GetParam().has_bias ? bias_ : Tensor();
  const auto y = linear(x, {.weight = weight_, .bias = bias, .a = a, .b = b, .options = options()});
  y.backward(random_tensor(y.sizes(), 77).to(torch::kBFloat16));
  const auto expected = testing_support::derivatives_of(formula(), inputs());
  EXPECT_EQ(y.scalar_type(), torch::kBFloat16);
  EXPECT_EQ(a.grad().scalar_type(), torch::kFloat32);
  EXPECT_EQ(b.grad().scalar_type(), torch::kFloat32);
  EXPECT_TRUE(is_close(a.grad().to(torch::kBFloat16), expected.gradients[1]));
  EXPECT_TRUE(is_close(b.grad().to(torch::kBFloat16), expected.gradients[2]));
}

INSTANTIATE_TEST_SUITE_P(Cases, LoraLinear,
                         testing::Values(Case{false, 0.0}, Case{true, 0.0}, Case{false, 0.4},
                                         Case{true, 0.9}),
                         testing_support::by_value);

TEST(LoraLinearTraining, NothingToTrainRecordsNoGraph) {
  EXPECT_FALSE(linear(at::zeros({2, 3}),
                      {.weight = at::zeros({4, 3}), .a = at::zeros({1, 3}), .b = at::zeros({4, 1})})
                   .requires_grad());
}

TEST(LoraLinearTraining, BaseWeightsInAReadOnlyViewAreNotTouched) {
  const auto weight = random_tensor({4, 3}, 1);
  const auto copy = weight.clone();
  auto a = random_tensor({2, 3}, 2).requires_grad_(true);
  const auto b = random_tensor({4, 2}, 3);
  linear(random_tensor({5, 3}, 4), {.weight = weight, .a = a, .b = b, .options = {.dropout = 0.5}})
      .sum()
      .backward();
  EXPECT_TRUE(at::equal(weight, copy));
}

// Layers that share their input: an update, one with dropout, none, and an update of another rank.
class SharedLinear : public testing::Test {
 protected:
  static constexpr int64_t kFirstRank = 2;

  // x, then a and b of the three updates
  static std::vector<Tensor> inputs() {
    return {random_tensor({kTokens, kInputs}, 1),
            random_tensor({kFirstRank, kInputs}, 2),
            random_tensor({kOutputs, kFirstRank}, 3),
            random_tensor({kRank, kInputs}, 4),
            random_tensor({4, kRank}, 5),
            random_tensor({kRank, kInputs}, 6),
            random_tensor({5, kRank}, 7)};
  }
  static Tensor weight(int64_t outputs) {
    return random_tensor({outputs, kInputs}, 10 + static_cast<uint64_t>(outputs))
        .to(torch::kBFloat16);
  }
  static std::vector<LinearWeights> layers(const std::vector<Tensor>& x) {
    const auto type = x[0].scalar_type();
    return {{.weight = weight(kOutputs).to(type), .a = x[1], .b = x[2], .options = {.scale = 1.7}},
            {.weight = weight(4).to(type),
             .a = x[3],
             .b = x[4],
             .options = {.scale = 0.6, .dropout = 0.3, .dropout_key = 77}},
            {.weight = weight(3).to(type)},
            {.weight = weight(5).to(type), .a = x[5], .b = x[6], .options = {.scale = 0.9}}};
  }
  static Tensor kernel(const std::vector<Tensor>& x) {
    return at::cat(shared_linear(x[0], layers(x)), 1);
  }
  static Tensor formula(const std::vector<Tensor>& x) {
    std::vector<Tensor> outputs;
    for (const LinearWeights& layer : layers(x)) {
      auto y = at::mm(x[0], layer.weight.t());
      if (layer.a.defined()) {
        const LoraOptions& own = layer.options;
        const auto mask =
            dropout_mask(kTokens, kInputs, own.dropout, own.dropout_key, x[0].options());
        y = y + own.scale * at::mm(at::mm(x[0] * mask, layer.a.t()), layer.b.t());
      }
      outputs.push_back(y);
    }
    return at::cat(outputs, 1);
  }
};

TEST_F(SharedLinear, EqualsTheFormulaOfEachLayer) {
  for (const auto dtype : {torch::kFloat64, torch::kFloat32, torch::kBFloat16}) {
    EXPECT_TRUE(equals_formula(kernel, formula, inputs(), dtype)) << dtype;
  }
}

TEST_F(SharedLinear, GradientMatchesFiniteDifference) {
  EXPECT_TRUE(equals_finite_differences(kernel, inputs()));
}

TEST_F(SharedLinear, OnlyAnOutputThatIsReadSendsAGradient) {
  auto given = inputs();
  for (Tensor& input : given) input.requires_grad_(true);
  shared_linear(given[0], layers(given))[3].sum().backward();
  EXPECT_GT(given[5].grad().abs().sum().item<double>(), 0.0);
  for (const size_t other : {1U, 2U, 3U, 4U}) {
    EXPECT_EQ(given[other].grad().abs().sum().item<double>(), 0.0) << other;
  }
}

TEST_F(SharedLinear, WithoutAnUpdateNothingOfTheInputIsKept) {
  const std::vector<LinearWeights> frozen = {{.weight = random_tensor({4, 3}, 1)},
                                             {.weight = random_tensor({2, 3}, 2)}};
  auto x = random_tensor({5, 3}, 3).requires_grad_(true);
  auto doubled = x * 2.0;
  const auto weak = c10::weak_intrusive_ptr<c10::TensorImpl>(doubled.getIntrusivePtr());
  const auto outputs = shared_linear(doubled, frozen);
  doubled = Tensor();
  EXPECT_TRUE(weak.expired());
  (outputs[0].sum() + outputs[1].sum()).backward();
  EXPECT_TRUE(
      is_close(x.grad(), 2.0 * (frozen[0].weight.sum(0) + frozen[1].weight.sum(0)).expand_as(x)));
}

TEST(LoraLinearErrors, NameTheShapes) {
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              linear(at::zeros({2, 3}),
                     {.weight = at::zeros({4, 3}), .a = at::zeros({1, 5}), .b = at::zeros({4, 1})});
            }),
            "[linear] shapes do not fit: got x [2, 3], weight [4, 3], a [1, 5], b "
            "[4, 1], expected [T, I], [O, I], [R, I], [O, R].");
}

constexpr uint64_t kKey = 42;

TEST(DropoutMask, DependsOnlyOnKeyRowAndColumn) {
  const auto mask = dropout_mask(70, 37, 0.3, kKey, at::kFloat);
  EXPECT_TRUE(at::equal(mask, dropout_mask(70, 37, 0.3, kKey, at::kFloat)));
  EXPECT_TRUE(at::equal(mask.narrow(0, 0, 9), dropout_mask(9, 37, 0.3, kKey, at::kFloat)));
  EXPECT_TRUE(at::equal(mask.narrow(1, 0, 14), dropout_mask(70, 14, 0.3, kKey, at::kFloat)));
}

// Word i of the Philox block (c, row, 0, 0) under the key decides about column 4 c + i.
TEST(DropoutMask, FollowsPhilox) {
  constexpr double kRate = 0.3;
  constexpr uint64_t kWideKey = 0xfedcba9876543210ULL;
  const auto mask = dropout_mask(5, 70, kRate, kWideKey, at::kFloat);
  for (uint32_t row = 0; row < 5; ++row) {
    for (uint32_t column = 0; column < 70; ++column) {
      const auto words = philox4x32({column / 4, row, 0, 0}, {0x76543210U, 0xfedcba98U});
      const bool is_kept = words[column % 4] >= static_cast<uint32_t>(kRate * 0x1.0p32);
      EXPECT_EQ(mask[row][column].item<float>() > 0, is_kept) << row << ", " << column;
    }
  }
}

TEST(DropoutMask, IsTheSameWithAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = dropout_mask(200, 33, 0.3, kKey, at::kFloat);
  at::set_num_threads(3);
  const auto three = dropout_mask(200, 33, 0.3, kKey, at::kFloat);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, three));
}

TEST(DropoutMask, KeysGiveIndependentMasks) {
  constexpr double kRate = 0.5;
  const auto first = dropout_mask(100, 100, kRate, kKey, at::kFloat) > 0;
  for (const uint64_t other : {kKey + 1, kKey + (uint64_t{1} << 32), ~kKey}) {
    const auto second = dropout_mask(100, 100, kRate, other, at::kFloat) > 0;
    // Agreements of 10^4 fair coins: 5000 with a deviation of 50.
    EXPECT_NEAR(first.eq(second).sum().item<int64_t>(), 5000, 250) << other;
  }
}

TEST(DropoutMask, DropsAtTheGivenRateAndKeepsTheMean) {
  for (const double p : {0.01, 0.1, 0.5, 0.9}) {
    const auto mask = dropout_mask(400, 400, p, kKey, at::kDouble);
    const double dropped = mask.eq(0).to(at::kDouble).mean().item<double>();
    const double deviation = std::sqrt(p * (1.0 - p) / 160000.0);
    EXPECT_NEAR(dropped, p, 5.0 * deviation) << p;
    EXPECT_TRUE(is_close(mask.max().to(at::kFloat), at::scalar_tensor(1.0 / (1.0 - p)))) << p;
    const auto values = mask.masked_select(mask.gt(0));
    EXPECT_TRUE(at::equal(values, at::full_like(values, values[0].item()))) << p;
  }
}

TEST(DropoutMask, NeighbouringPlacesAreIndependent) {
  const auto kept = (dropout_mask(301, 301, 0.5, kKey, at::kFloat) > 0).to(at::kDouble) - 0.5;
  const auto corner = kept.narrow(0, 0, 300).narrow(1, 0, 300);
  for (const auto& [down, right] : {std::pair{0, 1}, std::pair{1, 0}, std::pair{1, 1}}) {
    const auto shifted = kept.narrow(0, down, 300).narrow(1, right, 300);
    // Mean of 90000 products of +-1/2: 0 with a deviation of 1/4/300.
    EXPECT_NEAR((corner * shifted).mean().item<double>(), 0.0, 5.0 / 1200.0);
  }
}

TEST(DropoutMask, ZeroRateKeepsEverything) {
  EXPECT_TRUE(at::equal(dropout_mask(5, 9, 0.0, kKey, at::kFloat), at::ones({5, 9})));
}

TEST(DropoutMask, ARateOfOneIsRefused) {
  EXPECT_EQ(message_of<std::invalid_argument>([&] { dropout_mask(2, 2, 1.0, kKey, at::kFloat); }),
            "[dropout] got probability 1, expected 0 <= p < 1.");
}

TEST(CounterDropout, EqualsTheMaskAndItsGradient) {
  const auto mask = dropout_mask(6, 9, 0.4, kKey, at::kDouble);
  const TensorFunction kernel = [](const std::vector<Tensor>& x) {
    return counter_dropout(x[0], 0.4, kKey);
  };
  const TensorFunction formula = [&](const std::vector<Tensor>& x) { return x[0] * mask; };
  EXPECT_TRUE(equals_formula(kernel, formula, {random_tensor({6, 9}, 1)}, torch::kFloat64));
  EXPECT_TRUE(equals_finite_differences(kernel, {random_tensor({6, 9}, 1)}));
}

TEST(CounterDropout, ZeroRateIsTheInputItself) {
  const auto x = random_tensor({2, 3}, 1);
  EXPECT_TRUE(counter_dropout(x, 0.0, kKey).is_same(x));
}

}  // namespace lora_linear_test
}  // namespace cpx::kernels
