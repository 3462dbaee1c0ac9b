// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/encoder_block.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/gradient_check.h"
#include "tests/support/tensors.h"

namespace cpx::nn {
namespace encoder_block_test {

using testing_support::is_close;
using testing_support::random_tensor;

// Random weights in float32.
void fill(torch::nn::Module& module) {
  uint64_t seed = 10;
  for (const auto& item : module.named_modules()) {
    auto* frozen = dynamic_cast<FrozenModule*>(item.value().get());
    if (frozen == nullptr) continue;
    for (const auto& name : frozen->frozen_names()) {
      const auto sizes = frozen->named_parameters(/*recurse=*/false)[name].sizes().vec();
      frozen->set_frozen(name, random_tensor(sizes, ++seed).mul(0.3).to(torch::kFloat32));
    }
  }
}

// Mean 2, variance 1: (1, 3, 1, 3) becomes (-1, 1, -1, 1).
TEST(LayerNorm, EqualsHandWorkedRow) {
  LayerNorm norm(4, 1e-12);
  norm->set_frozen("weight", at::tensor({1.0F, 2.0F, 3.0F, 4.0F}));
  norm->set_frozen("bias", at::tensor({0.0F, 0.0F, 10.0F, 10.0F}));
  EXPECT_TRUE(is_close(norm->forward(at::tensor({1.0F, 3.0F, 1.0F, 3.0F}).view({1, 4})),
                       at::tensor({-1.0F, 2.0F, 7.0F, 14.0F}).view({1, 4})));
}

// x Phi(x): at 1 it is 0.8413447 with the error function (0.8411920 with its tanh approximation).
TEST(EncoderIntermediate, GeluIsThatOfTheErrorFunction) {
  EncoderIntermediate intermediate(
      EncoderBlockOptions{.hidden_size = 1, .intermediate_size = 3, .num_heads = 1});
  intermediate->dense->set_frozen("weight", at::tensor({1.0F, -1.0F, 0.0F}).view({3, 1}));
  intermediate->dense->set_frozen("bias", at::zeros({3}));
  EXPECT_TRUE(is_close(intermediate->forward(at::ones({1, 1})),
                       at::tensor({0.8413447F, -0.1586553F, 0.0F}).view({1, 3})));
}

TEST(EncoderBlock, FirstRowsAreThoseOfAllRows) {
  EncoderBlock block(
      EncoderBlockOptions{.hidden_size = 16, .intermediate_size = 24, .num_heads = 2});
  fill(*block);
  const std::vector<int32_t> texts = {0, 4, 5, 12};
  const auto x = random_tensor({12, 16}, 1).to(torch::kFloat32);
  const auto all = block->forward(x, texts);
  EXPECT_EQ(all.sizes(), x.sizes());
  EXPECT_TRUE(is_close(block->forward(x, texts, BlockRows::kFirst),
                       all.index_select(0, at::tensor({0, 4, 5}, at::kLong))));
}

TEST(EncoderBlock, ATokenSeesThoseBehindItAndNoOtherText) {
  EncoderBlock block(
      EncoderBlockOptions{.hidden_size = 16, .intermediate_size = 24, .num_heads = 2});
  fill(*block);
  const std::vector<int32_t> texts = {0, 4, 9};
  auto x = random_tensor({9, 16}, 1).to(torch::kFloat32);
  const auto before = block->forward(x, texts);
  x = x.clone();
  x.select(0, 3).add_(1.0);  // the last token of the first text
  const auto after = block->forward(x, texts);
  EXPECT_FALSE(at::equal(after.select(0, 0), before.select(0, 0)));
  EXPECT_TRUE(at::equal(after.slice(0, 4), before.slice(0, 4)));
}

}  // namespace encoder_block_test
}  // namespace cpx::nn
