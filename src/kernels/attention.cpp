// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/attention.h"

#include <algorithm>
#include <limits>
#include <optional>

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/autograd.h>

#include "cpx/core/error.h"
#include "cpx/kernels/reference.h"
#include "cpx/tensor/device.h"
#include "long_attention.h"
#include "short_attention.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Query rows whose scores are held at once.
constexpr int64_t kRowsPerBlock = 512;

// Where the texts and their queries are.
struct Bounds {
  std::vector<int32_t> cu_seqlens;
  std::vector<int32_t> queries;

  size_t num_texts() const { return cu_seqlens.size() - 1; }
};

// A block of query rows of one text and the keys that it sees.
struct Block {
  int64_t row_begin;  // in q
  int64_t num_rows;
  int64_t position;  // of the token that asks the first of them, in the pack
  int64_t key_begin;
  int64_t num_keys;
};

std::vector<Block> blocks_of(const Bounds& bounds, int64_t window) {
  std::vector<Block> blocks;
  for (size_t text = 0; text < bounds.num_texts(); ++text) {
    const int64_t begin = bounds.cu_seqlens[text];
    const int64_t end = bounds.queries[text + 1];
    const int64_t shift = bounds.cu_seqlens[text + 1] - end;
    for (int64_t row = bounds.queries[text]; row < end; row += kRowsPerBlock) {
      const int64_t row_end = std::min(row + kRowsPerBlock, end);
      const int64_t key = window > 0 ? std::max(begin, row + shift - window + 1) : begin;
      blocks.push_back({row, row_end - row, row + shift, key, row_end + shift - key});
    }
  }
  return blocks;
}

// The texts by the kernel that computes them.
struct Texts {
  std::vector<TextSpan> short_ones;
  std::vector<TextSpan> long_ones;

  explicit Texts(const Bounds& bounds) {
    for (size_t text = 0; text < bounds.num_texts(); ++text) {
      const int64_t length = bounds.cu_seqlens[text + 1] - bounds.cu_seqlens[text];
      const int64_t num_queries = bounds.queries[text + 1] - bounds.queries[text];
      const TextSpan span{.begin = bounds.cu_seqlens[text],
                          .length = length,
                          .first_row = length - num_queries,
                          .query_begin = bounds.queries[text]};
      (span.length <= kMaxShortText ? short_ones : long_ones).push_back(span);
    }
  }
};

// True where the kernels for short and long texts can compute such tensors, in float32.
bool has_cpu_kernels(const Tensor& q) {
  return q.is_cpu() && q.scalar_type() != at::kDouble && q.size(2) % 8 == 0;
}

