// SPDX-License-Identifier: Apache-2.0
#include "grouped_codes.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "cpx/core/error.h"
#include "cpx/tensor/device.h"
#include "rounding.h"

namespace cpx::quant {

namespace {

// A thread computes such a tile with the outputs side by side, as they are stored, and writes it
// with the inputs side by side: 32 KiB of float32.
constexpr int64_t kTileInputs = 128;
constexpr int64_t kTileOutputs = 64;

std::string type_and_shape(torch::Dtype dtype, at::IntArrayRef shape) {
  return fmt::format("{} {}", tensor::dtype_name(dtype), tensor::shape_text(shape));
}

class TileWriter {
 public:
  TileWriter(const GroupedCodes& codes, const torch::Tensor& scales)
      : codes_(codes),
        zeros_(codes.zeros.const_data_ptr<float>()),
        scales_(scales.const_data_ptr<float>()),
        rounded_(codes.scales.scalar_type()),
        tile_(static_cast<size_t>(kTileInputs * kTileOutputs)) {}

  // Rows `first` .. of all inputs, at most kTileOutputs of them, to the weight at `out`.
  template <class T>
  void write_rows(int64_t first, T* out) {
    const int64_t num_inputs = codes_.sizes.inputs;
    const int64_t num_outputs = std::min(kTileOutputs, codes_.sizes.outputs - first);
    for (int64_t input = 0; input < num_inputs; input += kTileInputs) {
      const int64_t count = std::min(kTileInputs, num_inputs - input);
      for (int64_t i = 0; i < count; ++i) {
        compute(input + i, first,
                std::span(tile_.data() + i * kTileOutputs, static_cast<size_t>(num_outputs)));
      }
      for (int64_t row = 0; row < num_outputs; ++row) {
        convert(column(row, count), out + (first + row) * num_inputs + input);
      }
    }
  }

 private:
  // The weights of one input, outputs side by side.
  void compute(int64_t input, int64_t first, std::span<float> values) const {
    const int64_t begin =
        codes_.group_of_input[static_cast<size_t>(input)] * codes_.sizes.outputs + first;
    codes_.read(input, first, values);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = (values[i] - zeros_[begin + static_cast<int64_t>(i)]) *
                  scales_[begin + static_cast<int64_t>(i)];
    }
    round_to(rounded_, values);
  }

  std::span<const float> column(int64_t row, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      row_[static_cast<size_t>(i)] = tile_[static_cast<size_t>(i * kTileOutputs + row)];
    }
    return std::span(row_.data(), static_cast<size_t>(count));
  }

  const GroupedCodes& codes_;
  const float* zeros_;
  const float* scales_;
  torch::Dtype rounded_;
  std::vector<float> tile_;
  std::array<float, kTileInputs> row_ = {};
};

// No tensors inside: the threads do not share the caller's modes.
template <class T>
void write_all(const GroupedCodes& codes, T* out) {
  const auto scales = codes.scales.to(torch::kFloat32).contiguous();
  const int64_t num_tiles = (codes.sizes.outputs + kTileOutputs - 1) / kTileOutputs;
  at::parallel_for(0, num_tiles, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    TileWriter writer(codes, scales);
    for (int64_t tile = begin; tile < end; ++tile) writer.write_rows(tile * kTileOutputs, out);
  });
}

}  // namespace

void unpack_words(const WordLayout& layout, std::span<const int32_t> words, uint32_t added,
                  std::span<float> codes) {
  const auto per_word = static_cast<size_t>(layout.codes_in_a_word());
  const uint32_t mask = (1U << layout.bits) - 1;
  float* out = codes.data();
  for (const int32_t stored : words) {
    const uint32_t word = static_cast<uint32_t>(stored) + added;
    for (size_t i = 0; i < per_word; ++i) {
      out[i] = static_cast<float>(static_cast<int32_t>((word >> layout.shifts[i]) & mask));
    }
    out += per_word;
  }
}

