// SPDX-License-Identifier: Apache-2.0
// What the plug-in with the CUDA kernels offers: the row-wise operators that LibTorch has only in
// pieces. Plain addresses and sizes, so that neither side needs the other's headers: the plug-in is
// compiled without LibTorch. Addresses are of the device's memory; tensors are contiguous.
// Legend: T tokens, D model, F feed-forward, H heads, E head size, N rows, V vocabulary, I columns.
#pragma once

#include <cstdint>

namespace cpx::kernels {

/// How the numbers of a tensor are stored. Arithmetic is in float32; in half types it is rounded
/// where transformers rounds.
enum class NumberType : int32_t { kFloat32, kBfloat16, kFloat16 };

struct RmsNormRows {
  NumberType type;
  int64_t num_rows;
  int64_t size;  // D
  float epsilon;
  const void* x;       // [T, D]
  const void* weight;  // [D]
  void* output;        // [T, D]
  float* inverse;      // 1 / sqrt(mean(x^2) + epsilon), [T]
};

struct RmsNormBackwardRows {
  NumberType type;
  int64_t num_rows;
  int64_t size;             // D
  const void* grad_output;  // [T, D]
  const void* x;            // [T, D]
  const void* weight;       // [D]
  const float* inverse;     // [T]
  void* grad_x;             // [T, D]
};

/// The pairs (x_i, x_{half + i}) of each head, turned by the angles of their token.
struct RotateRows {
  NumberType type;
  int64_t num_rows;
  int64_t num_heads;
  int64_t half;         // E / 2
  float direction;      // 1, or -1 for the inverse
  const void* x;        // [T, H, E]
  const float* cosine;  // [T, E / 2]
  const float* sine;    // [T, E / 2]
  void* turned;         // [T, H, E]
};

struct SwigluRows {
  NumberType type;
  int64_t num_rows;
  int64_t size;      // F
  const void* gate;  // [T, F]
  const void* up;    // [T, F]
  void* output;      // silu(gate) * up, [T, F]
};

struct SwigluBackwardRows {
  NumberType type;
  int64_t num_rows;
  int64_t size;             // F
  const void* grad_output;  // [T, F]
  const void* gate;         // [T, F]
  const void* up;           // [T, F]
  void* grad_gate;          // [T, F]
  void* grad_up;            // [T, F]
};

/// Negative log-likelihoods (natural log) of logits; these become softmax - onehot in place where
/// the gradient is asked for. A target outside of the vocabulary has a loss that is no number.
struct NllRows {
  NumberType type;
  int64_t num_rows;
  int64_t size;  // V
  bool needs_gradient;
  void* logits;            // [N, V]
  const int64_t* targets;  // [N]
  float* nll;              // [N]
};

/// Bit i of byte j of a row is 1 where column 8 j + i is kept (dropout_bits.h).
struct DropoutBitsRows {
  int64_t num_rows;
  int64_t num_bytes;   // ceil(I / 8)
  uint32_t threshold;  // p * 2^32
  uint64_t key;
  uint8_t* bits;  // [T, num_bytes]
};

struct KeepRows {
  NumberType type;
  int64_t num_rows;
  int64_t size;  // I
  bool adds;     // to the result, else it is overwritten
  float factor;
  const void* x;        // [T, I]
  const uint8_t* bits;  // [T, ceil(I / 8)]
  void* result;         // [T, I]
};

/// The plug-in's functions. Each starts its kernel on `stream` (cudaStream_t) of the current device
/// and returns null, or why it could not be started: a text that lives as long as the program.
struct RowKernels {
  /// Counts up with every change of this file; a plug-in of another version is not used.
  static constexpr int32_t kVersion = 1;

  int32_t version;
  const char* (*rms_norm)(const RmsNormRows& rows, void* stream);
  const char* (*rms_norm_backward)(const RmsNormBackwardRows& rows, void* stream);
  const char* (*rotate)(const RotateRows& rows, void* stream);
  const char* (*swiglu)(const SwigluRows& rows, void* stream);
  const char* (*swiglu_backward)(const SwigluBackwardRows& rows, void* stream);
  const char* (*nll)(const NllRows& rows, void* stream);
  const char* (*dropout_bits)(const DropoutBitsRows& rows, void* stream);
  const char* (*keep)(const KeepRows& rows, void* stream);
};

/// The file of the plug-in, and the function without arguments in it that returns its RowKernels.
inline constexpr const char* kRowPluginFile = "libcpx_cuda_kernels.so";
inline constexpr const char* kRowPluginFunction = "cpx_row_kernels";

}  // namespace cpx::kernels
