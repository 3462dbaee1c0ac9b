// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/shared_tokens.h"

#include "cpx/core/error.h"

namespace cpx::nn {

namespace {

constexpr int64_t kNowhere = -1;

void check_token(int64_t token, int64_t num_tokens) {
  CPX_CHECK(token >= 0 && token < num_tokens,
            "[shared tokens] got token {} at a place, expected 0 to {}.", token, num_tokens - 1);
}

void check_all_placed(const std::vector<int64_t>& of_tokens) {
  for (size_t token = 0; token < of_tokens.size(); ++token) {
    CPX_CHECK(of_tokens[token] != kNowhere,
              "[shared tokens] token {} has no place, expected one in each text that it is of.",
              token);
  }
}

}  // namespace

SharedTokens share_tokens(const std::vector<int32_t>& cu_seqlens,
                          std::span<const int64_t> token_of_place, int64_t num_tokens,
                          const torch::Device& device, int64_t num_before) {
  SharedTokens shared;
  std::vector<int64_t> rows;
  int64_t next = 0;  // the first token that has not come yet
  for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
    for (int64_t row = 0; row < num_before; ++row) rows.push_back(row);
    const int64_t before = next;
    for (int64_t place = cu_seqlens[text]; place < cu_seqlens[text + 1]; ++place) {
      const int64_t token = token_of_place[static_cast<size_t>(place)];
      check_token(token, num_tokens);
      const bool is_own = next > before;
      CPX_CHECK(is_own ? token == next : token <= next,
                "[shared tokens] got token {} at place {}, expected {}{}: tokens are numbered as "
                "they come.",
                token, place, is_own ? "" : "at most ", next);
      if (token == next) ++next;
      rows.push_back(num_before + token);
    }
    shared.cu_seqlens.push_back(static_cast<int32_t>(rows.size()));
    shared.own_bounds.push_back(static_cast<int32_t>(next));
  }
  CPX_CHECK(next == num_tokens,
            "[shared tokens] token {} has no place, expected one in each text that it is of.",
            next);
  shared.tokens_of_places =
      std::make_shared<kernels::RowSelection>(rows, num_before + num_tokens, device);
  return shared;
}

std::vector<int64_t> token_positions(const std::vector<int32_t>& cu_seqlens,
                                     std::span<const int64_t> token_of_place, int64_t num_tokens) {
  std::vector<int64_t> positions(static_cast<size_t>(num_tokens), kNowhere);
  for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
    for (int64_t place = cu_seqlens[text]; place < cu_seqlens[text + 1]; ++place) {
      const int64_t token = token_of_place[static_cast<size_t>(place)];
      check_token(token, num_tokens);
      int64_t& position = positions[static_cast<size_t>(token)];
      const int64_t here = place - cu_seqlens[text];
      CPX_CHECK(position == kNowhere || position == here,
                "[shared tokens] token {} is at position {} of text {} and at {} of another, "
                "expected the same in all.",
                token, here, text, position);
      position = here;
    }
  }
  check_all_placed(positions);
  return positions;
}

}  // namespace cpx::nn
