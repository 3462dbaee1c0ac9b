// SPDX-License-Identifier: Apache-2.0
// The numbers are those of CPython 3.11.
#include "cpx/evaluation/python_random.h"

#include <stdexcept>

#include <gtest/gtest.h>

namespace cpx::evaluation {
namespace python_random_test {

using Numbers = std::vector<int64_t>;

TEST(PythonRandom, WordsAreThoseOfPython) {
  PythonRandom random(1234);
  EXPECT_EQ(random.next(), 4150886329U);
  EXPECT_EQ(random.next(), 3342196574U);
  EXPECT_EQ(random.next(), 1892932127U);
}

TEST(PythonRandom, UniformNumbersAreThoseOfPython) {
  PythonRandom random(1234);
  EXPECT_EQ(random.uniform(), 0.9664535356921388);
  EXPECT_EQ(random.uniform(), 0.4407325991753527);
  PythonRandom other(99);
  EXPECT_EQ(other.uniform(), 0.40397807494366633);
}

TEST(PythonRandom, SeedZeroIsAWordToo) {
  // random.Random(0).choices(range(5), k=8)
  PythonRandom random(0);
  Numbers drawn;
  for (int i = 0; i < 8; ++i) drawn.push_back(static_cast<int64_t>(random.uniform() * 5.0));
  EXPECT_EQ(drawn, (Numbers{4, 3, 2, 1, 2, 2, 3, 1}));
}

TEST(PythonRandom, ShortListsAreDrawnFromACopy) {
  PythonRandom random(1234);
  EXPECT_EQ(random.sample(40, 6), (Numbers{28, 7, 0, 5, 2, 36}));
  EXPECT_EQ(random.sample(40, 6), (Numbers{6, 22, 15, 1, 36, 35}));
}

TEST(PythonRandom, LongListsAreDrawnBySet) {
  PythonRandom random(1234);
  EXPECT_EQ(random.sample(10042, 4), (Numbers{7220, 1914, 122, 1485}));
  EXPECT_EQ(random.sample(10042, 11),
            (Numbers{9539, 572, 1375, 1612, 5810, 3879, 285, 504, 259, 5670, 7933}));
}

TEST(PythonRandom, TheBorderOfBothDependsOnTheNumberDrawn) {
  // 21 + 4^ceil(log4(18)) = 85.
  PythonRandom random(1234);
  EXPECT_EQ(random.sample(85, 6), (Numbers{56, 14, 0, 11, 74, 4}));
  EXPECT_EQ(random.sample(86, 6), (Numbers{85, 10, 12, 45, 30, 2}));
}

TEST(PythonRandom, MoreNumbersThanThereAreIsAnError) {
  PythonRandom random(1234);
  EXPECT_THROW(random.sample(3, 4), std::invalid_argument);
  EXPECT_THROW(random.below(0), std::invalid_argument);
}

}  // namespace python_random_test
}  // namespace cpx::evaluation
