// SPDX-License-Identifier: Apache-2.0
// The plug-in: RowKernels on a GPU, a block of threads a row.
#include <algorithm>
#include <cuda_runtime_api.h>

#include "row_table.h"

namespace cpx::kernels {

namespace {

constexpr int kWarp = 32;
constexpr int kMaxThreads = 512;
constexpr int64_t kMaxBlocks = 1 << 20;
constexpr unsigned kAllLanes = 0xffffffffU;

__device__ float other_lane(float value, int offset) {
  return __shfl_xor_sync(kAllLanes, value, offset);
}

__device__ OnlineSum other_lane(OnlineSum value, int offset) {
  return {other_lane(value.highest, offset), other_lane(value.sum, offset)};
}

// The threads of a block; there are whole warps of them.
class BlockGroup {
 public:
  template <class Function>
  __device__ void for_each(int64_t count, const Function& function) const {
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) function(i);
  }

  template <class Value, class Add, class Merge>
  __device__ Value reduce(int64_t count, Value none, const Add& add, const Merge& merge) const {
    Value value = none;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) add(value, i);
    for (int offset = kWarp / 2; offset > 0; offset /= 2) {
      value = merge(value, other_lane(value, offset));
    }
    __shared__ Value of_warps[kMaxThreads / kWarp];
    __syncthreads();  // the values of the reduction before have been read
    if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = value;
    __syncthreads();
    value = of_warps[0];
    for (int warp = 1; warp < static_cast<int>(blockDim.x) / kWarp; ++warp) {
      value = merge(value, of_warps[warp]);
    }
    return value;
  }

  __device__ bool is_first() const { return threadIdx.x == 0; }
};

template <class Body>
__global__ void __launch_bounds__(kMaxThreads) rows_kernel(Body body, int64_t num_rows) {
  for (int64_t row = blockIdx.x; row < num_rows; row += gridDim.x) body(BlockGroup(), row);
}

struct CudaLauncher {
  template <class Body>
  static const char* run(const Body& body, int64_t num_rows, int64_t num_items, void* stream) {
    if (num_rows == 0 || num_items == 0) return nullptr;
    const int64_t warps =
        std::clamp<int64_t>((num_items + kWarp - 1) / kWarp, 1, kMaxThreads / kWarp);
    const auto blocks = static_cast<unsigned>(std::min(num_rows, kMaxBlocks));
    rows_kernel<<<blocks, static_cast<unsigned>(warps * kWarp), 0,
                  static_cast<cudaStream_t>(stream)>>>(body, num_rows);
    const cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
  }
};

}  // namespace

}  // namespace cpx::kernels

extern "C" const cpx::kernels::RowKernels* cpx_row_kernels() {
  return &cpx::kernels::RowTable<cpx::kernels::CudaLauncher>::kKernels;
}