// True where a key must not be seen, [rows, keys]; undefined where every key is seen.
Tensor hidden_keys(const Block& block, int64_t window, const torch::Device& device) {
  if (block.num_rows == 1) return {};
  const auto options = at::TensorOptions().device(device).dtype(at::kLong);
  const auto rows = at::arange(block.position, block.position + block.num_rows, options);
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

// What autograd keeps of a call.
struct Kept {
  Tensor q, k, v;
  Tensor output = {}, log_sums = {};   // undefined on the CPU without a long text
  Tensor rng_state = {}, unused = {};  // of flash attention
};

// LibTorch's varlen flash attention takes half types on a GPU.
bool has_flash_attention(const Tensor& q) {
  const bool is_half = q.scalar_type() == at::kBFloat16 || q.scalar_type() == at::kHalf;
  return q.is_cuda() && is_half && q.size(2) % 8 == 0 && q.size(2) <= 256;
}

// The bounds of texts, or of their queries, as flash attention takes them.
struct FlashBounds {
  Tensor offsets;  // int32 [texts + 1], on the device
  int64_t longest = 0;

  FlashBounds(const std::vector<int32_t>& bounds, const torch::Device& device)
      : offsets(at::tensor(bounds, at::kInt).to(device)) {
    for (size_t text = 0; text + 1 < bounds.size(); ++text) {
      longest = std::max<int64_t>(longest, bounds[text + 1] - bounds[text]);
    }
  }
};

// Its arguments for a pack. Queries belong to the last tokens of their text, as here.
struct FlashPack {
  FlashBounds queries;
  FlashBounds texts;
  std::optional<double> scale;
  std::optional<int64_t> window_left;  // keys before a row's own

  FlashPack(const Bounds& bounds, const AttentionOptions& options, const torch::Device& device)
      : queries(bounds.queries, device), texts(bounds.cu_seqlens, device), scale(options.scale) {
    if (options.window > 0) window_left = options.window - 1;
  }
};

Tensor attend_by_flash(Kept& kept, const FlashPack& pack) {
  auto [output, log_sums, rng_state, unused, mask] = at::_flash_attention_forward(
      kept.q, kept.k, kept.v, pack.queries.offsets, pack.texts.offsets, pack.queries.longest,
      pack.texts.longest, /*dropout_p=*/0.0, /*is_causal=*/true, /*return_debug_mask=*/false,
      pack.scale, pack.window_left);
  kept.output = output;
  kept.log_sums = log_sums;
  kept.rng_state = rng_state;
  kept.unused = unused;
  return output;
}

AttentionGradients gradients_by_flash(const Kept& kept, const Tensor& grad_output,
                                      const FlashPack& pack) {
  auto [grad_q, grad_k, grad_v] = at::_flash_attention_backward(
      grad_output, kept.q, kept.k, kept.v, kept.output, kept.log_sums, pack.queries.offsets,
      pack.texts.offsets, pack.queries.longest, pack.texts.longest, /*dropout_p=*/0.0,
      /*is_causal=*/true, kept.rng_state, kept.unused, pack.scale, pack.window_left);
  return {grad_q, grad_k, grad_v};
}

Tensor attend_by_kernels(Kept& kept, const Texts& texts, const AttentionOptions& options) {
  const auto q = kept.q.to(at::kFloat), k = kept.k.to(at::kFloat), v = kept.v.to(at::kFloat);
  auto output = at::empty_like(q);
  short_attention(q, k, v, texts.short_ones, options, output);
  kept.log_sums = long_attention(q, k, v, texts.long_ones, options, output);
  output = output.to(kept.q.scalar_type());
  if (kept.log_sums.defined()) kept.output = output;
  return output;
}

AttentionGradients gradients_by_kernels(const Kept& kept, const Tensor& grad_output,
                                        const Texts& texts, const AttentionOptions& options) {
  const auto dtype = kept.q.scalar_type();
  const auto q = kept.q.to(at::kFloat), k = kept.k.to(at::kFloat), v = kept.v.to(at::kFloat);
  const auto wide_gradient = grad_output.to(at::kFloat);
  AttentionGradients gradients{
      .q = at::empty_like(q), .k = at::zeros_like(k), .v = at::zeros_like(v)};
  short_attention_backward(q, k, v, wide_gradient, texts.short_ones, options, gradients);
  if (!texts.long_ones.empty()) {
    long_attention_backward(q, k, v, kept.output.to(at::kFloat), kept.log_sums, wide_gradient,
                            texts.long_ones, options, gradients);
  }
  return {gradients.q.to(dtype), gradients.k.to(dtype), gradients.v.to(dtype)};
}

Tensor attend_by_blocks(const Kept& kept, const Bounds& bounds, const AttentionOptions& options) {
  const auto &q = kept.q, &k = kept.k, &v = kept.v;
  auto output = at::empty_like(q);
  for (const Block& block : blocks_of(bounds, options.window)) {
    const auto q_rows = grouped_rows(q, block.row_begin, block.num_rows, k.size(1));
    const auto weights = attention_weights(q_rows, keys_of(k, block), block, options);
    const auto mixed = at::bmm(weights.to(v.scalar_type()), keys_of(v, block));
    output.narrow(0, block.row_begin, block.num_rows).copy_(ungrouped_rows(mixed, block.num_rows));
  }
  return output;
}

AttentionGradients gradients_by_blocks(const Kept& kept, const Tensor& grad_output,
                                       const Bounds& bounds, const AttentionOptions& options) {
  const auto &q = kept.q, &k = kept.k, &v = kept.v;
  AttentionGradients gradients{
      .q = at::empty_like(q), .k = at::zeros_like(k), .v = at::zeros_like(v)};
  for (const Block& block : blocks_of(bounds, options.window)) {
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
  return gradients;
}

// Fills what is kept beside q, k and v.
Tensor attend(Kept& kept, const Bounds& bounds, const AttentionOptions& options) {
  if (has_flash_attention(kept.q)) {
    return attend_by_flash(kept, FlashPack(bounds, options, kept.q.device()));
  }
  if (has_cpu_kernels(kept.q)) return attend_by_kernels(kept, Texts(bounds), options);
  return attend_by_blocks(kept, bounds, options);
}

AttentionGradients gradients_of(const Kept& kept, const Tensor& grad_output, const Bounds& bounds,
                                const AttentionOptions& options) {
  if (has_flash_attention(kept.q)) {
    return gradients_by_flash(kept, grad_output, FlashPack(bounds, options, kept.q.device()));
  }
  if (has_cpu_kernels(kept.q)) {
    return gradients_by_kernels(kept, grad_output, Texts(bounds), options);
  }
  return gradients_by_blocks(kept, grad_output, bounds, options);
}

class PackedAttention : public torch::autograd::Function<PackedAttention> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v,
                        const Bounds& bounds, const AttentionOptions& options) {
    RECORD_USER_SCOPE("cpx::attention");
    Kept kept{.q = q, .k = k, .v = v};
    const Tensor output = attend(kept, bounds, options);
    context->save_for_backward(
        {kept.q, kept.k, kept.v, kept.output, kept.log_sums, kept.rng_state, kept.unused});
    const auto stored = [](const std::vector<int32_t>& values) {
      return std::vector<int64_t>(values.begin(), values.end());
    };
    context->saved_data["cu_seqlens"] = stored(bounds.cu_seqlens);
    context->saved_data["queries"] = stored(bounds.queries);
    context->saved_data["scale"] = options.scale;
    context->saved_data["window"] = options.window;
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::attention backward");
    const auto saved = context->get_saved_variables();
    const Kept kept{saved[0], saved[1], saved[2], saved[3], saved[4], saved[5], saved[6]};
    const auto stored = [&](const char* name) {
      const auto values = context->saved_data[name].toIntVector();
      return std::vector<int32_t>(values.begin(), values.end());
    };
    const Bounds bounds{.cu_seqlens = stored("cu_seqlens"), .queries = stored("queries")};
    const AttentionOptions options{.scale = context->saved_data["scale"].toDouble(),
                                   .window = context->saved_data["window"].toInt()};
    const AttentionGradients gradients =
        gradients_of(kept, grad_outputs[0].contiguous(), bounds, options);
    return {gradients.q, gradients.k, gradients.v, Tensor(), Tensor()};
  }
};

