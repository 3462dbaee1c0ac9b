// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/row_selection.h"

#include <gmock/gmock.h>
#include <memory>
#include <stdexcept>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::kernels {
namespace row_selection_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::message_of;

std::shared_ptr<const RowSelection> selection_of(const std::vector<int64_t>& rows,
                                                 int64_t num_sources) {
  return std::make_shared<RowSelection>(rows, num_sources, torch::kCPU);
}

TEST(RowSelection, KnowsWhereEachSourceRowWasTaken) {
  const auto selection = selection_of({2, 0, 2, 2}, 4);
  EXPECT_THAT(selection->taken_for(0), ElementsAre(1));
  EXPECT_THAT(selection->taken_for(1), ElementsAre());
  EXPECT_THAT(selection->taken_for(2), ElementsAre(0, 2, 3));
  EXPECT_THAT(selection->taken_for(3), ElementsAre());
  EXPECT_EQ(selection->num_sources(), 4);
}

TEST(RowSelection, RowsOutOfRangeAreRefused) {
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              selection_of({0, 3}, 3);
            }),
            "[row selection] got row 3, expected 0 to 2.");
}

// Against LibTorch's own index_select and its gradient, over more rows than one task takes.
TEST(SelectRows, ValuesAndGradientEqualIndexSelect) {
  torch::manual_seed(3);
  const int64_t num_sources = 300;
  const auto index = at::randint(0, num_sources, {700}, at::kLong);
  const std::vector<int64_t> rows(index.const_data_ptr<int64_t>(),
                                  index.const_data_ptr<int64_t>() + index.numel());
  const auto values = at::randn({num_sources, 3, 50}, at::kDouble);
  const auto weight = at::randn({700, 3, 50}, at::kDouble);
  auto ours = values.clone().requires_grad_();
  auto theirs = values.clone().requires_grad_();
  const auto selected = select_rows(ours, selection_of(rows, num_sources));
  const auto expected = theirs.index_select(0, index);
  EXPECT_TRUE(at::equal(selected, expected));
  (selected * weight).sum().backward();
  (expected * weight).sum().backward();
  EXPECT_TRUE(at::allclose(ours.grad(), theirs.grad(), 1e-13, 1e-13));
}

// 256 + 1 + 1 is 256 in bfloat16 when it is added up there, 258 when it is rounded once.
TEST(SelectRows, HalfTypesAreSummedInFloat32) {
  auto x = at::zeros({1, 1}, at::kBFloat16).requires_grad_();
  const auto selected = select_rows(x, selection_of({0, 0, 0}, 1));
  selected.backward(at::tensor({256.0, 1.0, 1.0}).to(at::kBFloat16).view({3, 1}));
  EXPECT_EQ(x.grad().item<double>(), 258.0);
}

TEST(SelectRows, ARowThatIsNotTakenGetsNoGradient) {
  auto x = at::ones({2, 2}, at::kFloat).requires_grad_();
  select_rows(x, selection_of({1}, 2)).sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), at::tensor({0.0F, 0.0F, 1.0F, 1.0F}).view({2, 2})));
}

TEST(SelectRows, AnotherNumberOfRowsIsRefused) {
  EXPECT_THAT(message_of<std::invalid_argument>([&] {
                select_rows(at::ones({3, 2}), selection_of({0}, 2));
              }),
              HasSubstr("[select_rows] got x [3, 2], expected 2 rows."));
}

}  // namespace row_selection_test
}  // namespace cpx::kernels
