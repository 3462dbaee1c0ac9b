// SPDX-License-Identifier: Apache-2.0
// What GPTQ and AWQ have in common: the checks of the stored tensors, and the way from codes to a
// dense weight. Legend as in grouped_weight.h.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "cpx/quant/grouped_weight.h"

namespace cpx::quant {

/// How the codes of neighbouring outputs lie in a word: code i begins at bit `shifts[i]`.
struct WordLayout {
  int64_t bits = 4;
  std::array<int, 8> shifts = {};  // the first 32 / bits of them

  int64_t codes_in_a_word() const { return 32 / bits; }
};

/// Writes the codes of a row of `words` to `codes`, 32 / bits a word; `added` is added to each word
/// first, as a number of 32 bits.
void unpack_words(const WordLayout& layout, std::span<const int32_t> words, uint32_t added,
                  std::span<float> codes);

/// A layer's sizes.
struct GroupedSizes {
  int64_t inputs = 0;
  int64_t outputs = 0;
  int64_t group_size = 0;  // inputs; never -1
  int64_t bits = 0;

  int64_t groups() const { return (inputs - 1) / group_size + 1; }
};

/// Checks one kind of layer; `where` opens its messages.
class GroupedWeightCheck {
 public:
  GroupedWeightCheck(std::string_view where, const GroupedWeight& weight)
      : where_(where), weight_(weight) {}

  /// That qweight is a matrix of words; `form` is its shape in words.
  void words(std::string_view form) const;
  /// That qzeros and scales fit `sizes`.
  void groups(const GroupedSizes& sizes) const;
  /// That g_idx fits `sizes`, where it is there.
  void input_groups(const GroupedSizes& sizes) const;
  /// Throws DataError: "[where] file: 'layer.part' MESSAGE".
  [[noreturn]] void fail(std::string_view part, std::string_view message) const;

 private:
  void shape(std::string_view part, const torch::Tensor& tensor, torch::Dtype dtype,
             at::IntArrayRef expected, const GroupedSizes& sizes) const;

  std::string_view where_;
  const GroupedWeight& weight_;
};

/// A layer that was checked, on its way to a dense weight.
struct GroupedCodes {
  GroupedSizes sizes;
  torch::Tensor zeros;                  // float32 [G, O]
  torch::Tensor scales;                 // as stored, [G, O]
  std::vector<int32_t> group_of_input;  // [I]
  /// Writes the codes of an input's outputs from `first` on, as many as `codes` has room for; for
  /// several threads at once. `first` is a multiple of 64.
  std::function<void(int64_t input, int64_t first, std::span<float> codes)> read;
};

/// Groups that are runs of inputs.
std::vector<int32_t> groups_in_order(const GroupedSizes& sizes);

/// The zeros of `qzeros` [G, O * bits / 32] as float32 [G, O], `added` as in unpack_words().
torch::Tensor unpack_zeros(const torch::Tensor& qzeros, const WordLayout& layout, uint32_t added);

/// scale * (code - zero) [O, I], rounded to the type of the scales, then to `dtype`.
torch::Tensor dequantize_codes(const GroupedCodes& codes, torch::Dtype dtype);

}  // namespace cpx::quant
