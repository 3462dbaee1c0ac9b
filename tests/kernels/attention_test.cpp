// SPDX-License-Identifier: Apache-2.0
// Legend: T tokens, H query heads, K key heads, E head size.
#include "cpx/kernels/attention.h"

#include <cmath>
#include <gmock/gmock.h>
#include <limits>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "cpx/kernels/reference.h"
#include "tests/support/errors.h"
#include "tests/support/gradient_check.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::kernels {
namespace attention_test {

using testing_support::equals_finite_differences;
using testing_support::equals_formula;
using testing_support::is_close;
using testing_support::message_of;
using testing_support::random_tensor;
using testing_support::TensorFunction;
using torch::Tensor;

struct AttentionCase {
  int64_t num_heads = 4;
  int64_t num_kv_heads = 2;
  int64_t head_dim = 6;
  int64_t window = 0;
  std::vector<int32_t> cu_seqlens;

  std::vector<Tensor> inputs() const {
    const int64_t num_tokens = cu_seqlens.back();
    return {random_tensor({num_tokens, num_heads, head_dim}, 1),
            random_tensor({num_tokens, num_kv_heads, head_dim}, 2),
            random_tensor({num_tokens, num_kv_heads, head_dim}, 3)};
  }
  AttentionOptions options() const {
    return {.scale = 1.0 / std::sqrt(static_cast<double>(head_dim)), .window = window};
  }
};

void PrintTo(const AttentionCase& one, std::ostream* out) {
  *out << fmt::format("{} heads, {} of keys, size {}, window {}, texts up to {}", one.num_heads,
                      one.num_kv_heads, one.head_dim, one.window, fmt::join(one.cu_seqlens, " "));
}

// True where token i (row) may see token j.
Tensor visible_keys(const AttentionCase& shape) {
  const int64_t num_tokens = shape.cu_seqlens.back();
  auto visible = at::zeros({num_tokens, num_tokens}, at::kBool);
  for (size_t text = 0; text + 1 < shape.cu_seqlens.size(); ++text) {
    const int64_t begin = shape.cu_seqlens[text];
    for (int64_t i = begin; i < shape.cu_seqlens[text + 1]; ++i) {
      const int64_t first = shape.window > 0 ? std::max(begin, i - shape.window + 1) : begin;
      visible.select(0, i).narrow(0, first, i + 1 - first).fill_(true);
    }
  }
  return visible;
}

// softmax(scale q k^T + mask) v over one T x T matrix a head.
TensorFunction formula(const AttentionCase& shape) {
  return [shape](const std::vector<Tensor>& inputs) {
    const int64_t groups = shape.num_heads / shape.num_kv_heads;
    const auto q = inputs[0].transpose(0, 1);                                // [H, T, E]
    const auto k = inputs[1].repeat_interleave(groups, 1).transpose(0, 1);   // [H, T, E]
    const auto v = inputs[2].repeat_interleave(groups, 1).transpose(0, 1);   // [H, T, E]
    auto scores = at::matmul(q, k.transpose(1, 2)) * shape.options().scale;  // [H, T, T]
    scores = scores.masked_fill(visible_keys(shape).logical_not(),
                                -std::numeric_limits<double>::infinity());
    return at::matmul(at::softmax(scores, -1), v).transpose(0, 1).contiguous();  // [T, H, E]
  };
}

TensorFunction kernel(const AttentionCase& shape) {
  return [shape](const std::vector<Tensor>& inputs) {
    return packed_attention(inputs[0], inputs[1], inputs[2], shape.cu_seqlens, shape.options());
  };
}

class PackedAttention : public testing::TestWithParam<AttentionCase> {};

TEST_P(PackedAttention, EqualsTheMaskedSoftmaxFormula) {
  const auto& shape = GetParam();
  for (const auto dtype : {torch::kFloat64, torch::kFloat32, torch::kBFloat16}) {
    EXPECT_TRUE(equals_formula(kernel(shape), formula(shape), shape.inputs(), dtype)) << dtype;
  }
}

TEST_P(PackedAttention, GradientMatchesFiniteDifference) {
  EXPECT_TRUE(equals_finite_differences(kernel(GetParam()), GetParam().inputs()));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, PackedAttention,
    testing::Values(AttentionCase{.cu_seqlens = {0, 7}},
                    AttentionCase{.num_kv_heads = 4, .cu_seqlens = {0, 3, 4, 9}},
                    AttentionCase{.num_kv_heads = 1, .cu_seqlens = {0, 3, 3, 8, 12}},
                    AttentionCase{.head_dim = 8, .cu_seqlens = {0, 1, 2, 3}},
                    AttentionCase{.head_dim = 8, .window = 3, .cu_seqlens = {0, 2, 9, 9, 12}},
                    AttentionCase{.num_kv_heads = 1, .head_dim = 16, .cu_seqlens = {0, 4, 13}},
                    AttentionCase{.window = 3, .cu_seqlens = {0, 2, 9, 12}},
                    AttentionCase{.num_heads = 2, .window = 1, .cu_seqlens = {0, 5, 6}},
                    AttentionCase{.num_heads = 6, .window = 50, .cu_seqlens = {0, 5, 11}}),
    testing_support::by_value);

// Past the number of query rows whose scores are held at once.
TEST(PackedAttentionBlocks, LongTextsEqualTheFormula) {
  for (const int64_t window : {0, 100, 600}) {
    const AttentionCase shape{.num_heads = 2,
                              .num_kv_heads = 1,
                              .head_dim = 4,
                              .window = window,
                              .cu_seqlens = {0, 9, 1300, 1320}};
    EXPECT_TRUE(equals_formula(kernel(shape), formula(shape), shape.inputs(), torch::kFloat64))
        << window;
  }
}

// Texts whose last tokens alone ask: of a short one, of a long one, none of one, all of one.
struct AskedCase {
  AttentionCase shape;
  std::vector<int32_t> query_bounds;

