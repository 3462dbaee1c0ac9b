// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/adamw_8bit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

namespace cpx::training {

namespace {

// A code has so many decimal exponents; each one more has twice the fractions.
constexpr int kNumExponents = 7;

// Point `i` of `count` from 0.1 to 1 in equal steps, rounded as torch.linspace rounds it: from the
// nearer end, one rounding a point.
float decade_point(int64_t i, int64_t count) {
  constexpr float kFirst = 0.1F;
  constexpr float kLast = 1.0F;
  const float step = (kLast - kFirst) / static_cast<float>(count - 1);
  return i < count / 2 ? std::fma(step, static_cast<float>(i), kFirst)
                       : std::fma(-step, static_cast<float>(count - 1 - i), kLast);
}

// The positive values but 1: of each exponent the middles of equal parts of its decade.
std::vector<float> positive_values(int64_t parts_of_the_first) {
  std::vector<float> values;
  for (int exponent = 0; exponent < kNumExponents; ++exponent) {
    const auto decade = static_cast<float>(std::pow(10.0, exponent - (kNumExponents - 1)));
    const int64_t parts = parts_of_the_first << exponent;
    for (int64_t i = 0; i < parts; ++i) {
      values.push_back(decade *
                       ((decade_point(i, parts + 1) + decade_point(i + 1, parts + 1)) / 2));
    }
  }
  return values;
}

torch::Tensor on(const torch::Device& device, const std::vector<float>& numbers) {
  return at::tensor(numbers, at::kFloat).to(device);
}

CodeMap code_map(std::vector<float> values, const torch::Device& device) {
  constexpr float kBelow = -std::numeric_limits<float>::infinity();
  std::ranges::sort(values);
  std::vector<float> boundaries;
  for (size_t code = 0; code + 1 < values.size(); ++code) {
    const bool is_left_of_zero = values[code] < 0.0F && values[code + 1] == 0.0F;
    const float middle = is_left_of_zero ? 0.0F : (values[code] + values[code + 1]) * 0.5F;
    // A number on the boundary has the lower code; there it is to have the upper one.
    const bool belongs_to_upper = is_left_of_zero || code % 2 == 1;
    boundaries.push_back(belongs_to_upper ? std::nextafter(middle, kBelow) : middle);
  }
  return {.values = on(device, values), .boundaries = on(device, boundaries)};
}

// [blocks, kStateBlock], the last block filled up with zeros.
torch::Tensor in_blocks(const torch::Tensor& values) {
  const auto flat = values.flatten();
  const int64_t rest = flat.numel() % kStateBlock;
  const auto whole = rest == 0 ? flat : at::constant_pad_nd(flat, {0, kStateBlock - rest}, 0);
  return whole.view({-1, kStateBlock});
}

// Undoes in_blocks().
torch::Tensor out_of_blocks(const torch::Tensor& blocks, const torch::Tensor& like) {
  return blocks.flatten().narrow(0, 0, like.numel()).view(like.sizes());
}

}  // namespace

CodeMap signed_code_map(const torch::Device& device) {
  std::vector<float> values = positive_values(/*parts_of_the_first=*/1);
  for (size_t i = 0, count = values.size(); i < count; ++i) values.push_back(-values[i]);
  values.insert(values.end(), {0.0F, 1.0F});
  return code_map(std::move(values), device);
}

CodeMap unsigned_code_map(const torch::Device& device) {
  std::vector<float> values = positive_values(/*parts_of_the_first=*/2);
  values.insert(values.end(), {0.0F, 1.0F});
  return code_map(std::move(values), device);
}

BlockwiseTensor quantize_blockwise(const torch::Tensor& values, const CodeMap& map) {
  const auto blocks = in_blocks(values);
  const auto absmax = blocks.abs().amax(1);
  const auto divisors = at::where(absmax > 0, absmax, at::ones_like(absmax));
  const auto codes =
      at::bucketize(blocks / divisors.unsqueeze(1), map.boundaries, /*out_int32=*/true);
  return {.codes = out_of_blocks(codes.to(at::kByte), values), .absmax = absmax};
}

torch::Tensor dequantize_blockwise(const BlockwiseTensor& stored, const CodeMap& map) {
  const auto scaled = map.values.index_select(0, stored.codes.flatten().to(at::kInt));
  return out_of_blocks(in_blocks(scaled) * stored.absmax.unsqueeze(1), stored.codes);
}

}  // namespace cpx::training
