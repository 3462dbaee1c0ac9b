// SPDX-License-Identifier: Apache-2.0
// The random numbers of Python's `random.Random`, for programs whose draws must be repeated: the
// few-shot examples of lm-evaluation-harness, and its bootstrap.
// Source: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998, with init_by_array()
// of their program of 2002; Lib/random.py of CPython 3.11.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cpx::evaluation {

/// The stream of random.Random(seed).
class PythonRandom {
 public:
  explicit PythonRandom(uint32_t seed);

  /// The next 32 bits, getrandbits(32).
  uint32_t next();
  /// A number from 0 to `n` - 1, as randrange(n); `n` is 1 to 2^32 - 1.
  int64_t below(int64_t n);
  /// A number from 0 to below 1, as random().
  double uniform();
  /// `k` different numbers from 0 to `n` - 1 in the order of drawing, as sample(range(n), k).
  /// Throws std::invalid_argument for more numbers than there are.
  std::vector<int64_t> sample(int64_t n, int64_t k);

 private:
  static constexpr size_t kWords = 624;

  void refill();

  std::array<uint32_t, kWords> state_{};
  size_t next_ = kWords;  // the word of `state_` that is given out next
};

}  // namespace cpx::evaluation
