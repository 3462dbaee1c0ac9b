// SPDX-License-Identifier: Apache-2.0
#include "row_plugin.h"

#include <dlfcn.h>
#include <stdexcept>
#include <string_view>

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "cpx/core/error.h"
#include "cpx/core/log.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;

thread_local const RowKernels* kernels_on_cpu = nullptr;

const RowKernels* load_plugin() {
  void* library = dlopen(kRowPluginFile, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    log_info(
        "[kernels] {} was not found: LibTorch's operators compute norms, rotations and losses on "
        "the GPU. Build the preset cuda for cpx's own kernels.",
        kRowPluginFile);
    return nullptr;
  }
  using Function = const RowKernels* (*)();
  const auto function = reinterpret_cast<Function>(dlsym(library, kRowPluginFunction));
  const RowKernels* kernels = function == nullptr ? nullptr : function();
  if (kernels == nullptr || kernels->version != RowKernels::kVersion) {
    log_warning(
        "[kernels] {} is of another version: got {}, expected {}. It is not used; build the "
        "preset cuda again.",
        kRowPluginFile, kernels == nullptr ? 0 : kernels->version, RowKernels::kVersion);
    return nullptr;
  }
  return kernels;
}

const RowKernels* kernels_for(const torch::Device& device) {
  if (device.is_cpu()) return kernels_on_cpu;
  if (!device.is_cuda()) return nullptr;
  static const RowKernels* const of_plugin = load_plugin();
  return of_plugin;
}

NumberType number_type(const Tensor& x) {
  switch (x.scalar_type()) {
    case at::kBFloat16:
      return NumberType::kBfloat16;
    case at::kHalf:
      return NumberType::kFloat16;
    default:
      return NumberType::kFloat32;
  }
}

// Starts `kernel` of RowKernels on the device of `x` and its current stream.
template <class Rows>
void start(const Tensor& x, const char* (*RowKernels::*kernel)(const Rows&, void*),
           const Rows& rows) {
  const c10::OptionalDeviceGuard guard(x.device());
  void* stream = nullptr;
  if (!x.is_cpu()) {
    const c10::impl::VirtualGuardImpl device(x.device().type());
    stream = device.getStream(x.device()).native_handle();
  }
  const char* error = (kernels_for(x.device())->*kernel)(rows, stream);
  if (error != nullptr) {
    throw_<std::runtime_error>("[kernels] a kernel could not be started on {}: {}.",
                               x.device().str(), error);
  }
}

const void* address(const Tensor& x) { return x.const_data_ptr(); }
const float* floats(const Tensor& x) { return x.const_data_ptr<float>(); }

}  // namespace

bool has_row_kernels(const Tensor& x) {
  const auto type = x.scalar_type();
  if (type != at::kFloat && type != at::kBFloat16 && type != at::kHalf) return false;
  return kernels_for(x.device()) != nullptr;
}

RowKernelsOnCpu::RowKernelsOnCpu(const RowKernels& kernels) : before_(kernels_on_cpu) {
  kernels_on_cpu = &kernels;
}

RowKernelsOnCpu::~RowKernelsOnCpu() { kernels_on_cpu = before_; }

std::pair<Tensor, Tensor> rms_norm_rows(const Tensor& x, const Tensor& weight, double epsilon) {
  const auto from = x.contiguous();
  const auto scales = weight.to(x.scalar_type()).contiguous();
  auto output = at::empty_like(from);
  const int64_t size = x.size(-1);
  auto inverse = at::empty({x.numel() / size, 1}, x.options().dtype(at::kFloat));
  start(x, &RowKernels::rms_norm,
        RmsNormRows{.type = number_type(x),
                    .num_rows = inverse.numel(),
                    .size = size,
                    .epsilon = static_cast<float>(epsilon),
                    .x = address(from),
                    .weight = address(scales),
                    .output = output.mutable_data_ptr(),
                    .inverse = inverse.mutable_data_ptr<float>()});
  return {output, inverse};
}

Tensor rms_norm_backward_rows(const Tensor& grad_output, const Tensor& x, const Tensor& weight,
                              const Tensor& inverse) {
  const auto gradient = grad_output.to(x.scalar_type()).contiguous();
  const auto from = x.contiguous();
  const auto scales = weight.to(x.scalar_type()).contiguous();
  auto grad_x = at::empty_like(from);
  start(x, &RowKernels::rms_norm_backward,
        RmsNormBackwardRows{.type = number_type(x),
                            .num_rows = inverse.numel(),
                            .size = x.size(-1),
                            .grad_output = address(gradient),
                            .x = address(from),
                            .weight = address(scales),
                            .inverse = floats(inverse),
                            .grad_x = grad_x.mutable_data_ptr()});
  return grad_x;
}

