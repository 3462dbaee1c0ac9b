// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/nearest.h"

#include <vector>

#include <gtest/gtest.h>

namespace cpx {
namespace nearest_test {

TEST(EditDistance, CountsInsertionsDeletionsAndSubstitutions) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("same", "same"), 0u);
}

TEST(NearestName, IsTheClosestKnownNameOrNothing) {
  const std::vector<std::string> known = {"rank", "alpha", "dropout"};
  EXPECT_EQ(nearest_name("alhpa", known), "alpha");
  EXPECT_EQ(nearest_name("drop_out", known), "dropout");
  EXPECT_EQ(nearest_name("zzzzzzz", known), std::nullopt);
}

}  // namespace nearest_test
}  // namespace cpx
