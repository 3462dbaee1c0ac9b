// SPDX-License-Identifier: Apache-2.0
// Legend: T tokens, I input features, O output features, R rank.
#include "cpx/nn/linear.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/kernels/lora_linear.h"
#include "cpx/kernels/quantized_product.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/quant/gguf_blocks.h"
#include "tests/support/errors.h"
#include "tests/support/gradient_check.h"
#include "tests/support/tensors.h"

namespace cpx::nn {
namespace linear_test {

using testing_support::is_close;
using testing_support::message_of;
using testing_support::random_tensor;

constexpr int64_t kInputs = 64;
constexpr int64_t kOutputs = 8;

Linear small_linear() {
  Linear linear(LinearOptions{.in_features = kInputs, .out_features = kOutputs, .has_bias = true});
  linear->set_frozen("weight", random_tensor({kOutputs, kInputs}, 1).to(torch::kFloat32));
  linear->set_frozen("bias", random_tensor({kOutputs}, 2).to(torch::kFloat32));
  return linear;
}

// B is zero after attaching; a non-zero one makes the update visible.
void fill_b(Linear& linear) {
  const torch::NoGradGuard no_grad;
  linear->lora_B->weight.copy_(random_tensor(linear->lora_B->weight.sizes(), 3));
}

torch::Tensor input() { return random_tensor({5, kInputs}, 4).to(torch::kFloat32); }

TEST(LoraConfig, ScaleIsAlphaOverRankOrItsRoot) {
  EXPECT_DOUBLE_EQ((LoraConfig{.rank = 16, .alpha = 8}).scale(), 0.5);
  EXPECT_DOUBLE_EQ((LoraConfig{.rank = 16, .alpha = 8, .rslora = true}).scale(), 2.0);
}

TEST(Linear, IsDeclaredWithoutMemoryAndHasTheKeysOfTheFiles) {
  Linear linear(LinearOptions{.in_features = 3, .out_features = 2, .has_bias = true});
  EXPECT_EQ(linear->frozen_names(), (std::vector<std::string>{"weight", "bias"}));
  EXPECT_TRUE(linear->weight.device().is_meta());
  linear->attach_lora({.rank = 2}, /*seed=*/1, /*dropout_stream=*/0);
  std::vector<std::string> names;
  for (const auto& item : linear->named_parameters()) {
    names.push_back(item.key());
    EXPECT_EQ(item.value().requires_grad(), item.key().starts_with("lora_")) << item.key();
  }
  EXPECT_EQ(names, (std::vector<std::string>{"weight", "bias", "lora_A.weight", "lora_B.weight"}));
}

TEST(Linear, ASetWeightIsTheGivenTensorItself) {
  Linear linear(LinearOptions{.in_features = 3, .out_features = 2});
  const auto weight = at::ones({2, 3});
  linear->set_frozen("weight", weight);
  EXPECT_EQ(linear->weight.data_ptr(), weight.data_ptr());
  EXPECT_EQ(linear->named_parameters()["weight"].data_ptr(), weight.data_ptr());
}

TEST(Linear, AWrongShapeIsRefused) {
  Linear linear(LinearOptions{.in_features = 3, .out_features = 2});
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              linear->set_frozen("weight", at::ones({3, 2}));
            }),
            "[set_frozen] 'weight' is [3, 2], expected [2, 3].");
  EXPECT_THROW(linear->set_frozen("bias", at::ones({2})), std::invalid_argument);
}

TEST(Linear, AFreshUpdateChangesNothing) {
  auto linear = small_linear();
  const auto before = linear->forward(input(), {});
  linear->attach_lora({.rank = 4}, /*seed=*/1, /*dropout_stream=*/0);
  EXPECT_TRUE(at::equal(linear->forward(input(), {}), before));
}

TEST(Linear, AIsUniformAndDependsOnTheSeed) {
  auto first = small_linear();
  auto again = small_linear();
  auto other = small_linear();
  first->attach_lora({.rank = 32}, /*seed=*/1, /*dropout_stream=*/0);
  again->attach_lora({.rank = 32}, /*seed=*/1, /*dropout_stream=*/5);
  other->attach_lora({.rank = 32}, /*seed=*/2, /*dropout_stream=*/0);
  const auto& a = first->lora_A->weight;
  EXPECT_TRUE(at::equal(a, again->lora_A->weight));
  EXPECT_FALSE(at::equal(a, other->lora_A->weight));
  EXPECT_TRUE(at::equal(first->lora_B->weight, at::zeros({kOutputs, 32})));
  // PEFT: kaiming_uniform_ with a = sqrt(5), that is uniform within 1 / sqrt(I).
  const double bound = 1.0 / std::sqrt(static_cast<double>(kInputs));
  EXPECT_LE(a.abs().max().item<double>(), bound);
  EXPECT_GT(a.abs().max().item<double>(), 0.99 * bound);
  // 2048 numbers: the mean deviates by bound / sqrt(3 * 2048), the mean square by 0.02 of it.
  EXPECT_NEAR(a.mean().item<double>(), 0.0, 5.0 * bound / std::sqrt(3.0 * 2048.0));
  EXPECT_NEAR(a.square().mean().item<double>(), bound * bound / 3.0, 0.1 * bound * bound / 3.0);
}

