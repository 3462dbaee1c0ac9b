// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/shared_tokens.h"

#include <algorithm>
#include <unordered_set>

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

SharedTokens share_tokens(std::span<const int64_t> token_of_place, int64_t num_tokens,
                          const torch::Device& device) {
  std::vector<int64_t> first_place(static_cast<size_t>(num_tokens), kNowhere);
  for (size_t place = 0; place < token_of_place.size(); ++place) {
    check_token(token_of_place[place], num_tokens);
    int64_t& first = first_place[static_cast<size_t>(token_of_place[place])];
    if (first == kNowhere) first = static_cast<int64_t>(place);
  }
  check_all_placed(first_place);
  return {.tokens_of_places =
              std::make_shared<kernels::RowSelection>(token_of_place, num_tokens, device),
          .places_of_tokens = std::make_shared<kernels::RowSelection>(
              first_place, std::ssize(token_of_place), device)};
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

std::vector<int64_t> num_shared_before(const std::vector<int32_t>& cu_seqlens,
                                       std::span<const int64_t> token_of_place) {
  std::unordered_set<int64_t> placed;
  std::vector<int64_t> counts;
  for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
    const auto own =
        token_of_place.subspan(static_cast<size_t>(cu_seqlens[text]),
                               static_cast<size_t>(cu_seqlens[text + 1] - cu_seqlens[text]));
    const auto first =
        std::ranges::find_if_not(own, [&](int64_t token) { return placed.contains(token); });
    counts.push_back(first - own.begin());
    placed.insert(first, own.end());
  }
  return counts;
}

}  // namespace cpx::nn
