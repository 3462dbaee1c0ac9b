// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/attention.h"

#include <algorithm>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/autograd.h>

#include "cpx/core/error.h"
#include "cpx/kernels/reference.h"
#include "cpx/tensor/device.h"
#include "short_attention.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Query rows whose scores are held at once.
constexpr int64_t kRowsPerBlock = 512;

// A block of query rows of one text and the keys that it sees.
struct Block {
  int64_t row_begin;  // token index in the pack
  int64_t num_rows;
  int64_t key_begin;
  int64_t num_keys;
};

// How a pack is computed: short texts whole, the others by blocks.
struct Plan {
  std::vector<TextSpan> short_texts;
  std::vector<Block> blocks;
};

Plan plan_of(const Tensor& q, const std::vector<int32_t>& cu_seqlens, int64_t window) {
  Plan plan;
  for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
    const int64_t begin = cu_seqlens[text];
    const int64_t end = cu_seqlens[text + 1];
    if (is_short_attention(q, end - begin)) {
      plan.short_texts.push_back({.begin = begin, .length = end - begin});
      continue;
    }
    for (int64_t row = begin; row < end; row += kRowsPerBlock) {
      const int64_t row_end = std::min(row + kRowsPerBlock, end);
      const int64_t key = window > 0 ? std::max(begin, row - window + 1) : begin;
      plan.blocks.push_back({row, row_end - row, key, row_end - key});
    }
  }
  return plan;
}

// True where a key must not be seen, [rows, keys]; undefined where every key is seen.
Tensor hidden_keys(const Block& block, int64_t window, const torch::Device& device) {
  if (block.num_rows == 1) return {};
  const auto options = at::TensorOptions().device(device).dtype(at::kLong);
  const auto rows = at::arange(block.row_begin, block.row_begin + block.num_rows, options);
  const auto keys = at::arange(block.key_begin, block.key_begin + block.num_keys, options);
  const auto distance = rows.unsqueeze(1) - keys.unsqueeze(0);
  auto hidden = distance < 0;
  if (window > 0) hidden = hidden.logical_or_(distance >= window);
  return hidden;
}

// The tokens of a block as [K, G * rows, E]: the G query heads of a key head share its keys.
Tensor grouped_rows(const Tensor& x, int64_t begin, int64_t rows, int64_t num_key_heads) {
  const int64_t groups = x.size(1) / num_key_heads;
  return x.narrow(0, begin, rows)
      .view({rows, num_key_heads, groups, x.size(2)})
      .permute({1, 2, 0, 3})
      .reshape({num_key_heads, groups * rows, x.size(2)});
}

// The inverse of grouped_rows: [K, G * rows, E] to [rows, H, E].
Tensor ungrouped_rows(const Tensor& x, int64_t rows) {
  const int64_t key_heads = x.size(0);
  const int64_t groups = x.size(1) / rows;
  return x.view({key_heads, groups, rows, x.size(2)})
      .permute({2, 0, 1, 3})
      .reshape({rows, key_heads * groups, x.size(2)});
}

Tensor keys_of(const Tensor& x, const Block& block) {
  return x.narrow(0, block.key_begin, block.num_keys).transpose(0, 1);  // [K, keys, E]
}

// Attention weights of a block, [K, G * rows, keys], in at least float32.
Tensor attention_weights(const Tensor& q_rows, const Tensor& k_keys, const Block& block,
                         const AttentionOptions& options) {
  auto scores = at::bmm(q_rows, k_keys.transpose(1, 2)).mul_(options.scale);
  if (scores.scalar_type() != at::kDouble) scores = scores.to(at::kFloat);
  const auto hidden = hidden_keys(block, options.window, scores.device());
  if (hidden.defined()) {
    auto by_head = scores.view({scores.size(0), -1, block.num_rows, block.num_keys});
    by_head.masked_fill_(hidden, -std::numeric_limits<double>::infinity());
  }
  return at::softmax(scores, -1);
}

