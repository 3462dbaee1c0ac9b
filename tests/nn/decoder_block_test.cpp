// SPDX-License-Identifier: Apache-2.0
// Legend: T tokens, D model.
#include "cpx/nn/decoder_block.h"

#include <tuple>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include "cpx/nn/attention_source.h"
#include "cpx/nn/recompute.h"
#include "cpx/nn/rotary_embedding.h"
#include "tests/support/gradient_check.h"
#include "tests/support/tensors.h"

namespace cpx::nn {
namespace decoder_block_test {

using testing_support::is_close;
using testing_support::random_tensor;
using torch::Tensor;

constexpr DecoderBlockOptions kOptions{.hidden_size = 12,
                                       .intermediate_size = 20,
                                       .num_heads = 4,
                                       .num_kv_heads = 2,
                                       .head_dim = 4,
                                       .sliding_window = 3};

void fill(FrozenModule& module, uint64_t seed) {
  for (const auto& name : module.frozen_names()) {
    const auto shape = module.named_parameters(/*recurse=*/false)[name].sizes().vec();
    module.set_frozen(name, (0.3 * random_tensor(shape, seed++)).to(torch::kFloat32));
  }
}

DecoderBlock block_with_lora(double dropout) {
  DecoderBlock block(kOptions);
  uint64_t seed = 1;
  for (const auto& module : block->modules(/*include_self=*/false)) {
    if (auto* frozen = dynamic_cast<FrozenModule*>(module.get())) fill(*frozen, seed += 10);
  }
  uint64_t stream = 0;
  for (auto linear : {block->self_attn->q_proj, block->self_attn->v_proj, block->mlp->down_proj}) {
    linear->attach_lora({.rank = 2, .alpha = 4, .dropout = dropout}, seed++, stream++);
    const torch::NoGradGuard no_grad;
    linear->lora_B->weight.copy_(random_tensor(linear->lora_B->weight.sizes(), seed++));
  }
  return block;
}

ForwardContext context_of(const std::vector<int32_t>& cu_seqlens) {
  ForwardContext context{.source = std::make_shared<PackedTexts>(cu_seqlens)};
  std::tie(context.cosine, context.sine) = rotary_tables(
      inverse_frequencies({.head_dim = kOptions.head_dim}), context.source->positions());
  return context;
}

Tensor block_input() { return random_tensor({9, kOptions.hidden_size}, 5).to(torch::kFloat32); }

// The output and the gradients of all parameters that take one, then of x where it does.
std::vector<Tensor> derivatives(DecoderBlock& block, const Tensor& x,
                                const ForwardContext& context) {
  const auto output = block->forward(x, context);
  auto inputs = trainable_parameters(*block);
  if (x.requires_grad()) inputs.push_back(x);
  auto results = torch::autograd::grad({output}, inputs,
                                       {random_tensor(output.sizes(), 6).to(torch::kFloat32)});
  results.insert(results.begin(), output.detach());
  return results;
}

TEST(DecoderBlock, PackedBatchEqualsOneTextAtATime) {
  auto block = block_with_lora(0.0);
  const std::vector<int32_t> cu_seqlens = {0, 1, 5, 9};
  const auto packed = block->forward(block_input(), context_of(cu_seqlens));
  for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
    const int32_t length = cu_seqlens[text + 1] - cu_seqlens[text];
    const auto alone =
        block->forward(block_input().narrow(0, cu_seqlens[text], length), context_of({0, length}));
    EXPECT_TRUE(is_close(packed.narrow(0, cu_seqlens[text], length), alone));
  }
}

TEST(DecoderBlock, RecomputingGivesTheSameBits) {
  for (const bool x_takes_gradient : {false, true}) {
    auto block = block_with_lora(0.3);
    auto context = context_of({0, 4, 9});
    context.options = {.is_training = true, .dropout_key = 8};
    const auto x = block_input().requires_grad_(x_takes_gradient);
    const auto kept = derivatives(block, x, context);
    context.options.recompute_blocks = true;
    const auto recomputed_ones = derivatives(block, x, context);
    ASSERT_EQ(kept.size(), x_takes_gradient ? 8U : 7U);
    for (size_t i = 0; i < kept.size(); ++i) EXPECT_TRUE(at::equal(recomputed_ones[i], kept[i]));
  }
}

// The caller's context is gone when the backward pass computes the block again.
TEST(DecoderBlock, RecomputingKeepsTheSourceOfItsContext) {
  auto block = block_with_lora(0.0);
  const auto gradients = [&](bool recompute) {
    std::weak_ptr<const AttentionSource> source;
    Tensor output;
    {
      auto context = context_of({0, 4, 9});
      context.options.recompute_blocks = recompute;
      source = context.source;
      output = block->forward(block_input(), context);
    }
    EXPECT_EQ(source.expired(), !recompute);
    return torch::autograd::grad({output}, trainable_parameters(*block), {at::ones_like(output)});
  };
  const auto kept = gradients(/*recompute=*/false);
  const auto recomputed_ones = gradients(/*recompute=*/true);
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_TRUE(at::equal(recomputed_ones[i], kept[i]));
}

TEST(DecoderBlock, RecomputingWithoutAnythingToTrainRecordsNoGraph) {
  auto block = block_with_lora(0.0);
  auto context = context_of({0, 9});
  context.options.recompute_blocks = true;
  {
    const AdapterOffGuard off;
    EXPECT_FALSE(block->forward(block_input(), context).requires_grad());
  }
  {
    const torch::NoGradGuard no_grad;
    EXPECT_FALSE(block->forward(block_input(), context).requires_grad());
  }
  EXPECT_TRUE(block->forward(block_input(), context).requires_grad());
}

TEST(DecoderBlock, AdaptersSwitchedOffStayOffWhenRecomputed) {
  auto block = block_with_lora(0.0);
  auto context = context_of({0, 9});
  const auto gradient_of_x = [&](bool recompute) {
    context.options.recompute_blocks = recompute;
    const auto x = block_input().requires_grad_(true);
    Tensor output;
    {
      const AdapterOffGuard off;
      output = block->forward(x, context);
    }
    return torch::autograd::grad({output}, {x}, {at::ones_like(output)})[0];
  };
  EXPECT_TRUE(at::equal(gradient_of_x(true), gradient_of_x(false)));
}

TEST(DecoderBlock, FrozenWeightsGetNoGradient) {
  auto block = block_with_lora(0.0);
  block->forward(block_input(), context_of({0, 9})).sum().backward();
  for (const auto& item : block->named_parameters()) {
    const bool is_factor = item.key().find("lora_") != std::string::npos;
    EXPECT_EQ(item.value().requires_grad(), is_factor) << item.key();
    EXPECT_EQ(item.value().grad().defined(), is_factor) << item.key();
  }
}

}  // namespace decoder_block_test
}  // namespace cpx::nn
