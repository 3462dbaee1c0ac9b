// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/causal_lm.h"

namespace cpx::nn {

int64_t ModelShape::num_matmul_weights() const {
  const int64_t queries = num_heads * head_dim;
  const int64_t keys = num_kv_heads * head_dim;
  const int64_t attention = hidden_size * (2 * queries + 2 * keys);
  const int64_t mlp = 3 * hidden_size * intermediate_size;
  return num_layers * (attention + mlp) + vocabulary_size * hidden_size;
}

}  // namespace cpx::nn
