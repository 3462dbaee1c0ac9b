// SPDX-License-Identifier: Apache-2.0
// AdamW over an adapter's tensors, with LoRA+, and clipping of their gradients.
// Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2,
// in torch.optim.AdamW's form; Hayou et al., "LoRA+", ICML 2024. In 8 bits: see adamw_8bit.h.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

#include "cpx/formats/safetensors.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/training/adamw_8bit.h"

namespace cpx::training {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  /// A step takes learning rate * weight_decay of each value away.
  double weight_decay = 0.0;
  /// Learning rate of the lora_B tensors over that of the others.
  double lora_plus_ratio = 1.0;
  /// Keeps the averages of tensors of kMin8BitValues values or more in 8 bits. Such a tensor is
  /// decayed behind its update instead of in front of it, as bitsandbytes does.
  bool has_8bit_state = false;
};

/// Bytes of both averages of a tensor of `num_values`.
int64_t adamw_state_bytes(int64_t num_values, bool has_8bit_state);

/// The optimizer. A parameter without a gradient counts as one with a gradient of 0.
class AdamW {
 public:
  /// `parameters` are changed in place by step(); their names are the keys of the state.
  AdamW(std::vector<nn::NamedParameter> parameters, const AdamWOptions& options);

  /// Drops all gradients.
  void zero_grad();
  /// One update with the gradients that are there; `learning_rate` without the LoRA+ ratio.
  void step(double learning_rate);

  const std::vector<nn::NamedParameter>& parameters() const { return parameters_; }
  /// Updates made so far.
  int64_t num_updates() const { return num_updates_; }

  /// "KEY.exp_avg" and "KEY.exp_avg_sq" of each parameter, and "step" (int64, one number). In 8
  /// bits an average NAME is two tensors, "NAME.codes" and "NAME.absmax". The tensors are the
  /// optimizer's own.
  std::vector<formats::NamedTensor> state() const;
  /// Takes over what state() gave, from an open file. Throws DataError that names file and tensor
  /// when one is missing, has another shape or number of bits, or is of a parameter that is not
  /// here.
  void load_state(const formats::SafetensorsFile& file);

 private:
  /// Parameters that share a learning rate.
  struct Group {
    std::vector<size_t> members;
    double ratio = 1.0;
  };

  /// The averages of a parameter: float32 tensors, or both in 8 bits.
  struct Averages {
    torch::Tensor average = {};         // exp_avg; undefined where it is in 8 bits
    torch::Tensor square_average = {};  // exp_avg_sq; the same
    BlockwiseTensor average_8bit = {};
    BlockwiseTensor square_average_8bit = {};

    bool is_8bit() const { return average_8bit.codes.defined(); }
  };

  Averages zeros_of(const torch::Tensor& value) const;
  std::vector<formats::NamedTensor> state_of(size_t parameter) const;
  void check_bits(const formats::SafetensorsFile& file) const;
  void step_fused(const std::vector<size_t>& members, double learning_rate);
  void step_8bit(size_t parameter, double learning_rate);

  AdamWOptions options_;
  std::vector<nn::NamedParameter> parameters_;
  std::vector<Averages> averages_;
  std::vector<Group> groups_;
  CodeMap signed_map_;    // of averages in 8 bits; undefined where there are none
  CodeMap unsigned_map_;  // of averages of squares
  int64_t num_updates_ = 0;
};

/// Length of all gradients together (L2 norm of the norms, as torch's clip_grad_norm_); shortens
/// them by max_norm / (length + 1e-6) where that is below 1. `max_norm` 0: only measured. A length
/// that is not finite is returned as it is, and the gradients stay as they are.
double clip_grad_norm(std::span<const nn::NamedParameter> parameters, double max_norm);

}  // namespace cpx::training
