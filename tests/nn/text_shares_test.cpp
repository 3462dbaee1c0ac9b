// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/text_shares.h"

#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

namespace cpx::nn {
namespace text_shares_test {

using torch::Tensor;

// Token i has the id 1000 + i.
PackedTokens pack_of(const std::vector<int64_t>& lengths) {
  PackedTokens tokens;
  tokens.cu_seqlens = {0};
  for (const int64_t length : lengths) {
    tokens.cu_seqlens.push_back(tokens.cu_seqlens.back() + static_cast<int32_t>(length));
  }
  tokens.ids = at::arange(1000, 1000 + tokens.cu_seqlens.back(), at::kLong);
  return tokens;
}

std::vector<int64_t> sizes_of(const std::vector<TextShare>& shares) {
  std::vector<int64_t> sizes;
  for (const TextShare& share : shares) sizes.push_back(share.tokens.ids.size(0));
  return sizes;
}

std::vector<int64_t> to_vector(const Tensor& values) {
  return {values.const_data_ptr<int64_t>(), values.const_data_ptr<int64_t>() + values.numel()};
}

TEST(DealTexts, EachTokenIsInOneShareInTheOrderOfItsText) {
  const std::vector<int64_t> lengths = {70, 64, 61, 66, 6, 72, 70, 68, 70};
  const auto tokens = pack_of(lengths);
  const auto shares = deal_texts(tokens);
  ASSERT_EQ(shares.size(), 8);
  std::vector<int64_t> rows;
  for (const TextShare& share : shares) {
    ASSERT_EQ(share.tokens.ids.size(0), std::ssize(*share.rows));
    ASSERT_EQ(share.tokens.cu_seqlens.back(), share.tokens.ids.size(0));
    const auto ids = to_vector(share.tokens.ids);
    for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i], 1000 + (*share.rows)[i]);
    for (size_t text = 0; text + 1 < share.tokens.cu_seqlens.size(); ++text) {
      const auto begin = static_cast<size_t>(share.tokens.cu_seqlens[text]);
      const auto end = static_cast<size_t>(share.tokens.cu_seqlens[text + 1]);
      const int64_t row = (*share.rows)[begin];
      const auto whole = std::ranges::find(tokens.cu_seqlens, static_cast<int32_t>(row));
      ASSERT_NE(whole, tokens.cu_seqlens.end());
      EXPECT_EQ(*(whole + 1) - *whole, end - begin);
      for (size_t i = begin; i < end; ++i) {
        EXPECT_EQ((*share.rows)[i], row + static_cast<int64_t>(i - begin));
      }
    }
    rows.insert(rows.end(), share.rows->begin(), share.rows->end());
  }
  std::ranges::sort(rows);
  std::vector<int64_t> all(static_cast<size_t>(tokens.ids.size(0)));
  std::iota(all.begin(), all.end(), int64_t{0});
  EXPECT_EQ(rows, all);
}

// The longest text first, each to the smallest share: 60 + 30 + 10, 60 + 30 + 10, 50 + 40 + 10, ...
TEST(DealTexts, SharesAreEven) {
  const auto shares = deal_texts(pack_of({10, 60, 30, 50, 10, 40, 40, 10, 60, 30, 50, 10}));
  EXPECT_EQ(sizes_of(shares), std::vector<int64_t>({100, 100, 100, 100}));
}

TEST(DealTexts, FewTokensStayTogether) {
  EXPECT_EQ(sizes_of(deal_texts(pack_of({40, 40, 47}))), std::vector<int64_t>({127}));
  EXPECT_EQ(sizes_of(deal_texts(pack_of({40, 24, 40, 24}))), std::vector<int64_t>({64, 64}));
}

TEST(DealTexts, ALongTextKeepsThePackTogether) {
  EXPECT_EQ(sizes_of(deal_texts(pack_of({500, 64, 64}))), std::vector<int64_t>({628}));
}

