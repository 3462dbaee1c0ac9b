// SPDX-License-Identifier: Apache-2.0
#include "cpu_units.h"

#include <ATen/Version.h>

namespace cpx::kernels {

bool has_avx512() {
#if defined(CPX_AVX2_ONLY)
  return false;
#else
  static const bool is_there =
      __builtin_cpu_supports("x86-64-v4") && at::get_cpu_capability() == "AVX512";
  return is_there;
#endif
}

bool has_avx512_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

}  // namespace cpx::kernels