  // The tokens that ask, int64 [Q].
  Tensor asking() const {
    std::vector<int64_t> tokens;
    for (size_t text = 0; text + 1 < query_bounds.size(); ++text) {
      const int64_t end = shape.cu_seqlens[text + 1];
      const int64_t count = query_bounds[text + 1] - query_bounds[text];
      for (int64_t token = end - count; token < end; ++token) tokens.push_back(token);
    }
    return at::tensor(tokens, at::kLong);
  }

  // What the asking tokens read, then the gradients of their queries, of k and of v.
  std::vector<Tensor> results(bool asks_of_all) const {
    std::vector<Tensor> inputs;
    for (const Tensor& input : shape.inputs()) inputs.push_back(input.to(at::kFloat));
    if (!asks_of_all) inputs[0] = inputs[0].index_select(0, asking());
    for (Tensor& input : inputs) input.requires_grad_(true);
    auto output =
        packed_attention(inputs[0], inputs[1], inputs[2], shape.cu_seqlens, shape.options(),
                         asks_of_all ? std::vector<int32_t>() : query_bounds);
    if (asks_of_all) output = output.index_select(0, asking());
    const auto weights = random_tensor(output.sizes(), 9).to(at::kFloat);
    std::vector<Tensor> found = torch::autograd::grad({(output * weights).sum()}, inputs);
    if (asks_of_all) found[0] = found[0].index_select(0, asking());
    found.insert(found.begin(), output.detach());
    return found;
  }
};

TEST(PackedAttentionQueries, TheLastTokensReadWhatTheyReadAmongAll) {
  for (const int64_t head_dim : {6, 8, 72}) {
    for (const int64_t window : {0, 5, 90}) {
      const AskedCase one{.shape = {.head_dim = head_dim,
                                    .window = window,
                                    .cu_seqlens = {0, 128, 333, 366, 376, 506}},
                          .query_bounds = {0, 28, 163, 163, 173, 174}};
      const auto all = one.results(/*asks_of_all=*/true);
      const auto asked = one.results(/*asks_of_all=*/false);
      for (size_t i = 0; i < all.size(); ++i) {
        EXPECT_TRUE(is_close(asked[i], all[i])) << head_dim << ", " << window << ", " << i;
      }
      const PlainPathGuard plain;
      EXPECT_TRUE(is_close(one.results(/*asks_of_all=*/false)[0], all[0]))
          << head_dim << ", " << window;
    }
  }
}

TEST(PackedAttentionQueries, BoundsMustFit) {
  const AttentionCase shape{.cu_seqlens = {0, 3, 7}};
  const auto inputs = shape.inputs();
  const auto message = [&](const std::vector<int32_t>& bounds) {
    return message_of<std::invalid_argument>([&] {
      packed_attention(inputs[0].narrow(0, 0, 5), inputs[1], inputs[2], shape.cu_seqlens,
                       shape.options(), bounds);
    });
  };
  EXPECT_EQ(message({0, 5}),
            "[packed_attention] query_bounds must go from 0 to the number of queries: got 2 "
            "entries that end at 5, expected 3 that end at 5.");
  EXPECT_EQ(message({0, 2, 4}),
            "[packed_attention] query_bounds must go from 0 to the number of queries: got 3 "
            "entries that end at 4, expected 3 that end at 5.");
  EXPECT_EQ(message({0, 4, 5}), "[packed_attention] got 4 queries of text 0, expected 0 to 3.");
  EXPECT_EQ(message({0, -1, 5}), "[packed_attention] got -1 queries of text 0, expected 0 to 3.");
}

// Short and long texts in float32 have kernels of their own.
TEST(PackedAttentionBlocks, ShortAndLongTextsOfOnePackEqualTheFormula) {
  for (const int64_t head_dim : {8, 64, 72, 136}) {
    for (const int64_t window : {0, 5}) {
      const AttentionCase shape{.num_heads = 3,
                                .num_kv_heads = 1,
                                .head_dim = head_dim,
                                .window = window,
                                .cu_seqlens = {0, 128, 257, 290, 300}};
      EXPECT_TRUE(equals_formula(kernel(shape), formula(shape), shape.inputs(), torch::kFloat32))
          << head_dim << ", " << window;
    }
  }
}

// Long texts go by blocks of 48 rows and 64 keys: lengths and windows on both sides of their
// borders.
TEST(PackedAttentionBlocks, LongTextsInFloat32EqualTheFormula) {
  for (const int32_t length : {129, 143, 144, 145, 191, 192, 193, 256, 257, 400}) {
    for (const int64_t window : {0, 2, 47, 48, 49, 63, 64, 65, 130, 500}) {
      const AttentionCase shape{.num_heads = 2,
                                .num_kv_heads = 2,
                                .head_dim = 8,
                                .window = window,
                                .cu_seqlens = {0, 5, 5 + length}};
      EXPECT_TRUE(equals_formula(kernel(shape), formula(shape), shape.inputs(), torch::kFloat32))
          << length << ", " << window;
    }
  }
}

TEST(PackedAttentionBlocks, LongTextsOfAllHeadSizesAndGroupsEqualTheFormula) {
  const std::vector<std::pair<int64_t, int64_t>> head_dims_and_groups = {
      {8, 1}, {16, 3}, {24, 4}, {40, 1}, {64, 3}, {128, 1}};
  for (const auto& [head_dim, group] : head_dims_and_groups) {
    const AttentionCase shape{.num_heads = 2 * group,
                              .num_kv_heads = 2,
                              .head_dim = head_dim,
                              .cu_seqlens = {0, 200, 210, 350}};
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16, torch::kFloat16}) {
      EXPECT_TRUE(equals_formula(kernel(shape), formula(shape), shape.inputs(), dtype))
          << head_dim << ", " << group << ", " << dtype;
    }
  }
}

