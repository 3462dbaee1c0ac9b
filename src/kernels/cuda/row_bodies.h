// SPDX-License-Identifier: Apache-2.0
// One row of each row-wise operator, as a group of threads works on it. The same text is compiled
// for the GPU, where a group is a block of threads, and by the tests for the CPU, where a group
// takes its threads' places one after the other (tests/kernels/host_group.h).
//
// A group has
//   for_each(n, f)               f(i) for i in [0, n), split over the threads
//   reduce(n, none, add, merge)  every thread gets the merged values of all threads, each of which
//                                started with `none` and saw add(value, i) for its share of [0, n);
//                                all threads wait for each other here
//   is_first()                   true in one thread
//
// T is how a number is stored, W how many of them a thread reads and writes at once.
#pragma once

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define CPX_HOST_DEVICE __host__ __device__
// For templates over a group: the GPU's has functions for the GPU only.
#define CPX_NO_EXEC_CHECK _Pragma("nv_exec_check_disable")
#else
#define CPX_HOST_DEVICE
#define CPX_NO_EXEC_CHECK
#endif

namespace cpx::kernels {

/// W numbers that are moved by one instruction.
template <class T, int W>
struct alignas(sizeof(T) * W) Pack {
  T numbers[W];
};

template <class T, int W>
CPX_HOST_DEVICE Pack<T, W>& pack_at(T* row, int64_t index) {
  return reinterpret_cast<Pack<T, W>*>(row)[index];
}
template <class T, int W>
CPX_HOST_DEVICE const Pack<T, W>& pack_at(const T* row, int64_t index) {
  return reinterpret_cast<const Pack<T, W>*>(row)[index];
}

/// The number as T stores it.
template <class T>
CPX_HOST_DEVICE float rounded_to(float number) {
  return static_cast<float>(static_cast<T>(number));
}

CPX_HOST_DEVICE inline float logistic(float x) { return 1.0F / (1.0F + expf(-x)); }

struct AddFloats {
  CPX_HOST_DEVICE float operator()(float left, float right) const { return left + right; }
};

/// output = x / sqrt(mean(x^2) + epsilon) * weight.
template <class T, int W>
struct RmsNormRow {
  const T* x;
  const T* weight;
  T* output;
  float* inverse;
  int64_t size;
  float epsilon;

  CPX_NO_EXEC_CHECK
  template <class Group>
  CPX_HOST_DEVICE void operator()(const Group& group, int64_t row) const {
    const T* from = x + row * size;
    T* to = output + row * size;
    const auto add_squares = [from](float& sum, int64_t i) {
      const auto values = pack_at<T, W>(from, i);
      for (int n = 0; n < W; ++n) {
        const auto value = static_cast<float>(values.numbers[n]);
        sum += value * value;
      }
    };
    const float sum = group.reduce(size / W, 0.0F, add_squares, AddFloats());
    const float scale = 1.0F / sqrtf(sum / static_cast<float>(size) + epsilon);
    group.for_each(size / W, [&](int64_t i) {
      const auto values = pack_at<T, W>(from, i);
      const auto weights = pack_at<T, W>(weight, i);
      Pack<T, W> results;
      for (int n = 0; n < W; ++n) {
        const float normalized = rounded_to<T>(static_cast<float>(values.numbers[n]) * scale);
        results.numbers[n] = static_cast<T>(normalized * static_cast<float>(weights.numbers[n]));
      }
      pack_at<T, W>(to, i) = results;
    });
    if (group.is_first()) inverse[row] = scale;
  }
};

/// With n = x * inverse and g = dy * weight: dx = inverse * (g - n * mean(g * n)).
template <class T, int W>
struct RmsNormBackwardRow {
  const T* grad_output;
  const T* x;
  const T* weight;
  const float* inverse;
  T* grad_x;
  int64_t size;

  CPX_NO_EXEC_CHECK
  template <class Group>
  CPX_HOST_DEVICE void operator()(const Group& group, int64_t row) const {
    const T* grad = grad_output + row * size;
    const T* from = x + row * size;
    T* to = grad_x + row * size;
    const T* scales = weight;
    const auto gradient = [=](const Pack<T, W>& grads, const Pack<T, W>& weights, int n) {
      return rounded_to<T>(static_cast<float>(grads.numbers[n]) *
                           static_cast<float>(weights.numbers[n]));
    };
    const auto add_products = [=](float& sum, int64_t i) {
      const auto grads = pack_at<T, W>(grad, i);
      const auto weights = pack_at<T, W>(scales, i);
      const auto values = pack_at<T, W>(from, i);
      for (int n = 0; n < W; ++n) {
        sum += gradient(grads, weights, n) * static_cast<float>(values.numbers[n]);
      }
    };
    const float sum = group.reduce(size / W, 0.0F, add_products, AddFloats());
    const float scale = inverse[row];
    const float projection = sum * scale * scale / static_cast<float>(size);
    group.for_each(size / W, [&](int64_t i) {
      const auto grads = pack_at<T, W>(grad, i);
      const auto weights = pack_at<T, W>(scales, i);
      const auto values = pack_at<T, W>(from, i);
      Pack<T, W> results;
      for (int n = 0; n < W; ++n) {
        const float value = static_cast<float>(values.numbers[n]);
        results.numbers[n] =
            static_cast<T>(scale * (gradient(grads, weights, n) - value * projection));
      }
      pack_at<T, W>(to, i) = results;
    });
  }
};

/// All heads of a token. W divides half.
template <class T, int W>
struct RotateRow {
  const T* x;
  const float* cosine;
  const float* sine;
  T* turned;
  int64_t num_heads;
  int64_t half;
  float direction;

