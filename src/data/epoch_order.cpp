// SPDX-License-Identifier: Apache-2.0
#include "epoch_order.h"

#include "cpx/core/random.h"

namespace cpx::data {

std::vector<int64_t> epoch_order(int64_t n, uint64_t seed, int64_t epoch) {
  return random_permutation(n, CounterRng(seed, {kOrderStream, static_cast<uint64_t>(epoch)}));
}

}  // namespace cpx::data
