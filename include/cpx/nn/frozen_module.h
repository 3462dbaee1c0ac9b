// SPDX-License-Identifier: Apache-2.0
// Modules whose weights are never trained: declared with their shape, filled in place by a loader.
#pragma once

#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include "cpx/kernels/block_weight.h"

namespace cpx::nn {

/// A module with frozen weights. A weight is declared on the meta device (a shape, no memory) and
/// set once its data is there, which may be a read-only mapped file.
class FrozenModule : public torch::nn::Module {
 public:
  /// Names of the declared weights, in order.
  const std::vector<std::string>& frozen_names() const { return names_; }

  /// Replaces the weight `name`; throws std::invalid_argument when the shapes differ.
  void set_frozen(const std::string& name, torch::Tensor value);

  /// True where a weight is quantised.
  bool is_quantized() const;
  /// True for a weight that may be quantised.
  bool can_be_blocks(const std::string& name) const;
  /// The weight `name` where it is quantised, else one without bytes.
  kernels::BlockWeight blocks_of(const std::string& name) const;
  /// The same with quantised numbers: the member that held the weight is undefined then, among the
  /// parameters its shape remains.
  void set_frozen(const std::string& name, kernels::BlockWeight value);

 protected:
  /// Declares the weight `name` of `shape`, held by `member`, which must live as long as *this.
  /// Where it may be quantised, `blocks` holds it then.
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

/// Copies the frozen weights of `root` that lie in mapped files into memory, which the allocator
/// gives in large pages: decoding reads them a quarter faster. Weights that share data share the
/// copy.
void hold_in_memory(torch::nn::Module& root);

}  // namespace cpx::nn