  CPX_NO_EXEC_CHECK
  template <class Group>
  CPX_HOST_DEVICE void operator()(const Group& group, int64_t row) const {
    const int64_t packs = half / W;  // of half a head
    const T* from = x + row * num_heads * 2 * half;
    T* to = turned + row * num_heads * 2 * half;
    const float* c = cosine + row * half;
    const float* s = sine + row * half;
    group.for_each(num_heads * packs, [&](int64_t i) {
      const int64_t first = i / packs * 2 * packs + i % packs;
      const auto left = pack_at<T, W>(from, first);
      const auto right = pack_at<T, W>(from, first + packs);
      Pack<T, W> new_left, new_right;
      for (int n = 0; n < W; ++n) {
        const float cos = rounded_to<T>(c[i % packs * W + n]);
        const float sin = rounded_to<T>(direction * s[i % packs * W + n]);
        const float one = static_cast<float>(left.numbers[n]);
        const float other = static_cast<float>(right.numbers[n]);
        new_left.numbers[n] = static_cast<T>(rounded_to<T>(one * cos) - rounded_to<T>(other * sin));
        new_right.numbers[n] =
            static_cast<T>(rounded_to<T>(other * cos) + rounded_to<T>(one * sin));
      }
      pack_at<T, W>(to, first) = new_left;
      pack_at<T, W>(to, first + packs) = new_right;
    });
  }
};

/// output = silu(gate) * up.
template <class T, int W>
struct SwigluRow {
  const T* gate;
  const T* up;
  T* output;
  int64_t size;

  CPX_NO_EXEC_CHECK
  template <class Group>
  CPX_HOST_DEVICE void operator()(const Group& group, int64_t row) const {
    const int64_t begin = row * size;
    group.for_each(size / W, [&](int64_t i) {
      const auto gates = pack_at<T, W>(gate + begin, i);
      const auto ups = pack_at<T, W>(up + begin, i);
      Pack<T, W> results;
      for (int n = 0; n < W; ++n) {
        const float g = static_cast<float>(gates.numbers[n]);
        const float silu = rounded_to<T>(g * logistic(g));
        results.numbers[n] = static_cast<T>(silu * static_cast<float>(ups.numbers[n]));
      }
      pack_at<T, W>(output + begin, i) = results;
    });
  }
};

/// With s = sigmoid(gate): d silu / d gate = s * (1 + gate * (1 - s)).
template <class T, int W>
struct SwigluBackwardRow {
  const T* grad_output;
  const T* gate;
  const T* up;
  T* grad_gate;
  T* grad_up;
  int64_t size;

  CPX_NO_EXEC_CHECK
  template <class Group>
  CPX_HOST_DEVICE void operator()(const Group& group, int64_t row) const {
    const int64_t begin = row * size;
    group.for_each(size / W, [&](int64_t i) {
      const auto grads = pack_at<T, W>(grad_output + begin, i);
      const auto gates = pack_at<T, W>(gate + begin, i);
      const auto ups = pack_at<T, W>(up + begin, i);
      Pack<T, W> gate_results, up_results;
      for (int n = 0; n < W; ++n) {
        const float dy = static_cast<float>(grads.numbers[n]);
        const float g = static_cast<float>(gates.numbers[n]);
        const float s = logistic(g);
        const float product = rounded_to<T>(dy * static_cast<float>(ups.numbers[n]));
        gate_results.numbers[n] = static_cast<T>(product * s * (1.0F + g * (1.0F - s)));
        up_results.numbers[n] = static_cast<T>(dy * rounded_to<T>(g * s));
      }
      pack_at<T, W>(grad_gate + begin, i) = gate_results;
      pack_at<T, W>(grad_up + begin, i) = up_results;
    });
  }
};

/// The sum of exp(x - highest) over the numbers seen so far.
struct OnlineSum {
  float highest;
  float sum;

  CPX_HOST_DEVICE void add(float x) {
    if (x > highest) {
      sum = sum * expf(highest - x) + 1.0F;
      highest = x;
    } else {
      sum += x == highest ? 1.0F : expf(x - highest);  // two -infinities differ by no number
    }
  }
};

struct MergeOnlineSums {
  CPX_HOST_DEVICE OnlineSum operator()(OnlineSum left, OnlineSum right) const {
    if (right.highest > left.highest) {
      const OnlineSum lower = left;
      left = right;
      right = lower;
    }
    if (right.sum != 0.0F && right.highest != left.highest) {
      right.sum *= expf(right.highest - left.highest);
    }
    return {left.highest, left.sum + right.sum};
  }
};

/// nll = log sum_v exp(z_v) - z_target, and softmax - onehot in the logits' place: they are read
/// twice and written once.
template <class T, int W>
struct NllRow {
  T* logits;
  const int64_t* targets;
  float* nll;
  int64_t size;
  bool needs_gradient;

