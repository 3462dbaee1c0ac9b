// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <unordered_map>

#include "cpx/core/error.h"

namespace cpx {

namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;

// SplitMix64's finalizer (Steele et al., OOPSLA 2014).
uint64_t finalize(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * counter[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key = {key[0] + kWeyl0, key[1] + kWeyl1};
  }
  return counter;
}

uint64_t mix_seed(uint64_t seed, std::initializer_list<uint64_t> key) {
  uint64_t state = finalize(seed + 0x9E3779B97F4A7C15ULL);
  for (const uint64_t part : key) {
    state = finalize(state ^ finalize(part + 0x9E3779B97F4A7C15ULL)) + 0x9E3779B97F4A7C15ULL;
  }
  return finalize(state);
}

CounterRng::CounterRng(uint64_t seed, std::initializer_list<uint64_t> key) {
  const uint64_t first = mix_seed(seed, key);
  const uint64_t second = finalize(first + 0x632BE59BD9B4E019ULL);
  key_ = {static_cast<uint32_t>(first), static_cast<uint32_t>(first >> 32)};
  counter_ = {0, 0, static_cast<uint32_t>(second), static_cast<uint32_t>(second >> 32)};
}

uint32_t CounterRng::next_u32() {
  if (num_left_ == 0) {
    block_ = philox4x32(counter_, key_);
    num_left_ = 4;
    if (++counter_[0] == 0) ++counter_[1];
  }
  return block_[static_cast<size_t>(4 - num_left_--)];
}

uint64_t CounterRng::next_u64() {
  const uint64_t low = next_u32();
  return low | (uint64_t{next_u32()} << 32);
}

uint64_t CounterRng::below(uint64_t bound) {
  CPX_CHECK(bound > 0, "[CounterRng::below] empty range: got bound 0, expected at least 1.");
  // Values under this limit would make the low remainders more frequent.
  const uint64_t limit = (0 - bound) % bound;
  uint64_t value = next_u64();
  while (value < limit) value = next_u64();
  return value % bound;
}

double CounterRng::uniform() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

double CounterRng::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

std::vector<int64_t> random_permutation(int64_t n, CounterRng rng) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (size_t last = order.size(); last > 1; --last) {
    std::swap(order[last - 1], order[rng.below(last)]);
  }
  return order;
}

std::vector<int64_t> sample_without_replacement(int64_t n, int64_t k, CounterRng rng) {
  CPX_CHECK(k >= 0 && k <= n,
            "[sample_without_replacement] too many: got k {}, expected 0 to {} (n).", k, n);
  // Fisher-Yates over a range that is stored only where it changed.
  std::unordered_map<int64_t, int64_t> moved;
  const auto value_at = [&moved](int64_t index) {
    const auto found = moved.find(index);
    return found == moved.end() ? index : found->second;
  };
  std::vector<int64_t> drawn;
  for (int64_t i = 0; i < k; ++i) {
    const int64_t j = i + static_cast<int64_t>(rng.below(static_cast<uint64_t>(n - i)));
    drawn.push_back(value_at(j));
    moved[j] = value_at(i);
  }
  return drawn;
}

}  // namespace cpx
