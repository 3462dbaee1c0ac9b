// SPDX-License-Identifier: Apache-2.0
// Legend: N predictions, D model, V vocabulary, R rank.
#include "cpx/kernels/token_nll.h"

#include <cmath>
#include <functional>
#include <limits>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/random.h"
#include "tests/support/errors.h"
#include "tests/support/gradient_check.h"
#include "tests/support/tensors.h"

namespace cpx::kernels {
namespace token_nll_test {

using testing_support::equals_finite_differences;
using testing_support::equals_formula;
using testing_support::is_close;
using testing_support::message_of;
using testing_support::random_tensor;
using testing_support::TensorFunction;
using torch::Tensor;

constexpr double kScale = 0.8;

struct Head {
  int64_t num_rows = 9;
  int64_t hidden_size = 5;
  int64_t vocabulary = 13;
  int64_t rank = 2;

  // Rounded to bfloat16, so that it is the same in every type.
  Tensor weight() const {
    return random_tensor({vocabulary, hidden_size}, 1).to(torch::kBFloat16).to(torch::kFloat64);
  }
  Tensor hidden() const { return random_tensor({num_rows, hidden_size}, 2); }
  Tensor low_rank() const { return random_tensor({num_rows, rank}, 3); }
  Tensor b() const { return random_tensor({vocabulary, rank}, 4); }
  Tensor targets() const {
    auto ids = at::empty({num_rows}, at::kLong);
    CounterRng rng(5, {});
    for (int64_t i = 0; i < num_rows; ++i) {
      ids.mutable_data_ptr<int64_t>()[i] =
          static_cast<int64_t>(rng.below(static_cast<uint64_t>(vocabulary)));
    }
    return ids;
  }
};

Tensor nll_of(const Tensor& logits, const Tensor& targets) {
  return -at::log_softmax(logits, 1).gather(1, targets.unsqueeze(1)).squeeze(1);
}

TensorFunction plain(const Head& head) {
  return [head](const std::vector<Tensor>& x) {
    return token_nll(x[0], head.weight().to(x[0].scalar_type()), head.targets());
  };
}

TensorFunction plain_formula(const Head& head) {
  return [head](const std::vector<Tensor>& x) {
    return nll_of(at::mm(x[0], head.weight().t()), head.targets());
  };
}

TensorFunction low_rank(const Head& head) {
  return [head](const std::vector<Tensor>& x) {
    return token_nll_low_rank(x[0], head.weight().to(x[0].scalar_type()), x[1], x[2], kScale,
                              head.targets());
  };
}

TensorFunction low_rank_formula(const Head& head) {
  return [head](const std::vector<Tensor>& x) {
    return nll_of(at::mm(x[0], head.weight().t()) + kScale * at::mm(x[1], x[2].t()),
                  head.targets());
  };
}

// Several chunks of rows: the least rows of a chunk, reached by many columns, and some more.
const Head kManyChunks{.num_rows = 37, .hidden_size = 2, .vocabulary = 600000, .rank = 1};

TEST(TokenNll, EqualsTheFormula) {
  const Head head;
  for (const auto dtype : {torch::kFloat64, torch::kFloat32, torch::kBFloat16}) {
    EXPECT_TRUE(equals_formula(plain(head), plain_formula(head), {head.hidden()}, dtype)) << dtype;
  }
}

TEST(TokenNll, GradientMatchesFiniteDifference) {
  const Head head;
  EXPECT_TRUE(equals_finite_differences(plain(head), {head.hidden()}));
}

TEST(TokenNll, ManyChunksEqualTheFormula) {
  EXPECT_TRUE(equals_formula(plain(kManyChunks), plain_formula(kManyChunks), {kManyChunks.hidden()},
                             torch::kFloat64));
  // More rows than a block of float32 logits holds, and three blocks of columns with a rest.
  const Head tall{.num_rows = 1030, .hidden_size = 3, .vocabulary = 4500};
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
    EXPECT_TRUE(equals_formula(plain(tall), plain_formula(tall), {tall.hidden()}, dtype)) << dtype;
  }
}

TEST(TokenNll, VocabulariesOfAllSizesEqualTheFormula) {
  for (const int64_t vocabulary : {256, 32000, 256000}) {
    const Head head{.num_rows = 6, .hidden_size = 5, .vocabulary = vocabulary};
    const auto weight = head.weight();
    const auto targets = head.targets();
    const auto hidden = head.hidden();
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
      EXPECT_TRUE(equals_formula(
          [&](const std::vector<Tensor>& x) {
            return token_nll(x[0], weight.to(x[0].scalar_type()), targets);
          },
          [&](const std::vector<Tensor>& x) { return nll_of(at::mm(x[0], weight.t()), targets); },
          {hidden}, dtype))
          << vocabulary << ", " << dtype;
    }
  }
}

