// SPDX-License-Identifier: Apache-2.0
#include "epoch_order.h"

#include <numeric>

#include "cpx/core/random.h"

namespace cpx::data {

namespace {

std::vector<int64_t> as_they_are(int64_t n) {
  std::vector<int64_t> numbers(static_cast<size_t>(n));
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  return numbers;
}

}  // namespace

std::vector<int64_t> epoch_order(int64_t n, uint64_t seed, int64_t epoch) {
  return random_permutation(n, CounterRng(seed, {kOrderStream, static_cast<uint64_t>(epoch)}));
}

std::vector<int64_t> visit_order(int64_t n, bool is_shuffled, uint64_t seed, int64_t epoch) {
  return is_shuffled ? epoch_order(n, seed, epoch) : as_they_are(n);
}

std::vector<int64_t> text_order(int64_t n, TextRole role, int64_t item, bool is_shuffled,
                                uint64_t seed, int64_t epoch) {
  if (!is_shuffled) return as_they_are(n);
  return random_permutation(
      n, CounterRng(seed, {kTextStream, static_cast<uint64_t>(epoch), static_cast<uint64_t>(item),
                           static_cast<uint64_t>(role)}));
}

}  // namespace cpx::data