  CPX_NO_EXEC_CHECK
  template <class Group>
  CPX_HOST_DEVICE void operator()(const Group& group, int64_t row) const {
    T* z = logits + row * size;
    const int64_t target = targets[row];
    const bool is_valid = target >= 0 && target < size;
    const float target_logit = is_valid ? static_cast<float>(z[target]) : NAN;  // before it is lost
    const auto add = [z](OnlineSum& sum, int64_t i) {
      const auto values = pack_at<T, W>(z, i);
      for (int n = 0; n < W; ++n) sum.add(static_cast<float>(values.numbers[n]));
    };
    const OnlineSum online =
        group.reduce(size / W, OnlineSum{-INFINITY, 0.0F}, add, MergeOnlineSums());
    const float log_sum = online.highest + logf(online.sum);
    if (group.is_first()) nll[row] = log_sum - target_logit;
    if (!needs_gradient) return;
    group.for_each(size / W, [&](int64_t i) {
      auto values = pack_at<T, W>(z, i);
      for (int n = 0; n < W; ++n) {
        const float probability = expf(static_cast<float>(values.numbers[n]) - log_sum);
        values.numbers[n] = static_cast<T>(probability - (i * W + n == target ? 1.0F : 0.0F));
      }
      pack_at<T, W>(z, i) = values;
    });
  }
};

/// The four words of the counter (block, row, 0, 0): Philox4x32-10 (cpx/core/random.h).
struct PhiloxWords {
  uint32_t words[4];

  CPX_HOST_DEVICE PhiloxWords(uint32_t block, uint32_t row, uint64_t key)
      : words{block, row, 0, 0} {
    auto key0 = static_cast<uint32_t>(key);
    auto key1 = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t first = uint64_t{0xD2511F53} * words[0];
      const uint64_t second = uint64_t{0xCD9E8D57} * words[2];
      words[0] = static_cast<uint32_t>(second >> 32) ^ words[1] ^ key0;
      words[1] = static_cast<uint32_t>(second);
      words[2] = static_cast<uint32_t>(first >> 32) ^ words[3] ^ key1;
      words[3] = static_cast<uint32_t>(first);
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
  }

  /// Bit n: whether word n is at least `threshold`.
  CPX_HOST_DEVICE uint32_t bits_of_at_least(uint32_t threshold) const {
    uint32_t bits = 0;
    for (int n = 3; n >= 0; --n) bits = 2 * bits + (words[n] >= threshold ? 1 : 0);
    return bits;
  }
};

/// The bits that dropout_bits() makes on the CPU.
struct DropoutBitsRow {
  uint8_t* bits;
  int64_t num_bytes;
  uint32_t threshold;
  uint64_t key;

  CPX_NO_EXEC_CHECK
  template <class Group>
  CPX_HOST_DEVICE void operator()(const Group& group, int64_t row) const {
    group.for_each(num_bytes, [&](int64_t i) {
      const auto block = 2 * static_cast<uint32_t>(i);
      const PhiloxWords low(block, static_cast<uint32_t>(row), key);
      const PhiloxWords high(block + 1, static_cast<uint32_t>(row), key);
      const uint32_t kept = 16 * high.bits_of_at_least(threshold) + low.bits_of_at_least(threshold);
      bits[row * num_bytes + i] = static_cast<uint8_t>(kept);
    });
  }
};

/// factor * x where the bits keep it, else 0: in the result's place, or added to it.
template <class T, int W>
struct KeepRow {
  const T* x;
  const uint8_t* bits;
  T* result;
  int64_t size;
  float factor;
  bool adds;

  CPX_NO_EXEC_CHECK
  template <class Group>
  CPX_HOST_DEVICE void operator()(const Group& group, int64_t row) const {
    const T* from = x + row * size;
    T* to = result + row * size;
    const uint8_t* row_bits = bits + row * ((size + 7) / 8);
    group.for_each(size / W, [&](int64_t i) {
      const auto values = pack_at<T, W>(from, i);
      Pack<T, W> results;
      if (adds) results = pack_at<T, W>(to, i);
      for (int n = 0; n < W; ++n) {
        const int64_t column = i * W + n;
        const bool is_kept = ((row_bits[column / 8] >> (column % 8)) & 1) != 0;
        const float kept = is_kept ? factor * static_cast<float>(values.numbers[n]) : 0.0F;
        const float before = adds ? static_cast<float>(results.numbers[n]) : 0.0F;
        results.numbers[n] = static_cast<T>(before + kept);
      }
      pack_at<T, W>(to, i) = results;
    });
  }
};

}  // namespace cpx::kernels