TEST(TokenNll, ColumnsThatRiseFromBlockToBlockEqualTheFormula) {
  // Logits rise by 100 over the columns: what was summed up before is scaled down again and again,
  // to nothing at last. The first target lies in the first block, the second in the last one.
  const auto weight = at::linspace(0.0, 100.0, 9000, at::kDouble).unsqueeze(1);
  const auto targets = at::tensor({3, 8990}, at::kLong);
  for (const double direction : {1.0, -1.0}) {
    const auto hidden = at::full({2, 1}, direction, at::kDouble);
    EXPECT_TRUE(equals_formula(
        [&](const std::vector<Tensor>& x) {
          return token_nll(x[0], weight.to(x[0].scalar_type()), targets);
        },
        [&](const std::vector<Tensor>& x) { return nll_of(at::mm(x[0], weight.t()), targets); },
        {hidden}, torch::kFloat32));
  }
}

TEST(TokenNll, IsTheSameWithAndWithoutGradient) {
  const Head head;
  const auto with = plain(head)({head.hidden().requires_grad_(true)});
  const auto without = plain(head)({head.hidden()});
  EXPECT_TRUE(with.requires_grad());
  EXPECT_FALSE(without.requires_grad());
  EXPECT_TRUE(at::equal(with.detach(), without));
  const torch::NoGradGuard no_grad;
  EXPECT_FALSE(plain(head)({head.hidden().requires_grad_(true)}).requires_grad());
}

TEST(TokenNll, HugeLogitsStayFinite) {
  // Logits 1000 and -1000: the first token's NLL is 0, the second's 2000.
  auto hidden = at::tensor({1000.0F}).view({1, 1}).expand({2, 1}).clone().requires_grad_(true);
  const auto weight = at::tensor({1.0F, -1.0F}).view({2, 1});
  const auto nll = token_nll(hidden, weight, at::tensor({0, 1}, at::kLong));
  EXPECT_TRUE(at::equal(nll.detach(), at::tensor({0.0F, 2000.0F})));
  nll.sum().backward();
  // u = W^T (softmax - onehot): 0 for the first, 1 * 1 + (-1)(0 - 1) = 2 for the second.
  EXPECT_TRUE(at::equal(hidden.grad().view({2}), at::tensor({0.0F, 2.0F})));
}

TEST(TokenNll, NumbersThatAreNoneAreNotHidden) {
  const Head head;
  auto hidden = head.hidden().to(torch::kFloat32);
  hidden[3][1] = std::numeric_limits<double>::quiet_NaN();
  const auto nll = plain(head)({hidden});
  EXPECT_TRUE(nll[3].isnan().item<bool>());
  EXPECT_EQ(nll.isnan().sum().item<int64_t>(), 1);
}

Tensor entropy_of(const Tensor& logits) {
  const auto log_probs = at::log_softmax(logits, 1);
  return -(log_probs.exp() * log_probs).sum(1);
}

TEST(TokenNllAndEntropy, EqualsTheFormula) {
  const Head tall{.num_rows = 1030, .hidden_size = 3, .vocabulary = 4500};
  for (const Head& head : {Head(), kManyChunks, tall}) {
    const auto logits = at::mm(head.hidden(), head.weight().t());
    for (const auto dtype : {torch::kFloat64, torch::kFloat32, torch::kBFloat16}) {
      const auto hidden = head.hidden().to(dtype).requires_grad_(true);
      const auto both = token_nll_and_entropy(hidden, head.weight().to(dtype), head.targets());
      const auto expected_dtype = dtype == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
      EXPECT_TRUE(is_close(both.entropy, entropy_of(logits).to(expected_dtype), dtype)) << dtype;
      EXPECT_TRUE(at::equal(both.nll, plain(head)({hidden.detach()}))) << dtype;
      EXPECT_FALSE(both.nll.requires_grad() || both.entropy.requires_grad());
    }
  }
}

// By hand: two equal chances, one certainty, and logits that rise from block to block.
TEST(TokenNllAndEntropy, OfHugeAndRisingLogits) {
  const auto weight = at::tensor({1.0F, -1.0F}).view({2, 1});
  const auto both = token_nll_and_entropy(at::tensor({0.0F, 1000.0F}).view({2, 1}), weight,
                                          at::tensor({1, 0}, at::kLong));
  EXPECT_TRUE(is_close(both.entropy, at::tensor({std::log(2.0F), 0.0F})));
  const auto rising = at::linspace(0.0, 100.0, 9000, at::kDouble).unsqueeze(1);
  for (const double direction : {1.0, -1.0}) {
    const auto hidden = at::full({1, 1}, direction, at::kDouble);
    const auto entropy = token_nll_and_entropy(hidden.to(at::kFloat), rising.to(at::kFloat),
                                               at::tensor({5}, at::kLong))
                             .entropy;
    EXPECT_TRUE(is_close(entropy, entropy_of(at::mm(hidden, rising.t())), at::kFloat));
  }
}

