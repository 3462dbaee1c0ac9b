// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers (Philox4x32-10): every draw is a pure function of a seed and a key,
// so any position of a run can be reached directly and repeated bit for bit.
// Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011, section 3.3.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace cpx {

/// The Philox4x32-10 block function: four 32-bit words for a 128-bit counter and a 64-bit key.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// A stream of random numbers that depends only on (seed, key).
class CounterRng {
 public:
  CounterRng(uint64_t seed, std::initializer_list<uint64_t> key);

  uint32_t next_u32();
  uint64_t next_u64();
  /// Unbiased integer in [0, bound); bound must be positive.
  uint64_t below(uint64_t bound);
  /// Uniform double in [0, 1) with 53 random bits.
  double uniform();
  /// Standard normal number (Box-Muller).
  double normal();

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int num_left_ = 0;
};

/// A well-mixed 64-bit hash of (seed, key): the key of a stream, or a seed for another generator.
uint64_t mix_seed(uint64_t seed, std::initializer_list<uint64_t> key);

/// A uniformly drawn permutation of 0..n-1 (Fisher-Yates).
std::vector<int64_t> random_permutation(int64_t n, CounterRng rng);

/// `k` distinct numbers from 0..n-1 in random order; throws std::invalid_argument if k > n.
std::vector<int64_t> sample_without_replacement(int64_t n, int64_t k, CounterRng rng);

}  // namespace cpx
