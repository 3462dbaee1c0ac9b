// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/shared_tokens.h"

#include <gmock/gmock.h>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::nn {
namespace shared_tokens_test {

using testing::ElementsAre;
using testing_support::message_of;

// Two texts behind the tokens 0 and 1: 0 1 2 3 and 0 1 4.
const std::vector<int64_t> kPlaces = {0, 1, 2, 3, 0, 1, 4};
const std::vector<int32_t> kEnds = {0, 4, 7};

TEST(SharedTokens, PositionsAreThoseInTheTexts) {
  EXPECT_THAT(token_positions(kEnds, kPlaces, 5), ElementsAre(0, 1, 2, 3, 2));
}

TEST(SharedTokens, ATokenIsOwnInItsFirstText) {
  const auto shared = share_tokens(kEnds, kPlaces, 5, torch::kCPU);
  EXPECT_EQ(shared.tokens_of_places->num_sources(), 5);
  EXPECT_THAT(shared.tokens_of_places->taken_for(1), ElementsAre(1, 5));
  EXPECT_THAT(shared.own_bounds, ElementsAre(0, 4, 5));
  // The second text is the beginning of the first one, the last has nothing in common with them.
  const std::vector<int64_t> places = {0, 1, 2, 0, 1, 3, 4};
  EXPECT_THAT(share_tokens({0, 3, 5, 5, 7}, places, 5, torch::kCPU).own_bounds,
              ElementsAre(0, 3, 3, 3, 5));
}

std::string sharing_fault(const std::vector<int64_t>& places, int64_t num_tokens) {
  return message_of<std::invalid_argument>(
      [&] { share_tokens(kEnds, places, num_tokens, torch::kCPU); });
}

TEST(SharedTokens, FaultsAreNamed) {
  EXPECT_EQ(sharing_fault(kPlaces, 4), "[shared tokens] got token 4 at a place, expected 0 to 3.");
  EXPECT_EQ(sharing_fault(kPlaces, 6),
            "[shared tokens] token 5 has no place, expected one in each text that it is of.");
  EXPECT_EQ(
      sharing_fault({0, 1, 3, 2, 0, 1, 4}, 5),
      "[shared tokens] got token 3 at place 2, expected 2: tokens are numbered as they come.");
  EXPECT_EQ(sharing_fault({0, 1, 2, 3, 0, 5, 4}, 6),
            "[shared tokens] got token 5 at place 5, expected at most 4: tokens are numbered as "
            "they come.");
  const std::vector<int64_t> moved = {0, 1, 2, 3, 1, 0, 4};
  EXPECT_EQ(message_of<std::invalid_argument>([&] { token_positions(kEnds, moved, 5); }),
            "[shared tokens] token 1 is at position 0 of text 1 and at 1 of another, expected the "
            "same in all.");
}

}  // namespace shared_tokens_test
}  // namespace cpx::nn
