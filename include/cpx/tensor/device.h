// SPDX-License-Identifier: Apache-2.0
// Devices and compute types. One binary serves CPU and GPU: LibTorch's CUDA library is loaded at
// run time if there is a driver.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <torch/types.h>

namespace cpx::tensor {

/// The device of "auto", "cpu", "cuda" or "cuda:i". "auto" is the first GPU if CUDA works,
/// otherwise the CPU. Throws ConfigError for another word, and if CUDA is requested and does not
/// work (the message says why). The first call decides whether CUDA is loaded: call it before any
/// other question about CUDA.
torch::Device resolve_device(std::string_view name);

/// "float32", "bfloat16", "float16" and so on.
std::string dtype_name(torch::Dtype dtype);

/// The compute type of that name; nullopt for "auto". Throws ConfigError for another word.
std::optional<torch::Dtype> parse_compute_dtype(std::string_view name);

/// "[3, 4]" for a shape.
std::string shape_text(at::IntArrayRef shape);

/// Sets the number of threads of LibTorch's operators (0: keep the default).
void set_num_threads(int num_threads);

/// Name of the processor or GPU, for reports, for example "AMD EPYC (2 threads)".
std::string device_description(const torch::Device& device);

}  // namespace cpx::tensor
