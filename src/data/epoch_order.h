// SPDX-License-Identifier: Apache-2.0
// Random streams of a data set. First part of a stream's key: what the stream is for.
#pragma once

#include <cstdint>
#include <vector>

#include "cpx/core/text_role.h"

namespace cpx::data {

constexpr uint64_t kOrderStream = 1;
constexpr uint64_t kTextStream = 2;
constexpr uint64_t kLengthStream = 3;
constexpr uint64_t kHeldOutStream = 4;

/// The order in which `epoch` visits 0..n-1, as (seed, epoch) alone give it.
std::vector<int64_t> epoch_order(int64_t n, uint64_t seed, int64_t epoch);

/// epoch_order(), or 0..n-1 as they are where nothing is shuffled.
std::vector<int64_t> visit_order(int64_t n, bool is_shuffled, uint64_t seed, int64_t epoch);

/// The order in which `epoch` takes the `n` texts of `role` of one item, by (seed, epoch, item,
/// role) alone; without shuffling as they are.
std::vector<int64_t> text_order(int64_t n, TextRole role, int64_t item, bool is_shuffled,
                                uint64_t seed, int64_t epoch);

}  // namespace cpx::data