TEST(PackedAttentionBlocks, InAWindowOfOneALongTextsRowIsItsOwnValue) {
  const AttentionCase shape{
      .num_heads = 4, .num_kv_heads = 4, .head_dim = 8, .window = 1, .cu_seqlens = {0, 200}};
  std::vector<Tensor> inputs;
  for (const auto& input : shape.inputs()) inputs.push_back(input.to(torch::kFloat32));
  EXPECT_TRUE(at::equal(kernel(shape)(inputs), inputs[2]));
}

// Scores far apart: what is summed up before the highest one comes is scaled down to nothing.
TEST(PackedAttentionBlocks, RisingScoresOfALongTextEqualTheFormula) {
  const AttentionCase shape{
      .num_heads = 1, .num_kv_heads = 1, .head_dim = 8, .cu_seqlens = {0, 300}};
  auto inputs = shape.inputs();
  inputs[0] = at::ones_like(inputs[0]);
  inputs[1] = inputs[1] + at::linspace(-60.0, 60.0, 300, at::kDouble).view({300, 1, 1});
  EXPECT_TRUE(equals_formula(kernel(shape), formula(shape), inputs, torch::kFloat32));
}

TEST(PackedAttentionBlocks, ALongTextHasTheSameBitsAloneAndInAPack) {
  const AttentionCase shape{.head_dim = 16, .cu_seqlens = {0, 40, 340, 500}};
  std::vector<Tensor> inputs, alone;
  for (const auto& input : shape.inputs()) {
    inputs.push_back(input.to(torch::kFloat32));
    alone.push_back(inputs.back().narrow(0, 40, 300));
  }
  const auto expected = packed_attention(alone[0], alone[1], alone[2], {0, 300}, shape.options());
  EXPECT_TRUE(at::equal(kernel(shape)(inputs).narrow(0, 40, 300), expected));
}