void check_queries(const Bounds& bounds, int64_t num_queries) {
  CPX_CHECK(bounds.queries.size() == bounds.cu_seqlens.size() && bounds.queries.front() == 0 &&
                bounds.queries.back() == num_queries,
            "[packed_attention] query_bounds must go from 0 to the number of queries: got {} "
            "entries that end at {}, expected {} that end at {}.",
            bounds.queries.size(), bounds.queries.empty() ? -1 : bounds.queries.back(),
            bounds.cu_seqlens.size(), num_queries);
  for (size_t text = 0; text < bounds.num_texts(); ++text) {
    const int64_t count = bounds.queries[text + 1] - bounds.queries[text];
    const int64_t length = bounds.cu_seqlens[text + 1] - bounds.cu_seqlens[text];
    CPX_CHECK(count >= 0 && count <= length,
              "[packed_attention] got {} queries of text {}, expected 0 to {}.", count, text,
              length);
  }
}

}  // namespace

void check_cu_seqlens(const std::vector<int32_t>& cu_seqlens, int64_t num_tokens) {
  CPX_CHECK(cu_seqlens.size() >= 2 && cu_seqlens.front() == 0 && cu_seqlens.back() == num_tokens &&
                std::is_sorted(cu_seqlens.begin(), cu_seqlens.end()),
            "[packed batch] cu_seqlens must rise from 0 to the number of tokens: got {} entries "
            "that end at {}, expected the end {}.",
            cu_seqlens.size(), cu_seqlens.empty() ? -1 : cu_seqlens.back(), num_tokens);
}

Tensor packed_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                        const std::vector<int32_t>& cu_seqlens, const AttentionOptions& options,
                        const std::vector<int32_t>& query_bounds) {
  const bool is_asked_by_all = query_bounds.empty();
  CPX_CHECK(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() &&
                (q.size(0) == k.size(0) || !is_asked_by_all) && q.size(2) == k.size(2) &&
                q.size(1) % k.size(1) == 0,
            "[packed_attention] shapes do not fit: got q {}, k {}, v {}, expected [T, H, E] and "
            "twice [T, K, E] with H a multiple of K.",
            tensor::shape_text(q.sizes()), tensor::shape_text(k.sizes()),
            tensor::shape_text(v.sizes()));
  check_cu_seqlens(cu_seqlens, k.size(0));
  const Bounds bounds{.cu_seqlens = cu_seqlens,
                      .queries = is_asked_by_all ? cu_seqlens : query_bounds};
  check_queries(bounds, q.size(0));
  if (uses_reference()) {
    return reference::packed_attention(q, k, v, cu_seqlens, options, bounds.queries);
  }
  return PackedAttention::apply(q.contiguous(), k.contiguous(), v.contiguous(), bounds, options);
}

}  // namespace cpx::kernels