TEST(DealTexts, NoTokensGiveNoShare) {
  EXPECT_TRUE(deal_texts(pack_of({})).empty());
  EXPECT_TRUE(deal_texts(pack_of({0, 0})).empty());
}

TEST(DealTexts, AnEmptyTextChangesNothing) {
  EXPECT_EQ(sizes_of(deal_texts(pack_of({64, 0, 64}))), std::vector<int64_t>({64, 64}));
}

// Two prompts of 40 tokens, each with two answers of 20: 80 tokens a prompt.
TEST(DealTexts, TextsThatShareTokensStayTogether) {
  PackedTokens tokens;
  tokens.ids = at::arange(160, at::kLong);
  tokens.cu_seqlens = {0};
  for (const int64_t prompt : {0, 80}) {
    for (const int64_t answer : {40, 60}) {
      for (int64_t i = 0; i < 40; ++i) tokens.token_of_place.push_back(prompt + i);
      for (int64_t i = 0; i < 20; ++i) tokens.token_of_place.push_back(prompt + answer + i);
      tokens.cu_seqlens.push_back(static_cast<int32_t>(tokens.token_of_place.size()));
    }
  }
  const auto shares = deal_texts(tokens);
  ASSERT_EQ(sizes_of(shares), std::vector<int64_t>({80, 80}));
  for (const TextShare& share : shares) {
    EXPECT_EQ(share.tokens.cu_seqlens, std::vector<int32_t>({0, 60, 120}));
    std::vector<int64_t> places(120);
    std::iota(places.begin(), places.begin() + 60, int64_t{0});
    std::iota(places.begin() + 60, places.begin() + 100, int64_t{0});
    std::iota(places.begin() + 100, places.end(), int64_t{60});
    EXPECT_EQ(share.tokens.token_of_place, places);
  }
  EXPECT_EQ(to_vector(shares[1].tokens.ids), to_vector(at::arange(80, 160, at::kLong)));
}

// states = w * id for each token: [T, 1]. d sum(c * states) / dw = sum of c * id.
TEST(StatesOfShares, RowsAndGradientsAreThoseOfThePack) {
  const auto tokens = pack_of({70, 65, 64, 66});
  const auto factor = at::full({1, 1}, 2.0, at::kDouble).requires_grad_(true);
  const auto unused = at::ones({3}, at::kDouble).requires_grad_(true);
  const auto states = [&](const TextShare& share) {
    return share.tokens.ids.to(at::kDouble).unsqueeze(1) * factor;
  };
  const auto ids = tokens.ids.to(at::kDouble).unsqueeze(1);
  const auto all = states_of_shares(deal_texts(tokens), states, {factor, unused});
  EXPECT_TRUE(at::equal(all, 2.0 * ids));
  const auto weights = at::arange(265, at::kDouble).unsqueeze(1);
  const auto gradients =
      torch::autograd::grad({(all * weights).sum()}, {factor, unused}, {}, std::nullopt, false,
                            /*allow_unused=*/true);
  EXPECT_EQ(gradients[0].item<double>(), (ids * weights).sum().item<double>());
  EXPECT_FALSE(gradients[1].defined());
}

TEST(StatesOfShares, WithoutGradientsNothingIsKept) {
  const auto tokens = pack_of({70, 65, 64, 66});
  const auto factor = at::full({1, 1}, 2.0, at::kDouble).requires_grad_(true);
  const auto states = [&](const TextShare& share) {
    return share.tokens.ids.to(at::kDouble).unsqueeze(1) * factor;
  };
  EXPECT_FALSE(states_of_shares(deal_texts(tokens), states, {}).requires_grad());
  const torch::NoGradGuard no_grad;
  EXPECT_FALSE(states_of_shares(deal_texts(tokens), states, {factor}).requires_grad());
}

}  // namespace text_shares_test
}  // namespace cpx::nn
