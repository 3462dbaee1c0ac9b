// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/memory_estimate.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::training {
namespace memory_estimate_test {

using testing_support::message_of;

constexpr int64_t kMib = int64_t{1} << 20;

nn::ModelShape mistral_7b() {
  return {.vocabulary_size = 32000,
          .hidden_size = 4096,
          .intermediate_size = 14336,
          .num_layers = 32,
          .num_heads = 32,
          .num_kv_heads = 8,
          .head_dim = 128,
          .max_position = 32768};
}

nn::ModelShape smollm2_135m() {
  return {.vocabulary_size = 49152,
          .hidden_size = 576,
          .intermediate_size = 1536,
          .num_layers = 30,
          .num_heads = 9,
          .num_kv_heads = 3,
          .head_dim = 64,
          .max_position = 8192};
}

MemoryQuestion mistral_question() {
  return {.shape = mistral_7b(),
          .dtype = torch::kBFloat16,
          .is_on_cpu = false,
          .num_tokens = 2560,
          .num_texts = 20,
          .longest_text = 256};
}

// A model small enough to count by hand: V 8, D 4, F 6, one layer, 2 heads of 2, 1 key head.
nn::ModelShape tiny_shape() {
  return {.vocabulary_size = 8,
          .hidden_size = 4,
          .intermediate_size = 6,
          .num_layers = 1,
          .num_heads = 2,
          .num_kv_heads = 1,
          .head_dim = 2,
          .max_position = 16};
}

MemoryQuestion tiny_question() {
  return {.shape = tiny_shape(), .rank = 2, .num_tokens = 10, .num_texts = 2, .longest_text = 5};
}

// q: 2 * (4 + 4), v: 2 * (4 + 2); all-linear adds k: 12, o: 16, gate, up, down: 20 each.
TEST(MemoryEstimate, AdapterValuesAreRankTimesBothSides) {
  EXPECT_EQ(num_adapter_values(tiny_shape(), 2, {"q_proj", "v_proj"}), 28);
  EXPECT_EQ(num_adapter_values(tiny_shape(), 2, {"all-linear"}), 28 + 28 + 60);
  EXPECT_EQ(num_adapter_values(tiny_shape(), 2, {"lm_head"}), 24);
  // PEFT says of Mistral-7B, rank 64 on q and v: 27,262,976 trainable parameters.
  EXPECT_EQ(num_adapter_values(mistral_7b(), 64, {"q_proj", "v_proj"}), 27262976);
}

TEST(MemoryEstimate, TargetsMayBeLongerEndsOfNames) {
  auto shape = tiny_shape();
  shape.num_layers = 3;
  EXPECT_EQ(num_adapter_values(shape, 2, {"self_attn.q_proj"}), 3 * 16);
  EXPECT_EQ(num_adapter_values(shape, 2, {"1.mlp.up_proj"}), 20);
  EXPECT_EQ(num_adapter_values(shape, 2, {"model.layers.2.self_attn.v_proj", "v_proj"}), 3 * 12);
}

// Weights: q 16, k 8, v 8, o 16, MLP 72, head 32, embedding 32, three norms of 4: 196 numbers.
TEST(MemoryEstimate, WeightsCountTheEmbeddingOnceWhereItIsTied) {
  auto question = tiny_question();
  EXPECT_EQ(estimate_memory(question).weights, 196 * 4);
  question.has_tied_embeddings = true;
  EXPECT_EQ(estimate_memory(question).weights, 164 * 4);
}

TEST(MemoryEstimate, LoadingCountsWhereItHoldsMoreThanAStep) {
  auto question = tiny_question();
  const auto step = estimate_memory(question);
  question.mapped_file_bytes = 1000;
  EXPECT_EQ(estimate_memory(question).total(), step.total());
  question.mapped_file_bytes = 10 * kMib;
  EXPECT_EQ(estimate_memory(question).total(), step.weights + step.base + 10 * kMib);
}

TEST(MemoryEstimate, OptimizerTakesTwiceTheAdapter) {
  const auto estimate = estimate_memory(tiny_question());
  EXPECT_EQ(estimate.adapter, 28 * 4);
  EXPECT_EQ(estimate.gradients, 28 * 4);
  EXPECT_EQ(estimate.optimizer, 2 * 28 * 4);
}

// Rank 64 on Mistral's q and v: per block A of q and of v 64 * 4096 values, B of q as many, B of v
// 64 * 1024. In 8 bits a value takes two bytes, and a block of 256 values two floats.
TEST(MemoryEstimate, OptimizerIn8BitsTakesAQuarter) {
  auto question = mistral_question();
  question.has_8bit_optimizer = true;
  const int64_t values = 32 * 64 * (3 * 4096 + 1024);
  EXPECT_EQ(estimate_memory(question).optimizer, 2 * values + 2 * 4 * values / 256);
}

// A piece of rows fits into 64 MiB of float32 logits: 524 of Mistral's 32,000. Of it the logits of
// both models, two log-softmaxes and the base's probabilities; and two states of each token.
TEST(MemoryEstimate, HeldDistributionsTakeFiveLogitsOfAPiece) {
  auto question = mistral_question();
  const int64_t without = estimate_memory(question).logits;
  question.holds_distributions = true;
  const int64_t tokens = question.num_tokens - question.num_texts;
  const int64_t element = static_cast<int64_t>(c10::elementSize(question.dtype));
  const int64_t piece = std::min<int64_t>(tokens, 524) * 32000;
  EXPECT_EQ(estimate_memory(question).logits - without,
            piece * (2 * element + 3 * 4) + 2 * tokens * 4096 * element);
}

TEST(MemoryEstimate, SmallTensorsStayInFloat32) {
  auto question = tiny_question();
  question.has_8bit_optimizer = true;
  EXPECT_EQ(estimate_memory(question).optimizer, 2 * 28 * 4);
}

// Computed are 8 of the 10 tokens. Saved by the block for each: two norms of 4 numbers and a scale,
// q 4, k 2, v 2, gate and up 12, the input of q and v 4, two low-rank of 2; and the last norm: 8 *
// (10
// + 8 + 12 + 4 + 4 + 5) = 344 numbers. A head of 2 is not the kernels': attention's working set is
// 4
// * 2 heads * 4 * 4 scores and 8 * (2 * 4 + 2 * 2) gradients, with three of the hidden size, 8 *
// 12: 320, of which a block of 8 rows of 8 logits, the sum of their 4 and a product are in logits.
TEST(MemoryEstimate, ActivationsAreWhatTheFunctionsSave) {
  const auto estimate = estimate_memory(tiny_question());
  const int64_t logits = 8 * 8 + 2 * 8 * 4;
  const double activations = (344 + 320 - logits) * 4 * 1.05;
  EXPECT_NEAR(static_cast<double>(estimate.activations), activations, 1.0);
  EXPECT_EQ(estimate.logits, (logits + 2 * 8 * 4) * 4);
}

// With heads of 8 the kernels compute: D 16. Saved of each token: norms 34, q 16, k 8, v 8, gate
// and up 12, input 16, low-rank 4, last norm 17. Working set of swiglu, 4 * 6, is smaller than
// attention's, 2 * 16 + 2 * 8; above 128 tokens each head has its keys' gradients, 2 * 16, and the
// output is kept with a log-sum a head, 16 + 2.
TEST(MemoryEstimate, LongTextsKeepAttentionsOutput) {
  auto question = tiny_question();
  question.shape.hidden_size = 16;
  question.shape.head_dim = 8;
  question.num_texts = 1;
  question.num_tokens = question.longest_text = 129;
  const auto activations = [&](int64_t tokens, int64_t saved, int64_t gradients) {
    const int64_t logits = tokens * (8 + 2 * 16);
    return static_cast<double>((tokens * (saved + gradients + 3 * 16) - logits) * 4) * 1.05;
  };
  EXPECT_NEAR(static_cast<double>(estimate_memory(question).activations), activations(128, 115, 48),
              1.0);
  question.num_tokens = question.longest_text = 130;
  EXPECT_NEAR(static_cast<double>(estimate_memory(question).activations),
              activations(129, 115 + 18, 48 + 32), 1.0);
}

// A chunk of rows and their log-softmax; of many rows the kernels' chunk is larger: 8 tiles of 256
// rows in two bytes, and the states of 2560 - 20 rows and their gradients.
TEST(MemoryEstimate, OnAGpuLogitsAreAChunkOfRows) {
  auto question = tiny_question();
  question.is_on_cpu = false;
  EXPECT_EQ(estimate_memory(question).logits, (2 * 8 * 8 + 2 * 8 * 4) * 4);
  EXPECT_EQ(estimate_memory(mistral_question()).logits, (2048 * 32000 + 2 * 2540 * 4096) * 2);
}

// Largest resident memory of cpx-train (two threads, SmolLM2-135M-Instruct, Q4_1 GGUF) over four
// steps with contrast data of as many texts of as many tokens.
struct Measured {
  int64_t num_texts;
  int64_t tokens_a_text;
  bool recompute_blocks;
  torch::Dtype dtype;
  int64_t rank;
  std::vector<std::string> target_modules;
  int64_t peak_mib;
};

TEST(MemoryEstimate, IsWithinATenthOfWhatWasMeasured) {
  const std::vector<std::string> qv = {"q_proj", "v_proj"};
  const std::vector<Measured> cases = {
      {10, 40, false, torch::kFloat32, 64, qv, 1043},
      {20, 40, false, torch::kFloat32, 64, qv, 1343},
      {40, 40, false, torch::kFloat32, 64, qv, 1943},
      {20, 60, false, torch::kFloat32, 64, qv, 1643},
      {20, 100, false, torch::kFloat32, 64, qv, 2271},
      {20, 200, false, torch::kFloat32, 64, qv, 4079},
      {10, 600, false, torch::kFloat32, 64, qv, 5867},
      {20, 40, false, torch::kFloat32, 8, {"all-linear"}, 1565},
      {20, 40, false, torch::kFloat32, 64, {"all-linear"}, 1819},
      {20, 40, false, torch::kBFloat16, 64, qv, 811},
      {20, 100, false, torch::kBFloat16, 64, qv, 1257},
      {20, 40, true, torch::kFloat32, 64, qv, 841},
      {20, 100, true, torch::kFloat32, 64, qv, 1009},
      {20, 200, true, torch::kFloat32, 64, qv, 1293},
  };
  for (const Measured& one : cases) {
    const MemoryQuestion question{.shape = smollm2_135m(),
                                  .has_tied_embeddings = true,
                                  .dtype = one.dtype,
                                  .rank = one.rank,
                                  .target_modules = one.target_modules,
                                  .num_tokens = one.num_texts * one.tokens_a_text,
                                  .num_texts = one.num_texts,
                                  .longest_text = one.tokens_a_text,
                                  .recompute_blocks = one.recompute_blocks,
                                  .mapped_file_bytes = 98362432};
    const auto estimate = static_cast<double>(estimate_memory(question).total()) / kMib;
    const auto measured = static_cast<double>(one.peak_mib);
    EXPECT_NEAR(estimate, measured, 0.1 * measured)
        << one.num_texts << " x " << one.tokens_a_text << " recompute " << one.recompute_blocks;
  }
}

// 25 steps of the demo and of real data (benchmarks/configs/cp_safenlp.yaml) in bfloat16, with as
// many numbers of rows as --estimate counts; the compiled kernels were fitted to such runs.
TEST(MemoryEstimate, IsWithinATenthOfTheBfloat16Runs) {
  MemoryQuestion question{.shape = smollm2_135m(),
                          .has_tied_embeddings = true,
                          .dtype = torch::kBFloat16,
                          .num_tokens = 316,
                          .num_texts = 16,
                          .longest_text = 25,
                          .num_row_counts = 2,
                          .mapped_file_bytes = 98362432};
  EXPECT_NEAR(static_cast<double>(estimate_memory(question).total()) / kMib, 635, 0.1 * 635);
  question.num_tokens = 483;
  question.longest_text = 61;
  question.num_row_counts = 8;
  EXPECT_NEAR(static_cast<double>(estimate_memory(question).total()) / kMib, 759, 0.1 * 759);
}

TEST(MemoryEstimate, KernelsAreKeptForEachNumberOfRowsInHalfTypesOnTheCpu) {
  auto question = tiny_question();
  question.num_row_counts = 8;
  EXPECT_EQ(estimate_memory(question).compiled, 0);
  question.dtype = torch::kBFloat16;
  EXPECT_EQ(estimate_memory(question).compiled, 8 * 15 * kMib);
  question.num_row_counts = 1000;
  EXPECT_EQ(estimate_memory(question).compiled, 51 * 15 * kMib);
  question.is_on_cpu = false;
  EXPECT_EQ(estimate_memory(question).compiled, 0);
}

TEST(MemoryEstimate, RecomputingKeepsOneBlockAndTheInputsOfAll) {
  auto question = mistral_question();
  const auto kept = estimate_memory(question);
  question.recompute_blocks = true;
  const auto recomputed = estimate_memory(question);
  EXPECT_LT(recomputed.activations, kept.activations / 4);
  EXPECT_EQ(recomputed.weights, kept.weights);
}

TEST(MemoryEstimate, TotalIsTheSumOfTheParts) {
  const auto estimate = estimate_memory(mistral_question());
  EXPECT_EQ(estimate.total(), estimate.weights + estimate.adapter + estimate.gradients +
                                  estimate.optimizer + estimate.activations + estimate.logits +
                                  estimate.compiled + estimate.base);
  EXPECT_EQ(estimate.parts().size(), 8);
  EXPECT_EQ(estimate.base, 0) << "the GPU holds no program";
  // 7.24 billion weights in two bytes.
  EXPECT_NEAR(static_cast<double>(estimate.weights), 14.48e9, 0.01e9);
}

TEST(MemoryEstimate, RecomputesOnlyWhereItDoesNotFitOtherwise) {
  const auto question = mistral_question();
  const int64_t needed = estimate_memory(question).total();
  EXPECT_FALSE(should_recompute(question, needed));
  EXPECT_TRUE(should_recompute(question, needed - kMib));
}

std::string error_of(const MemoryQuestion& question) {
  return message_of<std::invalid_argument>([&] { estimate_memory(question); });
}

TEST(MemoryEstimate, RefusesWhatItDoesNotKnow) {
  auto question = tiny_question();
  question.target_modules = {"query"};
  EXPECT_EQ(error_of(question),
            "[memory estimate] target module: got 'query', expected q_proj, k_proj, v_proj, "
            "o_proj, gate_proj, up_proj, down_proj, lm_head or all-linear.");
  question = tiny_question();
  question.num_tokens = 1;
  EXPECT_EQ(error_of(question),
            "[memory estimate] got 1 tokens in 2 texts, the longest of 5, expected a token a text "
            "or more.");
  question = tiny_question();
  question.shape.num_heads = 0;
  EXPECT_EQ(error_of(question), "[memory estimate] got a model size or rank that is not positive.");
}

}  // namespace memory_estimate_test
}  // namespace cpx::training
