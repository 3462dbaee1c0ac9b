// SPDX-License-Identifier: Apache-2.0
// Keys and values of a beginning that many texts have, so that it is computed once, and the texts
// in later passes. Without gradients. Legend: P tokens of the beginning, K key heads, E head size.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <torch/types.h>

namespace cpx::nn {

/// What CausalLm::keep_beginning() gives, and PackedTokens::behind takes.
class KeptBeginning {
 public:
  KeptBeginning(int64_t num_tokens, int64_t num_layers)
      : num_tokens_(num_tokens), layers_(static_cast<size_t>(num_layers)) {}

  /// P.
  int64_t num_tokens() const { return num_tokens_; }

  /// Keeps one layer's keys (rotated) and values, [P, K, E].
  void store(int64_t layer, const torch::Tensor& k, const torch::Tensor& v) {
    layers_.at(static_cast<size_t>(layer)) = {k.detach(), v.detach()};
  }
  /// The keys of a layer, [P, K, E]; undefined before store().
  const torch::Tensor& keys(int64_t layer) const { return of(layer).first; }
  /// Its values, [P, K, E]; undefined before store().
  const torch::Tensor& values(int64_t layer) const { return of(layer).second; }

 private:
  using KeysAndValues = std::pair<torch::Tensor, torch::Tensor>;

  const KeysAndValues& of(int64_t layer) const { return layers_.at(static_cast<size_t>(layer)); }

  int64_t num_tokens_;
  std::vector<KeysAndValues> layers_;
};

}  // namespace cpx::nn
