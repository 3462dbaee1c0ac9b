// SPDX-License-Identifier: Apache-2.0
// Which of the processor's wider units our loops may use. The floor is x86-64-v3 (AVX2).
#pragma once

namespace cpx::kernels {

/// True where the processor has the AVX-512 units of x86-64-v4, LibTorch may use them too
/// (ATEN_CPU_CAPABILITY=avx2 forbids it), and the build has bodies for them (CPX_AVX2_ONLY).
bool has_avx512();

/// True where it has AVX-512 with VNNI, the products of bytes.
bool has_avx512_vnni();

}  // namespace cpx::kernels