class PackedAttention : public torch::autograd::Function<PackedAttention> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v,
                        const std::vector<int32_t>& cu_seqlens, const AttentionOptions& options) {
    RECORD_USER_SCOPE("cpx::attention");
    auto output = at::empty_like(q, at::MemoryFormat::Contiguous);
    const Plan plan = plan_of(q, cu_seqlens, options.window);
    short_attention(q, k, v, plan.short_texts, options, output);
    for (const Block& block : plan.blocks) {
      const auto q_rows = grouped_rows(q, block.row_begin, block.num_rows, k.size(1));
      const auto weights = attention_weights(q_rows, keys_of(k, block), block, options);
      const auto mixed = at::bmm(weights.to(v.scalar_type()), keys_of(v, block));
      output.narrow(0, block.row_begin, block.num_rows)
          .copy_(ungrouped_rows(mixed, block.num_rows));
    }
    context->save_for_backward({q, k, v});
    context->saved_data["cu_seqlens"] = std::vector<int64_t>(cu_seqlens.begin(), cu_seqlens.end());
    context->saved_data["scale"] = options.scale;
    context->saved_data["window"] = options.window;
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::attention backward");
    const auto saved = context->get_saved_variables();
    const auto &q = saved[0], &k = saved[1], &v = saved[2];
    const auto stored = context->saved_data["cu_seqlens"].toIntVector();
    const std::vector<int32_t> cu_seqlens(stored.begin(), stored.end());
    const AttentionOptions options{.scale = context->saved_data["scale"].toDouble(),
                                   .window = context->saved_data["window"].toInt()};
    const auto grad_output = grad_outputs[0].contiguous();
    AttentionGradients gradients{.q = at::empty_like(q, at::MemoryFormat::Contiguous),
                                 .k = at::zeros_like(k, at::MemoryFormat::Contiguous),
                                 .v = at::zeros_like(v, at::MemoryFormat::Contiguous)};
    const Plan plan = plan_of(q, cu_seqlens, options.window);
    short_attention_backward(q, k, v, grad_output, plan.short_texts, options, gradients);
    for (const Block& block : plan.blocks) {
      const auto q_rows = grouped_rows(q, block.row_begin, block.num_rows, k.size(1));
      const auto grad_rows = grouped_rows(grad_output, block.row_begin, block.num_rows, k.size(1));
      const auto k_keys = keys_of(k, block);
      const auto weights = attention_weights(q_rows, k_keys, block, options);  // P
      const auto grad_weights =
          at::bmm(grad_rows, keys_of(v, block).transpose(1, 2)).to(weights.scalar_type());  // dP
      // dS = P * (dP - rowsum(P * dP)), the gradient of a softmax.
      const auto grad_scores =
          at::_softmax_backward_data(grad_weights, weights, -1, weights.scalar_type())
              .mul_(options.scale)
              .to(q.scalar_type());
      gradients.q.narrow(0, block.row_begin, block.num_rows)
          .copy_(ungrouped_rows(at::bmm(grad_scores, k_keys), block.num_rows));
      gradients.k.narrow(0, block.key_begin, block.num_keys)
          .add_(at::bmm(grad_scores.transpose(1, 2), q_rows).transpose(0, 1));
      gradients.v.narrow(0, block.key_begin, block.num_keys)
          .add_(at::bmm(weights.to(v.scalar_type()).transpose(1, 2), grad_rows).transpose(0, 1));
    }
    return {gradients.q, gradients.k, gradients.v, Tensor(), Tensor()};
  }
};

}  // namespace

void check_cu_seqlens(const std::vector<int32_t>& cu_seqlens, int64_t num_tokens) {
  CPX_CHECK(cu_seqlens.size() >= 2 && cu_seqlens.front() == 0 && cu_seqlens.back() == num_tokens &&
                std::is_sorted(cu_seqlens.begin(), cu_seqlens.end()),
            "[packed batch] cu_seqlens must rise from 0 to the number of tokens: got {} entries "
            "that end at {}, expected the end {}.",
            cu_seqlens.size(), cu_seqlens.empty() ? -1 : cu_seqlens.back(), num_tokens);
}

Tensor packed_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                        const std::vector<int32_t>& cu_seqlens, const AttentionOptions& options) {
  CPX_CHECK(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
                q.size(2) == k.size(2) && q.size(1) % k.size(1) == 0,
            "[packed_attention] shapes do not fit: got q {}, k {}, v {}, expected [T, H, E] and "
            "twice [T, K, E] with H a multiple of K.",
            tensor::shape_text(q.sizes()), tensor::shape_text(k.sizes()),
            tensor::shape_text(v.sizes()));
  check_cu_seqlens(cu_seqlens, q.size(0));
  if (uses_reference()) return reference::packed_attention(q, k, v, cu_seqlens, options);
  return PackedAttention::apply(q.contiguous(), k.contiguous(), v.contiguous(), cu_seqlens,
                                options);
}

}  // namespace cpx::kernels
