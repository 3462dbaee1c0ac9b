// SPDX-License-Identifier: Apache-2.0
#include "cpx/tensor/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include <c10/core/CachingDeviceAllocator.h>

namespace cpx::tensor {

namespace {

// Bytes of a "Key:  123 kB" line of a /proc file; 0 where there is none.
int64_t proc_kib(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    if (word != key) continue;
    int64_t kib = 0;
    file >> kib;
    return kib * 1024;
  }
  return 0;
}

int64_t read_number(const char* path, int64_t otherwise) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : otherwise;
}

at::DeviceAllocator& device_allocator(const torch::Device& device) {
  return *at::getDeviceAllocator(device.type());
}

}  // namespace

int64_t resident_bytes() { return proc_kib("/proc/self/status", "VmRSS:"); }

int64_t peak_memory_bytes(const torch::Device& device) {
  if (device.is_cpu()) return proc_kib("/proc/self/status", "VmHWM:");
  const auto stats = device_allocator(device).getDeviceStats(device.index());
  return stats.allocated_bytes[0].peak;
}

int64_t available_memory_bytes(const torch::Device& device) {
  if (!device.is_cpu()) {
    return static_cast<int64_t>(device_allocator(device).getMemoryInfo(device.index()).first);
  }
  const int64_t system = proc_kib("/proc/meminfo", "MemAvailable:");
  constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
  const int64_t limit = read_number("/sys/fs/cgroup/memory.max", kNoLimit);
  if (limit == kNoLimit) return system;
  return std::min(system, limit - read_number("/sys/fs/cgroup/memory.current", 0));
}

}  // namespace cpx::tensor
