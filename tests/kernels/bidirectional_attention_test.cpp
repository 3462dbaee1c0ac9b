// SPDX-License-Identifier: Apache-2.0
// Legend: T tokens, Q query rows, H heads, E head size.
#include "cpx/kernels/bidirectional_attention.h"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/gradient_check.h"
#include "tests/support/tensors.h"

namespace cpx::kernels {
namespace bidirectional_attention_test {

using testing_support::is_close;
using testing_support::random_tensor;
using torch::Tensor;

// Two texts of the same length side by side, one of a single token, a long one.
const std::vector<int32_t> kTexts = {0, 5, 10, 11, 211};
// How many of their rows ask.
const std::vector<int32_t> kSomeRows = {0, 1, 3, 3, 10};

// softmax(q k^T / sqrt(E)) v of each text and head, in float64.
Tensor formula(const Tensor& q, const Tensor& k, const Tensor& v,
               const std::vector<int32_t>& query_limits, const std::vector<int32_t>& cu_seqlens) {
  auto output = at::zeros(q.sizes(), at::kDouble);
  for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
    const auto part = [text](const Tensor& x, const std::vector<int32_t>& limits, int64_t head) {
      return x.to(at::kDouble).select(1, head).slice(0, limits[text], limits[text + 1]);
    };
    for (int64_t head = 0; head < q.size(1); ++head) {
      const auto scores = at::mm(part(q, query_limits, head), part(k, cu_seqlens, head).t());
      const auto weights = at::softmax(scores / std::sqrt(static_cast<double>(q.size(2))), 1);
      part(output, query_limits, head).copy_(at::mm(weights, part(v, cu_seqlens, head)));
    }
  }
  return output;
}

struct Inputs {
  Tensor q, k, v;
};

Inputs inputs(int64_t num_queries, int64_t num_heads, int64_t head_dim, torch::Dtype dtype) {
  return {random_tensor({num_queries, num_heads, head_dim}, 1).to(dtype),
          random_tensor({kTexts.back(), num_heads, head_dim}, 2).to(dtype),
          random_tensor({kTexts.back(), num_heads, head_dim}, 3).to(dtype)};
}

TEST(BidirectionalAttention, EqualsTheFormulaWhereAllRowsAsk) {
  for (const auto dtype : {torch::kFloat64, torch::kFloat32}) {
    for (const int64_t head_dim : {3, 8, 64}) {
      const auto [q, k, v] = inputs(kTexts.back(), 3, head_dim, dtype);
      EXPECT_TRUE(is_close(bidirectional_attention(q, k, v, kTexts, kTexts),
                           formula(q, k, v, kTexts, kTexts), dtype))
          << head_dim;
    }
  }
}

TEST(BidirectionalAttention, EqualsTheFormulaWhereSomeRowsAsk) {
  const auto [q, k, v] = inputs(kSomeRows.back(), 2, 8, torch::kFloat32);
  EXPECT_TRUE(is_close(bidirectional_attention(q, k, v, kSomeRows, kTexts),
                       formula(q, k, v, kSomeRows, kTexts), torch::kFloat32));
}

// The second text of a run and the long text, each alone.
TEST(BidirectionalAttention, ATextAloneHasTheSameBits) {
  const auto [q, k, v] = inputs(kTexts.back(), 2, 8, torch::kFloat32);
  const auto packed = bidirectional_attention(q, k, v, kTexts, kTexts);
  for (const size_t text : {size_t{1}, size_t{3}}) {
    const auto own = [text](const Tensor& x) { return x.slice(0, kTexts[text], kTexts[text + 1]); };
    const std::vector<int32_t> limits = {0, kTexts[text + 1] - kTexts[text]};
    EXPECT_TRUE(
        at::equal(bidirectional_attention(own(q), own(k), own(v), limits, limits), own(packed)));
  }
}

TEST(BidirectionalAttention, ShapesAndLimitsThatDoNotFitAreRefused) {
  const auto [q, k, v] = inputs(kTexts.back(), 2, 8, torch::kFloat32);
  EXPECT_THROW(bidirectional_attention(q.narrow(1, 0, 1), k, v, kTexts, kTexts),
               std::invalid_argument);
  EXPECT_THROW(bidirectional_attention(q, k, v, {0, 5}, kTexts), std::invalid_argument);
  EXPECT_THROW(bidirectional_attention(q, k, v, {0, kTexts.back()}, kTexts), std::invalid_argument);
}

}  // namespace bidirectional_attention_test
}  // namespace cpx::kernels
