// SPDX-License-Identifier: Apache-2.0
// The number of threads changes no bit of a step: a block and a head of SmolLM2-135M's sizes.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include "cpx/kernels/token_nll.h"
#include "cpx/nn/attention_source.h"
#include "cpx/nn/decoder_block.h"
#include "cpx/nn/recompute.h"
#include "cpx/nn/rotary_embedding.h"
#include "tests/support/gradient_check.h"
#include "tests/support/tensors.h"

namespace cpx::nn {
namespace threads_test {

using testing_support::random_tensor;
using torch::Tensor;

constexpr DecoderBlockOptions kOptions{.hidden_size = 576,
                                       .intermediate_size = 1536,
                                       .num_heads = 9,
                                       .num_kv_heads = 3,
                                       .head_dim = 64};
constexpr int64_t kTokens = 333;
constexpr int64_t kVocabulary = 5000;

DecoderBlock random_block() {
  DecoderBlock block(kOptions);
  uint64_t seed = 1;
  for (const auto& module : block->modules(/*include_self=*/false)) {
    auto* frozen = dynamic_cast<FrozenModule*>(module.get());
    if (frozen == nullptr) continue;
    for (const auto& name : frozen->frozen_names()) {
      const auto shape = frozen->named_parameters(/*recurse=*/false)[name].sizes().vec();
      frozen->set_frozen(name, (0.05 * random_tensor(shape, seed++)).to(torch::kFloat32));
    }
  }
  uint64_t stream = 0;
  for (auto linear : {block->self_attn->q_proj, block->self_attn->v_proj, block->mlp->down_proj}) {
    linear->attach_lora({.rank = 64, .alpha = 16, .dropout = 0.1}, seed++, stream++);
    const torch::NoGradGuard no_grad;
    linear->lora_B->weight.copy_(random_tensor(linear->lora_B->weight.sizes(), seed++));
  }
  return block;
}

// NLLs, and the gradients of the factors and of the input.
std::vector<Tensor> step(DecoderBlock& block) {
  const std::vector<int32_t> cu_seqlens = {0, 17, 40, 41, 70, 333};
  ForwardContext context{.source = std::make_shared<PackedTexts>(cu_seqlens),
                         .options = {.is_training = true, .dropout_key = 3}};
  std::tie(context.cosine, context.sine) = rotary_tables(
      inverse_frequencies({.head_dim = kOptions.head_dim}), context.source->positions());
  const auto x =
      random_tensor({kTokens, kOptions.hidden_size}, 90).to(torch::kFloat32).requires_grad_(true);
  const auto head =
      (0.05 * random_tensor({kVocabulary, kOptions.hidden_size}, 91)).to(torch::kFloat32);
  const auto targets = at::arange(kTokens, at::kLong) * 13;
  const auto nll = kernels::token_nll(block->forward(x, context), head, targets);
  auto inputs = trainable_parameters(*block);
  inputs.push_back(x);
  auto results =
      torch::autograd::grad({nll}, inputs, {random_tensor({kTokens}, 92).to(torch::kFloat32)});
  results.push_back(nll.detach());
  return results;
}

// With three threads the products of the four pieces have three threads each, one piece after the
// other, which MKL sums in another order on some processors.
TEST(Threads, OneTwoAndFourGiveTheSameBits) {
  auto block = random_block();
  const auto step_with = [&](int num_threads) {
    const testing_support::NumThreads guard(num_threads);
    return step(block);
  };
  const auto one = step_with(1);
  for (const int num_threads : {2, 4}) {
    const auto several = step_with(num_threads);
    ASSERT_EQ(several.size(), one.size());
    for (size_t i = 0; i < one.size(); ++i) {
      EXPECT_TRUE(at::equal(several[i], one[i])) << i << ", " << num_threads << " threads";
    }
  }
}

}  // namespace threads_test
}  // namespace cpx::nn
