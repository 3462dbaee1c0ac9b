// SPDX-License-Identifier: Apache-2.0
// Compiled with -ffp-contract=fast: a product and a sum are one fused operation here.
#include "cpx/kernels/row_product.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "cpu_units.h"
#include "cpx/core/error.h"
#include "cpx/tensor/device.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;

// Bytes of weights that are worth a thread.
constexpr int64_t kGrainBytes = int64_t{64} << 10;

struct EightFloats {
  using Vec [[gnu::vector_size(32)]] = float;
  using VecAt [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
  using Words [[gnu::vector_size(32)]] = uint32_t;
  using HalvesAt [[gnu::vector_size(16), gnu::aligned(2), gnu::may_alias]] = uint16_t;
  static constexpr int kRows = 3;  // of a register tile: with 4 outputs 12 of 16 registers
};
struct SixteenFloats {
  using Vec [[gnu::vector_size(64)]] = float;
  using VecAt [[gnu::vector_size(64), gnu::aligned(4), gnu::may_alias]] = float;
  using Words [[gnu::vector_size(64)]] = uint32_t;
  using HalvesAt [[gnu::vector_size(32), gnu::aligned(2), gnu::may_alias]] = uint16_t;
  static constexpr int kRows = 6;  // 24 of 32 registers
};

constexpr int kOutputs = 4;
constexpr int64_t kSequentialRows = 2;

// Of rows that are multiplied before the next ones: half of a common L2 cache, and enough of them
// that reading the weights again costs little.
constexpr int64_t kBlockBytes = int64_t{256} << 10;
constexpr int64_t kMinBlockRows = 48;

template <class Floats>
constexpr int64_t kLanes = static_cast<int64_t>(sizeof(typename Floats::Vec) / sizeof(float));

template <class Floats>
[[gnu::always_inline]] inline typename Floats::Vec load(const float* numbers) {
  return *reinterpret_cast<const typename Floats::VecAt*>(numbers);
}

// bfloat16 in float32.
template <class Floats>
[[gnu::always_inline]] inline typename Floats::Vec load(const uint16_t* numbers) {
  const auto halves = *reinterpret_cast<const typename Floats::HalvesAt*>(numbers);
  const auto words = __builtin_convertvector(halves, typename Floats::Words) << 16;
  typename Floats::Vec wide;
  std::memcpy(&wide, &words, sizeof(wide));
  return wide;
}

// The first `count` numbers, and zeros.
template <class Floats, class Number>
[[gnu::always_inline]] inline typename Floats::Vec load_some(const Number* numbers, int64_t count) {
  Number padded[kLanes<Floats>] = {};
  std::memcpy(padded, numbers, static_cast<size_t>(count) * sizeof(Number));
  return load<Floats>(padded);
}

using Four [[gnu::vector_size(16)]] = float;
using FourAt [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;

// A vector's quarters, added lane by lane.
[[gnu::always_inline]] inline Four folded(const EightFloats::Vec& vector) {
  return __builtin_shufflevector(vector, vector, 0, 1, 2, 3) +
         __builtin_shufflevector(vector, vector, 4, 5, 6, 7);
}
[[gnu::always_inline]] inline Four folded(const SixteenFloats::Vec& vector) {
  const EightFloats::Vec half =
      __builtin_shufflevector(vector, vector, 0, 1, 2, 3, 4, 5, 6, 7) +
      __builtin_shufflevector(vector, vector, 8, 9, 10, 11, 12, 13, 14, 15);
  return folded(half);
}

// Of a vector's folded lanes: (0 + 1) + (2 + 3), as sums_of() has it.
[[gnu::always_inline]] inline float sum_of(const Four& lanes) {
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

// The sums of four vectors' folded lanes.
[[gnu::always_inline]] inline Four sums_of(const Four& a, const Four& b, const Four& c,
                                           const Four& d) {
  const Four ab =
      __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
  const Four cd =
      __builtin_shufflevector(c, d, 0, 4, 2, 6) + __builtin_shufflevector(c, d, 1, 5, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

template <class Number>
struct Product {
  const float* x;        // [N, I]
  const Number* weight;  // [O, I]
  float* y;              // [N, O]
  int64_t inputs;
  int64_t outputs;
  int64_t rows;
};

// Weights that are needed next, which a tile brings nearer while it computes.
template <class Number>
struct Ahead {
  const Number* weight = nullptr;
  int64_t stride = 0;     // between two numbers to bring, in numbers
  int64_t num_lines = 0;  // a step over the inputs
};

// Rows [row, row + num_rows) by outputs [output, output + num_outputs), all in registers. Each sum
// runs over the inputs in the same order, whatever the tile.
template <class Floats, int num_rows, int num_outputs, class Number>
[[gnu::always_inline]] inline void multiply_tile(const Product<Number>& own, int64_t row,
                                                 int64_t output, const Ahead<Number>& ahead) {
  using Vec = typename Floats::Vec;
  Vec sums[num_rows][num_outputs] = {};
  const float* x = own.x + row * own.inputs;
  const Number* weight = own.weight + output * own.inputs;
  const auto add = [&](const auto& load_x, const auto& load_weight) [[gnu::always_inline]] {
    Vec inputs[num_rows];
#pragma GCC unroll 8
    for (int r = 0; r < num_rows; ++r) inputs[r] = load_x(r);
#pragma GCC unroll 8
    for (int o = 0; o < num_outputs; ++o) {
      const Vec weights = load_weight(o);
#pragma GCC unroll 8
      for (int r = 0; r < num_rows; ++r) sums[r][o] += inputs[r] * weights;
    }
  };
  int64_t i = 0;
  for (; i + kLanes<Floats> <= own.inputs; i += kLanes<Floats>) {
    for (int64_t line = 0; line < ahead.num_lines; ++line) {
      __builtin_prefetch(ahead.weight + line * ahead.stride + i);
    }
    add([&](int r) { return load<Floats>(x + r * own.inputs + i); },
        [&](int o) { return load<Floats>(weight + o * own.inputs + i); });
  }
  if (const int64_t rest = own.inputs - i; rest > 0) {
    add([&](int r) { return load_some<Floats>(x + r * own.inputs + i, rest); },
        [&](int o) { return load_some<Floats>(weight + o * own.inputs + i, rest); });
  }
#pragma GCC unroll 8
  for (int r = 0; r < num_rows; ++r) {
    float* y = own.y + (row + r) * own.outputs + output;
    if constexpr (num_outputs == kOutputs) {
      *reinterpret_cast<FourAt*>(y) =
          sums_of(folded(sums[r][0]), folded(sums[r][1]), folded(sums[r][2]), folded(sums[r][3]));
    } else {
      y[0] = sum_of(folded(sums[r][0]));
    }
  }
}

// All rows in tiles of about the same height. Each tile brings a part of the next weights, so that
// memory works while the tiles of many rows compute.
template <class Floats, int num_outputs, class Number>
[[gnu::always_inline]] inline void multiply_rows(const Product<Number>& own, int64_t output) {
  const int64_t tiles = (own.rows + Floats::kRows - 1) / Floats::kRows;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t row = own.rows * tile / tiles;
    const Ahead<Number> ahead{.weight = own.weight + (output + num_outputs + tile) * own.inputs,
                              .stride = tiles * own.inputs,
                              .num_lines = (num_outputs - tile + tiles - 1) / tiles};
    switch (own.rows * (tile + 1) / tiles - row) {
      case 6:
        multiply_tile<Floats, 6, num_outputs>(own, row, output, ahead);
        break;
      case 5:
        multiply_tile<Floats, 5, num_outputs>(own, row, output, ahead);
        break;
      case 4:
        multiply_tile<Floats, 4, num_outputs>(own, row, output, ahead);
        break;
      case 3:
        multiply_tile<Floats, 3, num_outputs>(own, row, output, ahead);
        break;
      case 2:
        multiply_tile<Floats, 2, num_outputs>(own, row, output, ahead);
        break;
      default:
        multiply_tile<Floats, 1, num_outputs>(own, row, output, ahead);
    }
  }
}

// Outputs [begin, end) of all rows; what they weigh is read once.
template <class Floats, class Number>
[[gnu::always_inline]] inline void multiply_block(const Product<Number>& own, int64_t begin,
                                                  int64_t end) {
  int64_t output = begin;
  // Few rows wait for memory, which is fastest read in one sequence.
  if (own.rows > kSequentialRows) {
    for (; output + kOutputs <= end; output += kOutputs) {
      multiply_rows<Floats, kOutputs>(own, output);
    }
  }
  for (; output < end; ++output) multiply_rows<Floats, 1>(own, output);
}

// Many rows go in blocks that stay in the cache while the weights pass by.
template <class Floats, class Number>
[[gnu::always_inline]] inline void multiply(const Product<Number>& own, int64_t begin,
                                            int64_t end) {
  const int64_t fit = kBlockBytes / (own.inputs * static_cast<int64_t>(sizeof(float)));
  const int64_t blocks = own.rows / std::max(kMinBlockRows, fit) + 1;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t row = own.rows * block / blocks;
    Product<Number> part = own;
    part.rows = own.rows * (block + 1) / blocks - row;
    part.x += row * own.inputs;
    part.y += row * own.outputs;
    multiply_block<Floats>(part, begin, end);
  }
}

template <class Number>
void multiply_avx2(const Product<Number>& own, int64_t begin, int64_t end) {
  multiply<EightFloats>(own, begin, end);
}

template <class Number>
__attribute__((target("arch=x86-64-v4"))) void multiply_avx512(const Product<Number>& own,
                                                               int64_t begin, int64_t end) {
  multiply<SixteenFloats>(own, begin, end);
}

// Tiles of kOutputs outputs.
template <class Number>
int64_t num_tiles(const Product<Number>& own) {
  return (own.outputs + kOutputs - 1) / kOutputs;
}

// All products, of the same inputs, in one go: threads wait for each other once.
template <class Number>
void multiply_in_parallel(const std::vector<Product<Number>>& products) {
  const auto chosen = has_avx512() ? multiply_avx512<Number> : multiply_avx2<Number>;
  std::vector<int64_t> first_tiles = {0};  // of each product, and the number of all
  for (const Product<Number>& own : products) {
    first_tiles.push_back(first_tiles.back() + num_tiles(own));
  }
  const int64_t tile_bytes =
      products.front().inputs * kOutputs * static_cast<int64_t>(sizeof(Number));
  const int64_t grain = std::max<int64_t>(1, kGrainBytes / tile_bytes);
  at::parallel_for(0, first_tiles.back(), grain, [&](int64_t begin, int64_t end) {
    for (size_t i = 0; i < products.size(); ++i) {
      const Product<Number>& own = products[i];
      const int64_t first = std::max(begin, first_tiles[i]) - first_tiles[i];
      const int64_t last = std::min(end, first_tiles[i + 1]) - first_tiles[i];
      if (first < last) chosen(own, first * kOutputs, std::min(last * kOutputs, own.outputs));
    }
  });
}

const float* numbers_of(const Tensor& weight, float /*type*/) {
  return weight.const_data_ptr<float>();
}
const uint16_t* numbers_of(const Tensor& weight, uint16_t /*type*/) {
  return reinterpret_cast<const uint16_t*>(weight.const_data_ptr<at::BFloat16>());
}

// Weights of one type.
template <class Number>
std::vector<Tensor> multiplied(const Tensor& x, const std::vector<Tensor>& weights) {
  std::vector<Tensor> results;
  std::vector<Product<Number>> products;
  for (const Tensor& weight : weights) {
    results.push_back(at::empty({x.size(0), weight.size(0)}, x.options()));
    products.push_back({.x = x.const_data_ptr<float>(),
                        .weight = numbers_of(weight, Number()),
                        .y = results.back().template mutable_data_ptr<float>(),
                        .inputs = x.size(1),
                        .outputs = weight.size(0),
                        .rows = x.size(0)});
  }
  multiply_in_parallel(products);
  return results;
}

void check_product(const Tensor& x, const Tensor& weight) {
  CPX_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1),
            "[row_product] shapes do not fit: got x {} and weight {}, expected [N, I] and [O, I].",
            tensor::shape_text(x.sizes()), tensor::shape_text(weight.sizes()));
  CPX_CHECK(x.scalar_type() == at::kFloat && has_row_product(weight),
            "[row_product] types do not fit: got x {} and weight {}, expected float32 and float32 "
            "or bfloat16 on the CPU.",
            tensor::dtype_name(x.scalar_type()), tensor::dtype_name(weight.scalar_type()));
}

}  // namespace

bool has_row_product(const Tensor& weight) {
  const auto type = weight.scalar_type();
  return weight.is_cpu() && weight.is_contiguous() && (type == at::kFloat || type == at::kBFloat16);
}

std::vector<Tensor> row_products(const Tensor& x, const std::vector<Tensor>& weights) {
  for (const Tensor& weight : weights) check_product(x, weight);
  const auto rows = x.contiguous();
  const auto is = [&](torch::Dtype dtype) {
    return std::ranges::all_of(
        weights, [dtype](const Tensor& weight) { return weight.scalar_type() == dtype; });
  };
  if (is(at::kFloat)) return multiplied<float>(rows, weights);
  if (is(at::kBFloat16)) return multiplied<uint16_t>(rows, weights);
  std::vector<Tensor> results;
  for (const Tensor& weight : weights) results.push_back(row_product(rows, weight));
  return results;
}

Tensor row_product(const Tensor& x, const Tensor& weight) {
  return row_products(x, {weight}).front();
}

}  // namespace cpx::kernels