void GroupedWeightCheck::fail(std::string_view part, std::string_view message) const {
  throw_<DataError>("[{}] {}: '{}.{}' {}", where_, weight_.file, weight_.layer, part, message);
}

void GroupedWeightCheck::shape(std::string_view part, const torch::Tensor& tensor,
                               torch::Dtype dtype, at::IntArrayRef expected,
                               const GroupedSizes& sizes) const {
  const std::string reason = fmt::format("{} ({} inputs in groups of {}, {} outputs, {} bits)",
                                         type_and_shape(dtype, expected), sizes.inputs,
                                         sizes.group_size, sizes.outputs, sizes.bits);
  if (!tensor.defined()) fail(part, fmt::format("is missing, expected {}.", reason));
  if (tensor.scalar_type() != dtype || tensor.sizes() != expected) {
    fail(part, fmt::format("is {}, expected {}.",
                           type_and_shape(tensor.scalar_type(), tensor.sizes()), reason));
  }
}

void GroupedWeightCheck::words(std::string_view form) const {
  const auto& words = weight_.qweight;
  if (!words.defined()) fail("qweight", fmt::format("is missing, expected int32 {}.", form));
  if (words.scalar_type() != torch::kInt32 || words.dim() != 2 || words.numel() == 0) {
    fail("qweight", fmt::format("is {}, expected int32 {}.",
                                type_and_shape(words.scalar_type(), words.sizes()), form));
  }
}

void GroupedWeightCheck::groups(const GroupedSizes& sizes) const {
  const int64_t per_word = 32 / sizes.bits;
  if (sizes.outputs % per_word != 0) {
    fail("qweight", fmt::format("has {} outputs, expected a multiple of {} ({} bits).",
                                sizes.outputs, per_word, sizes.bits));
  }
  const bool is_bfloat16 =
      weight_.scales.defined() && weight_.scales.scalar_type() == torch::kBFloat16;
  shape("scales", weight_.scales, is_bfloat16 ? torch::kBFloat16 : torch::kFloat16,
        {sizes.groups(), sizes.outputs}, sizes);
  shape("qzeros", weight_.qzeros, torch::kInt32, {sizes.groups(), sizes.outputs / per_word}, sizes);
}

void GroupedWeightCheck::input_groups(const GroupedSizes& sizes) const {
  shape("g_idx", weight_.g_idx, torch::kInt32, {sizes.inputs}, sizes);
}

std::vector<int32_t> groups_in_order(const GroupedSizes& sizes) {
  std::vector<int32_t> groups(static_cast<size_t>(sizes.inputs));
  for (int64_t i = 0; i < sizes.inputs; ++i) {
    groups[static_cast<size_t>(i)] = static_cast<int32_t>(i / sizes.group_size);
  }
  return groups;
}

torch::Tensor unpack_zeros(const torch::Tensor& qzeros, const WordLayout& layout, uint32_t added) {
  const auto words = qzeros.contiguous();
  auto zeros =
      at::empty({words.size(0), words.size(1) * layout.codes_in_a_word()}, torch::kFloat32);
  unpack_words(layout, {words.const_data_ptr<int32_t>(), static_cast<size_t>(words.numel())}, added,
               {zeros.data_ptr<float>(), static_cast<size_t>(zeros.numel())});
  return zeros;
}

torch::Tensor dequantize_codes(const GroupedCodes& codes, torch::Dtype dtype) {
  CPX_CHECK(dtype == torch::kFloat32 || dtype == torch::kBFloat16 || dtype == torch::kFloat16,
            "[dequantize] got {}, expected float32, bfloat16 or float16.",
            tensor::dtype_name(dtype));
  auto weight = at::empty({codes.sizes.outputs, codes.sizes.inputs}, dtype);
  if (dtype == torch::kFloat32) {
    write_all(codes, weight.data_ptr<float>());
  } else if (dtype == torch::kBFloat16) {
    write_all(codes, weight.data_ptr<c10::BFloat16>());
  } else {
    write_all(codes, weight.data_ptr<c10::Half>());
  }
  return weight;
}

}  // namespace cpx::quant