TEST(PackedAttentionBlocks, TheNumberOfThreadsChangesNoBit) {
  const AttentionCase shape{.head_dim = 16, .cu_seqlens = {0, 7, 30, 64, 90, 400}};
  std::vector<Tensor> inputs;
  for (const auto& input : shape.inputs()) inputs.push_back(input.to(torch::kFloat32));
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = testing_support::derivatives_of(kernel(shape), inputs);
  at::set_num_threads(3);
  const auto three = testing_support::derivatives_of(kernel(shape), inputs);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one.output, three.output));
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(one.gradients[i], three.gradients[i]));
}

TEST(PackedAttentionBlocks, ANumberThatIsNoneIsNotHidden) {
  const AttentionCase shape{.head_dim = 8, .cu_seqlens = {0, 4}};
  auto inputs = shape.inputs();
  for (auto& input : inputs) input = input.to(torch::kFloat32);
  inputs[1][2][0][3] = std::numeric_limits<double>::quiet_NaN();
  const auto output = kernel(shape)(inputs);
  EXPECT_FALSE(output.isnan().narrow(0, 0, 2).any().item<bool>());
  EXPECT_TRUE(output.narrow(0, 2, 2).select(1, 0).isnan().all().item<bool>());
}

TEST(PackedAttentionBlocks, PackedBatchEqualsOneTextAtATime) {
  const AttentionCase shape{.window = 4, .cu_seqlens = {0, 1, 6, 30, 37}};
  const auto inputs = shape.inputs();
  const auto packed = kernel(shape)(inputs);
  for (size_t text = 0; text + 1 < shape.cu_seqlens.size(); ++text) {
    const int32_t length = shape.cu_seqlens[text + 1] - shape.cu_seqlens[text];
    std::vector<Tensor> alone;
    for (const Tensor& input : inputs) {
      alone.push_back(input.narrow(0, shape.cu_seqlens[text], length));
    }
    const auto expected =
        packed_attention(alone[0], alone[1], alone[2], {0, length}, shape.options());
    EXPECT_TRUE(is_close(packed.narrow(0, shape.cu_seqlens[text], length), expected));
  }
}

TEST(PackedAttentionBlocks, NothingToTrainRecordsNoGraph) {
  const AttentionCase shape{.cu_seqlens = {0, 7}};
  EXPECT_FALSE(kernel(shape)(shape.inputs()).requires_grad());
}

TEST(PackedAttentionBlocks, OnlyTheInputsThatAskForItGetAGradient) {
  const AttentionCase shape{.window = 3, .cu_seqlens = {0, 7, 12}};
  const auto all = testing_support::derivatives_of(kernel(shape), shape.inputs());
  for (size_t trained = 0; trained < 3; ++trained) {
    auto inputs = shape.inputs();
    inputs[trained].requires_grad_(true);
    const auto output = kernel(shape)(inputs);
    output.backward(random_tensor(output.sizes(), 77));
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(inputs[i].grad().defined(), i == trained);
    EXPECT_TRUE(is_close(inputs[trained].grad(), all.gradients[trained]));
  }
}

TEST(PackedAttentionErrors, NameTheShapes) {
  const auto q = at::zeros({5, 3, 4});
  const auto k = at::zeros({5, 2, 4});
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              packed_attention(q, k, k, {0, 5}, {});
            }),
            "[packed_attention] shapes do not fit: got q [5, 3, 4], k [5, 2, 4], v [5, 2, 4], "
            "expected [T, H, E] and twice [T, K, E] with H a multiple of K.");
}

TEST(PackedAttentionErrors, NameTheWrongLimitsOfTheTexts) {
  EXPECT_EQ(message_of<std::invalid_argument>([] {
              check_cu_seqlens({0, 4}, 5);
            }),
            "[packed batch] cu_seqlens must rise from 0 to the number of tokens: got 2 entries "
            "that end at 4, expected the end 5.");
  EXPECT_THROW(check_cu_seqlens({0, 4, 3, 5}, 5), std::invalid_argument);
  EXPECT_THROW(check_cu_seqlens({1, 5}, 5), std::invalid_argument);
  EXPECT_THROW(check_cu_seqlens({0}, 0), std::invalid_argument);
  EXPECT_THROW(check_cu_seqlens({}, 0), std::invalid_argument);
}

}  // namespace attention_test
}  // namespace cpx::kernels
