// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/python_random.h"

#include <bit>
#include <cmath>
#include <numeric>
#include <unordered_set>

#include "cpx/core/error.h"

namespace cpx::evaluation {

namespace {

constexpr size_t kShift = 397;  // M of the generator
constexpr uint32_t kTwist = 0x9908B0DF;
constexpr uint32_t kUpperBit = 0x80000000;

uint32_t mixed(uint32_t before) { return before ^ (before >> 30); }

// Up to so many items sample() copies the list that it draws from; it changes what is drawn.
int64_t largest_copied_list(int64_t k) {
  constexpr int64_t kSmallSet = 21;
  if (k <= 5) return kSmallSet;
  const double power = std::ceil(std::log(static_cast<double>(3 * k)) / std::log(4.0));
  return kSmallSet + static_cast<int64_t>(std::pow(4.0, power));
}

}  // namespace

// init_by_array() with the one word `seed`, as CPython seeds from a small integer.
PythonRandom::PythonRandom(uint32_t seed) {
  state_[0] = 19650218;
  for (uint32_t i = 1; i < kWords; ++i) state_[i] = 1812433253U * mixed(state_[i - 1]) + i;
  size_t at = 1;
  const auto step = [&] {
    if (++at < kWords) return;
    state_[0] = state_[kWords - 1];
    at = 1;
  };
  for (size_t i = 0; i < kWords; ++i, step()) {
    state_[at] = (state_[at] ^ (mixed(state_[at - 1]) * 1664525U)) + seed;
  }
  for (size_t i = 1; i < kWords; ++i, step()) {
    state_[at] = (state_[at] ^ (mixed(state_[at - 1]) * 1566083941U)) - static_cast<uint32_t>(at);
  }
  state_[0] = kUpperBit;
}

void PythonRandom::refill() {
  for (size_t i = 0; i < kWords; ++i) {
    const uint32_t joined = (state_[i] & kUpperBit) | (state_[(i + 1) % kWords] & (kUpperBit - 1));
    state_[i] = state_[(i + kShift) % kWords] ^ (joined >> 1) ^ ((joined & 1) != 0 ? kTwist : 0);
  }
  next_ = 0;
}

uint32_t PythonRandom::next() {
  if (next_ == kWords) refill();
  uint32_t word = state_[next_++];
  word ^= word >> 11;
  word ^= (word << 7) & 0x9D2C5680;
  word ^= (word << 15) & 0xEFC60000;
  return word ^ (word >> 18);
}

int64_t PythonRandom::below(int64_t n) {
  CPX_CHECK(n >= 1 && n <= UINT32_MAX, "[python_random] got a bound of {}, expected 1 to {}.", n,
            UINT32_MAX);
  const int num_bits = std::bit_width(static_cast<uint32_t>(n));
  int64_t drawn = n;
  while (drawn >= n) drawn = next() >> (32 - num_bits);
  return drawn;
}

double PythonRandom::uniform() {
  const uint32_t high = next() >> 5;
  const uint32_t low = next() >> 6;
  return (high * 67108864.0 + low) * (1.0 / 9007199254740992.0);  // 53 bits
}

std::vector<int64_t> PythonRandom::sample(int64_t n, int64_t k) {
  CPX_CHECK(k >= 0 && k <= n, "[python_random] got {} numbers to draw of {}, expected 0 to {}.", k,
            n, n);
  std::vector<int64_t> drawn;
  if (n <= largest_copied_list(k)) {
    std::vector<int64_t> pool(static_cast<size_t>(n));
    std::iota(pool.begin(), pool.end(), int64_t{0});
    for (int64_t i = 0; i < k; ++i) {
      int64_t& taken = pool[static_cast<size_t>(below(n - i))];
      drawn.push_back(taken);
      taken = pool[static_cast<size_t>(n - i - 1)];
    }
    return drawn;
  }
  std::unordered_set<int64_t> seen;
  while (std::ssize(drawn) < k) {
    const int64_t number = below(n);
    if (seen.insert(number).second) drawn.push_back(number);
  }
  return drawn;
}

}  // namespace cpx::evaluation