TEST(Linear, AnUpdateIsScaledAndSwitchedOffByTheGuard) {
  auto linear = small_linear();
  const auto base = linear->forward(input(), {});
  linear->attach_lora({.rank = 4, .alpha = 6}, /*seed=*/1, /*dropout_stream=*/0);
  fill_b(linear);
  const auto update =
      1.5 * at::mm(at::mm(input(), linear->lora_A->weight.t()), linear->lora_B->weight.t());
  EXPECT_TRUE(is_close(linear->forward(input(), {}), base + update));
  {
    const AdapterOffGuard outer;
    EXPECT_FALSE(linear->uses_lora());
    {
      const AdapterOffGuard inner;
      EXPECT_TRUE(at::equal(linear->forward(input(), {}), base));
    }
    EXPECT_TRUE(at::equal(linear->forward(input(), {}), base));
  }
  EXPECT_TRUE(linear->uses_lora());
}

TEST(Linear, DropoutActsInTrainingOnlyAndFollowsKeyAndStream) {
  auto linear = small_linear();
  linear->attach_lora({.rank = 4, .alpha = 4, .dropout = 0.5}, /*seed=*/1, /*dropout_stream=*/3);
  fill_b(linear);
  ForwardContext context;
  const auto without = linear->forward(input(), context);
  context.options.dropout_key = 11;
  EXPECT_TRUE(at::equal(linear->forward(input(), context), without));
  context.options.is_training = true;
  const auto with = linear->forward(input(), context);
  EXPECT_FALSE(at::equal(with, without));
  EXPECT_TRUE(at::equal(linear->forward(input(), context), with));
  const auto mask =
      kernels::dropout_mask(5, kInputs, 0.5, linear->dropout_key(context.options), at::kFloat);
  const auto expected =
      at::linear(input(), linear->weight, linear->bias) +
      at::mm(at::mm(input() * mask, linear->lora_A->weight.t()), linear->lora_B->weight.t());
  EXPECT_TRUE(is_close(with, expected));

  auto other = small_linear();
  other->attach_lora({.rank = 4, .alpha = 4, .dropout = 0.5}, /*seed=*/1, /*dropout_stream=*/4);
  EXPECT_NE(other->dropout_key(context.options), linear->dropout_key(context.options));
  const auto key = linear->dropout_key(context.options);
  context.options.dropout_key = 12;
  EXPECT_NE(linear->dropout_key(context.options), key);
}

kernels::BlockWeight quantized_weight() {
  const auto weight = random_tensor({kOutputs, kInputs}, 1).to(torch::kFloat32);
  const auto type = tensor::StorageType::kQ4_0;
  return kernels::block_weight(type, quant::quantize(type, weight));
}

TEST(Linear, AQuantisedWeightTakesThePlaceOfTheDenseOne) {
  auto linear = small_linear();
  EXPECT_FALSE(linear->is_quantized());
  const auto blocks = quantized_weight();
  linear->set_frozen("weight", blocks);
  EXPECT_TRUE(linear->is_quantized());
  EXPECT_FALSE(linear->weight.defined());
  EXPECT_EQ(linear->blocks.bytes.data_ptr(), blocks.bytes.data_ptr());
  EXPECT_EQ(linear->blocks_of("weight").bytes.data_ptr(), blocks.bytes.data_ptr());
  EXPECT_FALSE(linear->blocks_of("bias").is_defined());
  EXPECT_EQ(linear->named_parameters()["weight"].sizes(), (std::vector<int64_t>{8, 64}));

  linear->attach_lora({.rank = 4, .alpha = 6}, /*seed=*/1, /*dropout_stream=*/0);
  fill_b(linear);
  const torch::NoGradGuard no_grad;
  const auto update =
      1.5 * at::mm(at::mm(input(), linear->lora_A->weight.t()), linear->lora_B->weight.t());
  EXPECT_TRUE(is_close(linear->forward(input(), {.options = {.is_by_row = true}}),
                       kernels::quantized_product(input(), blocks) + linear->bias + update));

  linear->set_frozen("weight", at::ones({kOutputs, kInputs}));
  EXPECT_FALSE(linear->is_quantized());
  EXPECT_TRUE(linear->weight.defined());
}

TEST(Linear, AQuantisedWeightThatDoesNotFitIsRefused) {
  auto linear = small_linear();
  const auto freezing_error = [&](const std::string& name, int64_t rows) {
    auto blocks = quantized_weight();
    blocks.bytes = blocks.bytes.narrow(0, 0, rows);
    return message_of<std::invalid_argument>([&] { linear->set_frozen(name, blocks); });
  };
  EXPECT_EQ(freezing_error("weight", 7), "[set_frozen] 'weight' is [7, 64], expected [8, 64].");
  EXPECT_EQ(freezing_error("bias", 8), "[set_frozen] 'bias' cannot be quantised.");
}

TEST(Linear, ASecondUpdateOrRankZeroIsRefused) {
  auto linear = small_linear();
  EXPECT_EQ(message_of<std::invalid_argument>([&] { linear->attach_lora({.rank = 0}, 1, 0); }),
            "[attach_lora] got rank 0, expected at least 1.");
  linear->attach_lora({.rank = 1}, 1, 0);
  EXPECT_EQ(message_of<std::invalid_argument>([&] { linear->attach_lora({.rank = 1}, 1, 0); }),
            "[attach_lora] this layer has an update already.");
}

TEST(ModelShape, CountsTheWeightsOfMatrixProducts) {
  // q, o: 4 * 3 wide; k, v: 2 * 3; mlp 3 * 10 * 7; two layers and the head of 11.
  const ModelShape shape{.vocabulary_size = 11,
                         .hidden_size = 10,
                         .intermediate_size = 7,
                         .num_layers = 2,
                         .num_heads = 4,
                         .num_kv_heads = 2,
                         .head_dim = 3};
  EXPECT_EQ(shape.num_matmul_weights(),
            2 * (10 * 12 + 10 * 6 + 10 * 6 + 12 * 10 + 3 * 10 * 7) + 11 * 10);
}

}  // namespace linear_test
}  // namespace cpx::nn
