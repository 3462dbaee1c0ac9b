// SPDX-License-Identifier: Apache-2.0
// That the plug-in loads and is of this version; its kernels need a GPU.
#include <dlfcn.h>

#include <gtest/gtest.h>

#include "src/kernels/cuda/row_kernels.h"

namespace cpx::kernels {
namespace cuda_plugin_test {

TEST(CudaPlugin, OffersTheKernelsOfThisVersion) {
  void* library = dlopen(CPX_BINARY_DIR "/lib/libcpx_cuda_kernels.so", RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  using Function = const RowKernels* (*)();
  const auto function = reinterpret_cast<Function>(dlsym(library, kRowPluginFunction));
  ASSERT_NE(function, nullptr) << dlerror();
  EXPECT_EQ(function()->version, RowKernels::kVersion);
  EXPECT_NE(function()->keep, nullptr) << "the last of the table";
}

TEST(CudaPlugin, WithoutAGpuAKernelSaysSo) {
  void* library = dlopen(CPX_BINARY_DIR "/lib/libcpx_cuda_kernels.so", RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  if (dlopen("libcuda.so.1", RTLD_LAZY) != nullptr) GTEST_SKIP() << "there is a driver";
  using Function = const RowKernels* (*)();
  const auto function = reinterpret_cast<Function>(dlsym(library, kRowPluginFunction));
  uint8_t bits = 0;
  const DropoutBitsRows rows{
      .num_rows = 1, .num_bytes = 1, .threshold = 0, .key = 0, .bits = &bits};
  EXPECT_NE(function()->dropout_bits(rows, nullptr), nullptr);
}

}  // namespace cuda_plugin_test
}  // namespace cpx::kernels
