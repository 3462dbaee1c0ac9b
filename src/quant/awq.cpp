// SPDX-License-Identifier: Apache-2.0
// Follows https://github.com/casper-hansen/AutoAWQ at 88e4c76b: awq/utils/packing_utils.py.
#include "cpx/quant/awq.h"

#include "cpx/core/error.h"
#include "grouped_codes.h"

namespace cpx::quant {

namespace {

constexpr const char* kAwqWhere = "awq";

// The codes of a word belong to its outputs 0, 2, 4, 6, 1, 3, 5, 7, the lowest first.
constexpr WordLayout kLayout = {.bits = 4, .shifts = {0, 16, 4, 20, 8, 24, 12, 28}};

GroupedSizes checked_sizes(const GroupedWeight& weight, const AwqFormat& format) {
  CPX_CHECK(format.bits == 4, "[{}] got {} bits, expected 4.", kAwqWhere, format.bits);
  CPX_CHECK(format.group_size > 0 || format.group_size == -1,
            "[{}] got groups of {}, expected more than 0, or -1.", kAwqWhere, format.group_size);
  const GroupedWeightCheck check(kAwqWhere, weight);
  check.words(fmt::format("[inputs, outputs * {} / 32]", format.bits));
  const int64_t inputs = weight.qweight.size(0);
  const GroupedSizes sizes = {.inputs = inputs,
                              .outputs = weight.qweight.size(1) * kLayout.codes_in_a_word(),
                              .group_size = format.group_size == -1 ? inputs : format.group_size,
                              .bits = format.bits};
  check.groups(sizes);
  return sizes;
}

}  // namespace

std::vector<int64_t> awq_shape(const GroupedWeight& weight, const AwqFormat& format) {
  const GroupedSizes sizes = checked_sizes(weight, format);
  return {sizes.outputs, sizes.inputs};
}

torch::Tensor dequantize_awq(const GroupedWeight& weight, const AwqFormat& format,
                             torch::Dtype dtype) {
  const GroupedSizes sizes = checked_sizes(weight, format);
  const auto words = weight.qweight.contiguous();
  const auto read = [&sizes, stored = words.const_data_ptr<int32_t>()](int64_t input, int64_t first,
                                                                       std::span<float> codes) {
    const auto per_word = static_cast<size_t>(kLayout.codes_in_a_word());
    const int32_t* row = stored + (input * sizes.outputs + first) / kLayout.codes_in_a_word();
    unpack_words(kLayout, {row, codes.size() / per_word}, /*added=*/0, codes);
  };
  return dequantize_codes({.sizes = sizes,
                           .zeros = unpack_zeros(weight.qzeros, kLayout, /*added=*/0),
                           .scales = weight.scales,
                           .group_of_input = groups_in_order(sizes),
                           .read = read},
                          dtype);
}

}  // namespace cpx::quant
