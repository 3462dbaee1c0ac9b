// SPDX-License-Identifier: Apache-2.0
// Modules whose weights are never trained. A module declares them, a loader sets them.
#pragma once

#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include "cpx/kernels/block_weight.h"

namespace cpx::nn {

/// A module with frozen weights. A weight is declared on the meta device (a shape without memory)
/// and set when its data is loaded. The data may lie in a read-only mapped file.
class FrozenModule : public torch::nn::Module {
 public:
  /// Names of the declared weights, in order.
  const std::vector<std::string>& frozen_names() const { return names_; }

  /// Replaces the weight `name`; throws std::invalid_argument when the shapes differ.
  void set_frozen(const std::string& name, torch::Tensor value);

  /// True if any weight of this module is quantised.
  bool is_quantized() const;
  /// True if the weight `name` may be quantised.
  bool can_be_blocks(const std::string& name) const;
  /// The quantised weight `name`; an undefined one if the weight is dense.
  kernels::BlockWeight blocks_of(const std::string& name) const;
  /// As above for a quantised weight: the dense member becomes undefined; named_parameters() still
  /// lists its shape.
  void set_frozen(const std::string& name, kernels::BlockWeight value);

 protected:
  /// Declares the weight `name` of `shape`, which is stored in `member`, or in `blocks` when it is
  /// quantised (null: it never is). Both must live as long as *this.
  void declare_frozen(const std::string& name, torch::Tensor& member,
                      const std::vector<int64_t>& shape, kernels::BlockWeight* blocks = nullptr);

 private:
  struct Members {
    torch::Tensor* dense;
    kernels::BlockWeight* blocks;  // null: never quantised
  };

  const Members& members_of(const std::string& name) const;
  void check_shape(const std::string& name, at::IntArrayRef actual) const;

  std::vector<std::string> names_;
  std::vector<Members> members_;
};

/// Copies those frozen weights of `root` that lie in mapped files into memory. The allocator uses
/// large pages, which makes decoding a quarter faster. Weights that share data share the copy.
void hold_in_memory(torch::nn::Module& root);

}  // namespace cpx::nn
