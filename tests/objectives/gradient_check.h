// SPDX-License-Identifier: Apache-2.0
// A hand-written gradient against central differences, and the text of an error.
#pragma once

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::objectives {

/// Expects `gradient` to be that of `loss_at`, a function of a vector, at `point`: to 1e-6 of the
/// largest slope, which must not be 0.
template <class Loss>
void expect_gradient(const std::vector<double>& gradient, const std::vector<double>& point,
                     const Loss& loss_at, const std::string& what) {
  constexpr double kStep = 1e-5;
  ASSERT_EQ(gradient.size(), point.size()) << what;
  double largest = 0.0;
  for (const double slope : gradient) largest = std::max(largest, std::abs(slope));
  ASSERT_GT(largest, 1e-6) << what;
  for (size_t i = 0; i < point.size(); ++i) {
    std::vector<double> above = point;
    std::vector<double> below = point;
    above[i] += kStep;
    below[i] -= kStep;
    EXPECT_NEAR(gradient[i], (loss_at(above) - loss_at(below)) / (2.0 * kStep), 1e-6 * largest)
        << what << ", entry " << i;
  }
}

/// Text of the std::invalid_argument that `call` throws.
template <class Call>
std::string invalid_argument_of(const Call& call) {
  return testing_support::message_of<std::invalid_argument>(call);
}

}  // namespace cpx::objectives
