// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/bidirectional_attention.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include "cpx/core/error.h"
#include "cpx/kernels/attention.h"
#include "cpx/tensor/device.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;

// Texts side by side that have as many rows each.
struct Run {
  size_t first_text;
  int64_t num_texts;
  int64_t num_queries;  // of each text
  int64_t num_keys;
};

std::vector<Run> runs_of(const std::vector<int32_t>& query_limits,
                         const std::vector<int32_t>& cu_seqlens) {
  std::vector<Run> runs;
  for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
    const int64_t num_queries = query_limits[text + 1] - query_limits[text];
    const int64_t num_keys = cu_seqlens[text + 1] - cu_seqlens[text];
    if (!runs.empty() && runs.back().num_queries == num_queries &&
        runs.back().num_keys == num_keys) {
      ++runs.back().num_texts;
    } else {
      runs.push_back({text, 1, num_queries, num_keys});
    }
  }
  return runs;
}

// The rows of a run as [texts, H, rows, E], in place.
Tensor by_text(const Tensor& x, int64_t begin, int64_t num_texts, int64_t num_rows) {
  return x.narrow(0, begin, num_texts * num_rows)
      .view({num_texts, num_rows, x.size(1), x.size(2)})
      .transpose(1, 2);
}

void check_shapes(const Tensor& q, const Tensor& k, const Tensor& v,
                  const std::vector<int32_t>& query_limits,
                  const std::vector<int32_t>& cu_seqlens) {
  CPX_CHECK(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(1) == k.size(1) &&
                q.size(2) == k.size(2),
            "[bidirectional_attention] shapes do not fit: got q {}, k {}, v {}, expected "
            "[Q, H, E] and twice [T, H, E].",
            tensor::shape_text(q.sizes()), tensor::shape_text(k.sizes()),
            tensor::shape_text(v.sizes()));
  check_cu_seqlens(query_limits, q.size(0));
  check_cu_seqlens(cu_seqlens, k.size(0));
  CPX_CHECK(query_limits.size() == cu_seqlens.size(),
            "[bidirectional_attention] got queries of {} texts and keys of {}, expected as many.",
            query_limits.size() - 1, cu_seqlens.size() - 1);
}

}  // namespace

Tensor bidirectional_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                               const std::vector<int32_t>& query_limits,
                               const std::vector<int32_t>& cu_seqlens) {
  RECORD_USER_SCOPE("cpx::attention");
  check_shapes(q, k, v, query_limits, cu_seqlens);
  auto output = at::empty_like(q, at::MemoryFormat::Contiguous);
  for (const Run& run : runs_of(query_limits, cu_seqlens)) {
    if (run.num_queries == 0) continue;
    const int64_t query = query_limits[run.first_text];
    const int64_t key = cu_seqlens[run.first_text];
    const auto mixed = at::scaled_dot_product_attention(
        by_text(q, query, run.num_texts, run.num_queries),
        by_text(k, key, run.num_texts, run.num_keys), by_text(v, key, run.num_texts, run.num_keys));
    by_text(output, query, run.num_texts, run.num_queries).copy_(mixed);
  }
  return output;
}

}  // namespace cpx::kernels
