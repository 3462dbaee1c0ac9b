// SPDX-License-Identifier: Apache-2.0
// RowKernels made of the bodies, for whatever runs them: a Launcher has
//   static const char* run(const Body& body, int64_t num_rows, int64_t num_items, void* stream)
// that calls body(group, row) for every row, with groups fit for `num_items` pieces of work, and
// returns null or why it could not.
#pragma once

#include <cstdint>
#include <initializer_list>

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include "row_bodies.h"
#include "row_kernels.h"

namespace cpx::kernels {

constexpr int64_t kPackBytes = 16;

/// Calls f.template operator()<T>() with the type that stores the numbers.
template <class Function>
const char* with_type(NumberType type, const Function& function) {
  switch (type) {
    case NumberType::kFloat32:
      return function.template operator()<float>();
    case NumberType::kBfloat16:
      return function.template operator()<c10::BFloat16>();
    case NumberType::kFloat16:
      return function.template operator()<c10::Half>();
  }
  return "unknown type of numbers";
}

/// Calls f.template operator()<W>() with 16 bytes of numbers at once where rows of `size` allow it,
/// else with one.
template <class T, class Function>
const char* with_pack(int64_t size, std::initializer_list<const void*> addresses,
                      const Function& function) {
  constexpr int kWidth = kPackBytes / sizeof(T);
  bool fits = size % kWidth == 0;
  for (const void* address : addresses) {
    fits = fits && reinterpret_cast<uintptr_t>(address) % kPackBytes == 0;
  }
  return fits ? function.template operator()<kWidth>() : function.template operator()<1>();
}

template <class Launcher>
struct RowTable {
  static const char* rms_norm(const RmsNormRows& rows, void* stream) {
    return with_type(rows.type, [&]<class T>() {
      return with_pack<T>(rows.size, {rows.x, rows.weight, rows.output}, [&]<int W>() {
        const RmsNormRow<T, W> body{.x = static_cast<const T*>(rows.x),
                                    .weight = static_cast<const T*>(rows.weight),
                                    .output = static_cast<T*>(rows.output),
                                    .inverse = rows.inverse,
                                    .size = rows.size,
                                    .epsilon = rows.epsilon};
        return Launcher::run(body, rows.num_rows, rows.size / W, stream);
      });
    });
  }

  static const char* rms_norm_backward(const RmsNormBackwardRows& rows, void* stream) {
    return with_type(rows.type, [&]<class T>() {
      return with_pack<T>(rows.size, {rows.grad_output, rows.x, rows.weight, rows.grad_x},
                          [&]<int W>() {
                            const RmsNormBackwardRow<T, W> body{
                                .grad_output = static_cast<const T*>(rows.grad_output),
                                .x = static_cast<const T*>(rows.x),
                                .weight = static_cast<const T*>(rows.weight),
                                .inverse = rows.inverse,
                                .grad_x = static_cast<T*>(rows.grad_x),
                                .size = rows.size};
                            return Launcher::run(body, rows.num_rows, rows.size / W, stream);
                          });
    });
  }

  static const char* rotate(const RotateRows& rows, void* stream) {
    return with_type(rows.type, [&]<class T>() {
      return with_pack<T>(rows.half, {rows.x, rows.turned}, [&]<int W>() {
        const RotateRow<T, W> body{.x = static_cast<const T*>(rows.x),
                                   .cosine = rows.cosine,
                                   .sine = rows.sine,
                                   .turned = static_cast<T*>(rows.turned),
                                   .num_heads = rows.num_heads,
                                   .half = rows.half,
                                   .direction = rows.direction};
        return Launcher::run(body, rows.num_rows, rows.num_heads * rows.half / W, stream);
      });
    });
  }

  static const char* swiglu(const SwigluRows& rows, void* stream) {
    return with_type(rows.type, [&]<class T>() {
      return with_pack<T>(rows.size, {rows.gate, rows.up, rows.output}, [&]<int W>() {
        const SwigluRow<T, W> body{.gate = static_cast<const T*>(rows.gate),
                                   .up = static_cast<const T*>(rows.up),
                                   .output = static_cast<T*>(rows.output),
                                   .size = rows.size};
        return Launcher::run(body, rows.num_rows, rows.size / W, stream);
      });
    });
  }

  static const char* swiglu_backward(const SwigluBackwardRows& rows, void* stream) {
    return with_type(rows.type, [&]<class T>() {
      return with_pack<T>(rows.size,
                          {rows.grad_output, rows.gate, rows.up, rows.grad_gate, rows.grad_up},
                          [&]<int W>() {
                            const SwigluBackwardRow<T, W> body{
                                .grad_output = static_cast<const T*>(rows.grad_output),
                                .gate = static_cast<const T*>(rows.gate),
                                .up = static_cast<const T*>(rows.up),
                                .grad_gate = static_cast<T*>(rows.grad_gate),
                                .grad_up = static_cast<T*>(rows.grad_up),
                                .size = rows.size};
                            return Launcher::run(body, rows.num_rows, rows.size / W, stream);
                          });
    });
  }

  static const char* nll(const NllRows& rows, void* stream) {
    return with_type(rows.type, [&]<class T>() {
      return with_pack<T>(rows.size, {rows.logits}, [&]<int W>() {
        const NllRow<T, W> body{.logits = static_cast<T*>(rows.logits),
                                .targets = rows.targets,
                                .nll = rows.nll,
                                .size = rows.size,
                                .needs_gradient = rows.needs_gradient};
        return Launcher::run(body, rows.num_rows, rows.size / W, stream);
      });
    });
  }

  static const char* dropout_bits(const DropoutBitsRows& rows, void* stream) {
    const DropoutBitsRow body{.bits = rows.bits,
                              .num_bytes = rows.num_bytes,
                              .threshold = rows.threshold,
                              .key = rows.key};
    return Launcher::run(body, rows.num_rows, rows.num_bytes, stream);
  }

  static const char* keep(const KeepRows& rows, void* stream) {
    return with_type(rows.type, [&]<class T>() {
      return with_pack<T>(rows.size, {rows.x, rows.result}, [&]<int W>() {
        const KeepRow<T, W> body{.x = static_cast<const T*>(rows.x),
                                 .bits = rows.bits,
                                 .result = static_cast<T*>(rows.result),
                                 .size = rows.size,
                                 .factor = rows.factor,
                                 .adds = rows.adds};
        return Launcher::run(body, rows.num_rows, rows.size / W, stream);
      });
    });
  }

  static constexpr RowKernels kKernels = {.version = RowKernels::kVersion,
                                          .rms_norm = rms_norm,
                                          .rms_norm_backward = rms_norm_backward,
                                          .rotate = rotate,
                                          .swiglu = swiglu,
                                          .swiglu_backward = swiglu_backward,
                                          .nll = nll,
                                          .dropout_bits = dropout_bits,
                                          .keep = keep};
};

}  // namespace cpx::kernels
