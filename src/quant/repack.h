// SPDX-License-Identifier: Apache-2.0
// Blocks of one type as blocks of another with the same codes: nothing is quantised a second time.
#pragma once

#include <cstddef>
#include <span>

#include "cpx/tensor/storage_type.h"

namespace cpx::quant {

/// True where blocks of `from` have a form in `to` with the same codes: Q4_K as Q4_1 and IQ4_XS as
/// Q8_0, whose scales and minima are rounded to float16 (one part in 2048), and, exactly, Q3_K,
/// Q5_0 and IQ4_NL as Q8_0.
bool can_repack(tensor::StorageType from, tensor::StorageType to);

/// Writes `blocks` of `from` to `out` as blocks of `to`, whose size must be that of as many
/// numbers; for types that can_repack() names. Throws std::invalid_argument where a scale or a
/// minimum is not finite in float16. Runs in the calling thread.
void repack_blocks(tensor::StorageType from, tensor::StorageType to,
                   std::span<const std::byte> blocks, std::span<std::byte> out);

}  // namespace cpx::quant