TEST(TokenNllAndEntropy, ATokenThatCannotBeChangesNothing) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto both =
      token_nll_and_entropy(at::ones({1, 1}), at::tensor({1.0F, -infinity, 1.0F}).view({3, 1}),
                            at::tensor({0}, at::kLong));
  EXPECT_TRUE(is_close(both.entropy, at::tensor({std::log(2.0F)})));
  const float none = std::numeric_limits<float>::quiet_NaN();
  const auto broken = token_nll_and_entropy(at::tensor({none}).view({1, 1}), at::ones({3, 1}),
                                            at::tensor({0}, at::kLong));
  EXPECT_TRUE(broken.nll.isnan().all().item<bool>());
  EXPECT_TRUE(broken.entropy.isnan().all().item<bool>());
}

TEST(TokenNll, TheFrozenHeadGetsNoGradient) {
  const Head head;
  auto weight = head.weight().requires_grad_(true);
  auto hidden = head.hidden().requires_grad_(true);
  token_nll(hidden, weight, head.targets()).sum().backward();
  EXPECT_TRUE(hidden.grad().defined());
  EXPECT_FALSE(weight.grad().defined());
}

TEST(TokenNll, Bfloat16GivesFloatLosses) {
  const Head head;
  const auto nll = plain(head)({head.hidden().to(torch::kBFloat16)});
  EXPECT_EQ(nll.scalar_type(), torch::kFloat32);
}

TEST(TokenNllLowRank, EqualsTheFormula) {
  const Head head;
  for (const auto dtype : {torch::kFloat64, torch::kFloat32, torch::kBFloat16}) {
    EXPECT_TRUE(equals_formula(low_rank(head), low_rank_formula(head),
                               {head.hidden(), head.low_rank(), head.b()}, dtype))
        << dtype;
  }
}

TEST(TokenNllLowRank, GradientMatchesFiniteDifference) {
  const Head head;
  EXPECT_TRUE(
      equals_finite_differences(low_rank(head), {head.hidden(), head.low_rank(), head.b()}));
}

TEST(TokenNllLowRank, ManyChunksEqualTheFormula) {
  const auto& head = kManyChunks;
  EXPECT_TRUE(equals_formula(low_rank(head), low_rank_formula(head),
                             {head.hidden(), head.low_rank(), head.b()}, torch::kFloat64));
}

TEST(TokenNllLowRank, OnlyTheInputsThatAskForItGetAGradient) {
  const Head head;
  const std::vector<Tensor> values = {head.hidden(), head.low_rank(), head.b()};
  const auto all = testing_support::derivatives_of(low_rank(head), values);
  for (size_t trained = 0; trained < 3; ++trained) {
    std::vector<Tensor> inputs = {head.hidden(), head.low_rank(), head.b()};
    inputs[trained].requires_grad_(true);
    const auto nll = low_rank(head)(inputs);
    nll.backward(random_tensor(nll.sizes(), 77));
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(inputs[i].grad().defined(), i == trained);
    EXPECT_TRUE(is_close(inputs[trained].grad(), all.gradients[trained]));
  }
}

TEST(TokenNllErrors, NameTheShapes) {
  const auto targets = at::zeros({2}, at::kLong);
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              token_nll(at::zeros({2, 3}), at::zeros({5, 4}), targets);
            }),
            "[token_nll] shapes do not fit: got hidden [2, 3] and weight [5, 4], expected [N, D] "
            "and [V, D].");
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              token_nll(at::zeros({3, 4}), at::zeros({5, 4}), targets);
            }),
            "[token_nll] one target a row is needed: got targets [2], expected [3].");
}

TEST(TokenNllErrors, ATargetOutsideTheVocabularyIsRefused) {
  for (const int64_t bad : {int64_t{-1}, int64_t{5}}) {
    const auto targets = at::tensor({int64_t{0}, bad}, at::kLong);
    EXPECT_EQ(
        message_of<std::invalid_argument>([&] {
          token_nll(at::zeros({2, 4}), at::zeros({5, 4}), targets);
        }),
        fmt::format("[token_nll] got target {}, expected 0 <= target < 5 (the vocabulary).", bad));
  }
}

}  // namespace token_nll_test
}  // namespace cpx::kernels
