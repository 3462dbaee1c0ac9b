// SPDX-License-Identifier: Apache-2.0
// Follows https://github.com/ModelCloud/GPTQModel at f4c327a1: dequantize_weight() in
// gptqmodel/nn_modules/qlinear/__init__.py, and for version 1 convert_gptq_v1_to_v2_format_module()
// in gptqmodel/utils/model.py.
#include "cpx/quant/gptq.h"

#include "cpx/core/error.h"
#include "grouped_codes.h"

namespace cpx::quant {

namespace {

constexpr const char* kGptqWhere = "gptq";

WordLayout layout_of(int64_t bits) {
  if (bits == 4) return {.bits = 4, .shifts = {0, 4, 8, 12, 16, 20, 24, 28}};
  return {.bits = 8, .shifts = {0, 8, 16, 24}};
}

// What turns the zeros of version 1 into zeros: one at each code, added to the whole word. A stored
// zero at its top becomes 0 and carries into the next code, as the writer borrowed from that when
// it took one off a word.
uint32_t ones_of(int64_t bits) { return bits == 4 ? 0x11111111U : 0x01010101U; }

GroupedSizes checked_sizes(const GroupedWeight& weight, const GptqFormat& format) {
  CPX_CHECK(format.bits == 4 || format.bits == 8, "[{}] got {} bits, expected 4 or 8.", kGptqWhere,
            format.bits);
  CPX_CHECK(format.group_size > 0 || format.group_size == -1,
            "[{}] got groups of {}, expected more than 0, or -1.", kGptqWhere, format.group_size);
  const GroupedWeightCheck check(kGptqWhere, weight);
  check.words(fmt::format("[inputs * {} / 32, outputs]", format.bits));
  const int64_t inputs = weight.qweight.size(0) * (32 / format.bits);
  const GroupedSizes sizes = {.inputs = inputs,
                              .outputs = weight.qweight.size(1),
                              .group_size = format.group_size == -1 ? inputs : format.group_size,
                              .bits = format.bits};
  if (weight.g_idx.defined() || format.has_inputs_reordered) check.input_groups(sizes);
  check.groups(sizes);
  return sizes;
}

std::vector<int32_t> groups_of(const GroupedWeight& weight, const GroupedSizes& sizes) {
  if (!weight.g_idx.defined()) return groups_in_order(sizes);
  const auto stored = weight.g_idx.contiguous();
  const auto* first = stored.const_data_ptr<int32_t>();
  std::vector<int32_t> groups(first, first + stored.numel());
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] < 0 || groups[i] >= sizes.groups()) {
      GroupedWeightCheck(kGptqWhere, weight)
          .fail("g_idx",
                fmt::format("has {} at {}, expected 0 to {}.", groups[i], i, sizes.groups() - 1));
    }
  }
  return groups;
}

}  // namespace

std::vector<int64_t> gptq_shape(const GroupedWeight& weight, const GptqFormat& format) {
  const GroupedSizes sizes = checked_sizes(weight, format);
  return {sizes.outputs, sizes.inputs};
}

torch::Tensor dequantize_gptq(const GroupedWeight& weight, const GptqFormat& format,
                              torch::Dtype dtype) {
  const GroupedSizes sizes = checked_sizes(weight, format);
  const auto words = weight.qweight.contiguous();
  const uint32_t added = format.has_zeros_less_one ? ones_of(format.bits) : 0;
  const auto read = [&sizes, stored = words.const_data_ptr<int32_t>()](int64_t input, int64_t first,
                                                                       std::span<float> codes) {
    const int64_t per_word = 32 / sizes.bits;
    const int32_t* row = stored + input / per_word * sizes.outputs + first;
    const auto shift = static_cast<uint32_t>(input % per_word * sizes.bits);
    const uint32_t mask = (1U << sizes.bits) - 1;
    for (size_t i = 0; i < codes.size(); ++i) {
      const uint32_t code = (static_cast<uint32_t>(row[i]) >> shift) & mask;
      codes[i] = static_cast<float>(static_cast<int32_t>(code));
    }
  };
  return dequantize_codes({.sizes = sizes,
                           .zeros = unpack_zeros(weight.qzeros, layout_of(format.bits), added),
                           .scales = weight.scales,
                           .group_of_input = groups_of(weight, sizes),
                           .read = read},
                          dtype);
}

}  // namespace cpx::quant
