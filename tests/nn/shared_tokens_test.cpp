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

TEST(SharedTokens, ATokenIsReadAtItsFirstPlace) {
  const auto shared = share_tokens(kPlaces, 5, torch::kCPU);
  EXPECT_EQ(shared.tokens_of_places->num_sources(), 5);
  EXPECT_THAT(shared.tokens_of_places->taken_for(1), ElementsAre(1, 5));
  EXPECT_EQ(shared.places_of_tokens->num_sources(), 7);
  EXPECT_THAT(shared.places_of_tokens->taken_for(6), ElementsAre(4));
  EXPECT_THAT(shared.places_of_tokens->taken_for(5), ElementsAre());
}

TEST(SharedTokens, ABeginningIsCountedWhereItStoodBefore) {
  EXPECT_THAT(num_shared_before(kEnds, kPlaces), ElementsAre(0, 2));
  // The second text is the beginning of the first one, the third has nothing in common with them.
  EXPECT_THAT(num_shared_before({0, 3, 5, 5, 7}, std::vector<int64_t>{0, 1, 2, 0, 1, 3, 4}),
              ElementsAre(0, 2, 0, 0));
}

TEST(SharedTokens, FaultsAreNamed) {
  EXPECT_EQ(message_of<std::invalid_argument>([] { share_tokens(kPlaces, 4, torch::kCPU); }),
            "[shared tokens] got token 4 at a place, expected 0 to 3.");
  EXPECT_EQ(message_of<std::invalid_argument>([] { share_tokens(kPlaces, 6, torch::kCPU); }),
            "[shared tokens] token 5 has no place, expected one in each text that it is of.");
  const std::vector<int64_t> moved = {0, 1, 2, 3, 1, 0, 4};
  EXPECT_EQ(message_of<std::invalid_argument>([&] { token_positions(kEnds, moved, 5); }),
            "[shared tokens] token 1 is at position 0 of text 1 and at 1 of another, expected the "
            "same in all.");
}

}  // namespace shared_tokens_test
}  // namespace cpx::nn
