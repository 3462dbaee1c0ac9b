// SPDX-License-Identifier: Apache-2.0
// Legend: N rows, I inputs, O outputs.
#include "cpx/kernels/row_product.h"

#include <stdexcept>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "cpx/kernels/lora_linear.h"
#include "tests/support/errors.h"
#include "tests/support/gradient_check.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::kernels {
namespace row_product_test {

using testing_support::is_close;
using testing_support::message_of;
using testing_support::random_tensor;
using torch::Tensor;

// Inputs with and without a rest, outputs that no tile divides, more work than one task.
class RowProduct : public testing::TestWithParam<std::pair<int64_t, int64_t>> {
 protected:
  static Tensor x(int64_t rows) {
    return random_tensor({rows, GetParam().first}, 1).to(torch::kFloat32);
  }
  static Tensor weight() { return random_tensor({GetParam().second, GetParam().first}, 2); }
};
INSTANTIATE_TEST_SUITE_P(Sizes, RowProduct,
                         testing::Values(std::pair(1, 1), std::pair(8, 4), std::pair(37, 11),
                                         std::pair(64, 30), std::pair(576, 203)),
                         testing_support::by_value);

TEST_P(RowProduct, EqualsTheFormula) {
  for (const int64_t rows : {1, 2, 5, 7, 20, 900}) {  // 900: several blocks
    const auto expected =
        at::mm(x(rows).to(at::kDouble), weight().to(at::kFloat).to(at::kDouble).t());
    EXPECT_TRUE(is_close(row_product(x(rows), weight().to(at::kFloat)), expected)) << rows;
    const auto half = weight().to(at::kBFloat16);
    EXPECT_TRUE(is_close(row_product(x(rows), half),
                         at::mm(x(rows).to(at::kDouble), half.to(at::kDouble).t())))
        << rows;
  }
}

TEST_P(RowProduct, ARowsBitsDoNotDependOnTheOthers) {
  const auto rows = x(40);
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
    const auto own_weight = weight().to(dtype);
    const auto all = row_product(rows, own_weight);
    for (int64_t count = 1; count < 40; ++count) {
      ASSERT_TRUE(
          at::equal(row_product(rows.narrow(0, 0, count), own_weight), all.narrow(0, 0, count)))
          << count;
      ASSERT_TRUE(
          at::equal(row_product(rows.narrow(0, count, 1), own_weight), all.narrow(0, count, 1)))
          << count;
    }
  }
}

TEST_P(RowProduct, TheNumberOfThreadsChangesNoBit) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = row_product(x(20), weight().to(at::kFloat));
  at::set_num_threads(2);
  const auto two = row_product(x(20), weight().to(at::kFloat));
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, two));
}

TEST(RowProductLinear, EqualsTheLinearLayer) {
  const auto x = random_tensor({7, 30}, 1).to(torch::kFloat32);
  LinearWeights layer{.weight = random_tensor({19, 30}, 2).to(torch::kFloat32),
                      .bias = random_tensor({19}, 3).to(torch::kFloat32),
                      .a = random_tensor({4, 30}, 4).to(torch::kFloat32),
                      .b = random_tensor({19, 4}, 5).to(torch::kFloat32),
                      .options = {.scale = 0.7}};
  const auto expected = linear(x, layer);
  layer.is_by_row = true;
  EXPECT_TRUE(is_close(linear(x, layer), expected));
  EXPECT_TRUE(at::equal(linear(x.narrow(0, 3, 1), layer), linear(x, layer).narrow(0, 3, 1)));
}

TEST(RowProducts, AreTheProductsOfEachWeight) {
  const auto x = random_tensor({5, 40}, 1).to(torch::kFloat32);
  const std::vector<Tensor> weights = {random_tensor({700, 40}, 2).to(torch::kFloat32),
                                       random_tensor({3, 40}, 3).to(torch::kFloat32),
                                       random_tensor({900, 40}, 4).to(torch::kFloat32)};
  auto mixed = weights;
  mixed[1] = mixed[1].to(torch::kBFloat16);
  for (const auto& own : {weights, mixed}) {
    const auto results = row_products(x, own);
    ASSERT_EQ(results.size(), 3);
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(results[i], row_product(x, own[i]))) << i;
  }
}

std::string product_error(const Tensor& x, const Tensor& weight) {
  return message_of<std::invalid_argument>([&] { row_product(x, weight); });
}

TEST(RowProductErrors, SayWhatDoesNotFit) {
  EXPECT_EQ(product_error(at::ones({2, 3}), at::ones({4, 5})),
            "[row_product] shapes do not fit: got x [2, 3] and weight [4, 5], expected [N, I] and "
            "[O, I].");
  EXPECT_EQ(product_error(at::ones({2, 3}), at::ones({4, 3}, at::kDouble)),
            "[row_product] types do not fit: got x float32 and weight float64, expected float32 "
            "and float32 or bfloat16 on the CPU.");
}

}  // namespace row_product_test
}  // namespace cpx::kernels
