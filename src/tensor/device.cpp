// SPDX-License-Identifier: Apache-2.0
#include "cpx/tensor/device.h"

#include <charconv>
#include <dlfcn.h>
#include <fstream>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"

namespace cpx::tensor {

namespace {

// Loads LibTorch's CUDA half; empty on success, else the reason.
// ATen caches its CUDA hooks at the first question, so this must come before any.
std::string load_cuda(bool is_required) {
  static bool was_tried = false;
  static std::string reason;
  if (was_tried) return reason;
  if (!is_required && dlopen("libcuda.so.1", RTLD_LAZY) == nullptr) {
    return "no NVIDIA driver (libcuda.so.1) was found";  // may still be asked for by name later
  }
  was_tried = true;
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    reason = dlerror();
  } else if (!at::hasCUDA()) {
    reason = "LibTorch's CUDA library found no usable GPU";
  }
  return reason;
}

torch::Device cuda_device(std::string_view name) {
  int index = 0;
  if (name != "cuda") {
    const std::string_view digits = name.substr(5);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error != std::errc() || end != digits.data() + digits.size() || index < 0 || index > 127) {
      throw_<ConfigError>("[device] unknown device: got '{}', expected auto, cpu, cuda or cuda:i.",
                          name);
    }
  }
  if (const std::string reason = load_cuda(/*is_required=*/true); !reason.empty()) {
    throw_<ConfigError>(
        "[device] CUDA cannot be used: {}. Run 'scripts/bootstrap.sh --cuda', or use --device cpu.",
        reason);
  }
  return {torch::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) {
      const auto colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "CPU";
}

}  // namespace

torch::Device resolve_device(std::string_view name) {
  if (name == "cpu") return torch::kCPU;
  if (name == "auto") {
    return load_cuda(/*is_required=*/false).empty() ? torch::Device(torch::kCUDA, 0)
                                                    : torch::Device(torch::kCPU);
  }
  if (name == "cuda" || name.starts_with("cuda:")) return cuda_device(name);
  throw_<ConfigError>("[device] unknown device: got '{}', expected auto, cpu, cuda or cuda:i.",
                      name);
}

std::string dtype_name(torch::Dtype dtype) {
  switch (dtype) {
    case torch::kFloat32:
      return "float32";
    case torch::kFloat64:
      return "float64";
    case torch::kFloat16:
      return "float16";
    case torch::kBFloat16:
      return "bfloat16";
    case torch::kInt64:
      return "int64";
    case torch::kInt32:
      return "int32";
    case torch::kInt16:
      return "int16";
    case torch::kInt8:
      return "int8";
    case torch::kUInt8:
      return "uint8";
    default:
      return c10::toString(dtype);
  }
}

std::optional<torch::Dtype> parse_compute_dtype(std::string_view name) {
  if (name == "auto") return std::nullopt;
  if (name == "float32") return torch::kFloat32;
  if (name == "bfloat16") return torch::kBFloat16;
  if (name == "float16") return torch::kFloat16;
  throw_<ConfigError>(
      "[dtype] unknown compute type: got '{}', expected auto, float32, bfloat16 or float16.", name);
}

std::string shape_text(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

void set_num_threads(int num_threads) {
  if (num_threads > 0) at::set_num_threads(num_threads);
}

std::string device_description(const torch::Device& device) {
  if (device.is_cuda()) return fmt::format("GPU {}", device.str());
  return fmt::format("{} ({} threads)", cpu_name(), at::get_num_threads());
}

}  // namespace cpx::tensor