Tensor rotate_rows(const Tensor& x, const Tensor& cosine, const Tensor& sine, bool is_inverse) {
  const auto from = x.contiguous();
  const auto cosines = cosine.to(at::kFloat).contiguous();
  const auto sines = sine.to(at::kFloat).contiguous();
  auto turned = at::empty_like(from);
  start(x, &RowKernels::rotate,
        RotateRows{.type = number_type(x),
                   .num_rows = x.size(0),
                   .num_heads = x.size(1),
                   .half = x.size(2) / 2,
                   .direction = is_inverse ? -1.0F : 1.0F,
                   .x = address(from),
                   .cosine = floats(cosines),
                   .sine = floats(sines),
                   .turned = turned.mutable_data_ptr()});
  return turned;
}

Tensor swiglu_rows(const Tensor& gate, const Tensor& up) {
  const auto gates = gate.contiguous();
  const auto ups = up.contiguous();
  auto output = at::empty_like(gates);
  const int64_t size = gate.size(-1);
  start(gate, &RowKernels::swiglu,
        SwigluRows{.type = number_type(gate),
                   .num_rows = gate.numel() / size,
                   .size = size,
                   .gate = address(gates),
                   .up = address(ups),
                   .output = output.mutable_data_ptr()});
  return output;
}

std::pair<Tensor, Tensor> swiglu_backward_rows(const Tensor& grad_output, const Tensor& gate,
                                               const Tensor& up) {
  const auto gradient = grad_output.to(gate.scalar_type()).contiguous();
  const auto gates = gate.contiguous();
  const auto ups = up.contiguous();
  auto grad_gate = at::empty_like(gates);
  auto grad_up = at::empty_like(ups);
  const int64_t size = gate.size(-1);
  start(gate, &RowKernels::swiglu_backward,
        SwigluBackwardRows{.type = number_type(gate),
                           .num_rows = gate.numel() / size,
                           .size = size,
                           .grad_output = address(gradient),
                           .gate = address(gates),
                           .up = address(ups),
                           .grad_gate = grad_gate.mutable_data_ptr(),
                           .grad_up = grad_up.mutable_data_ptr()});
  return {grad_gate, grad_up};
}

void nll_rows(Tensor& logits, const Tensor& targets, Tensor& nll, bool needs_gradient) {
  const auto indices = targets.contiguous();
  start(logits, &RowKernels::nll,
        NllRows{.type = number_type(logits),
                .num_rows = logits.size(0),
                .size = logits.size(1),
                .needs_gradient = needs_gradient,
                .logits = logits.mutable_data_ptr(),
                .targets = indices.const_data_ptr<int64_t>(),
                .nll = nll.mutable_data_ptr<float>()});
}

Tensor dropout_bits_rows(const Tensor& x, double p, uint64_t key) {
  const int64_t num_bytes = (x.size(1) + 7) / 8;
  auto bits = at::empty({x.size(0), num_bytes}, x.options().dtype(at::kByte));
  start(x, &RowKernels::dropout_bits,
        DropoutBitsRows{.num_rows = x.size(0),
                        .num_bytes = num_bytes,
                        .threshold = static_cast<uint32_t>(p * 0x1.0p32),
                        .key = key,
                        .bits = bits.mutable_data_ptr<uint8_t>()});
  return bits;
}

namespace {

void keep_in(Tensor& result, const Tensor& x, const Tensor& bits, double factor, bool adds) {
  const auto from = x.contiguous();
  start(x, &RowKernels::keep,
        KeepRows{.type = number_type(x),
                 .num_rows = x.size(0),
                 .size = x.size(1),
                 .adds = adds,
                 .factor = static_cast<float>(factor),
                 .x = address(from),
                 .bits = bits.const_data_ptr<uint8_t>(),
                 .result = result.mutable_data_ptr()});
}

}  // namespace

Tensor keep_rows(const Tensor& x, const Tensor& bits, double factor) {
  auto result = at::empty_like(x, at::MemoryFormat::Contiguous);
  keep_in(result, x, bits, factor, /*adds=*/false);
  return result;
}

void add_kept_rows(Tensor& sum, const Tensor& x, const Tensor& bits, double factor) {
  keep_in(sum, x, bits, factor, /*adds=*/true);
}

}  // namespace cpx::kernels
