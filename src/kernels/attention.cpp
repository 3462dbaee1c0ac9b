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

// A block of query rows of one text and the keys that it sees.
struct Block {
  int64_t row_begin;  // token index in the pack
  int64_t num_rows;
  int64_t key_begin;
  int64_t num_keys;
};

std::vector<Block> blocks_of(const std::vector<int32_t>& cu_seqlens, int64_t window) {
  std::vector<Block> blocks;
  for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
    const int64_t begin = cu_seqlens[text];
    const int64_t end = cu_seqlens[text + 1];
    for (int64_t row = begin; row < end; row += kRowsPerBlock) {
      const int64_t row_end = std::min(row + kRowsPerBlock, end);
      const int64_t key = window > 0 ? std::max(begin, row - window + 1) : begin;
      blocks.push_back({row, row_end - row, key, row_end - key});
    }
  }
  return blocks;
}

// The texts by the kernel that computes them.
struct Texts {
  std::vector<TextSpan> short_ones;
  std::vector<TextSpan> long_ones;

  Texts(const std::vector<int32_t>& cu_seqlens, const std::vector<int64_t>& first_rows) {
    for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
      const TextSpan span{.begin = cu_seqlens[text],
                          .length = cu_seqlens[text + 1] - cu_seqlens[text],
                          .first_row = first_rows.empty() ? 0 : first_rows[text]};
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

// Its arguments for a pack.
struct FlashPack {
  Tensor offsets;  // int32 [texts + 1], on the device
  int64_t longest = 0;
  std::optional<double> scale;
  std::optional<int64_t> window_left;  // keys before a row's own

  FlashPack(const std::vector<int32_t>& cu_seqlens, const AttentionOptions& options,
            const torch::Device& device)
      : offsets(at::tensor(cu_seqlens, at::kInt).to(device)), scale(options.scale) {
    for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
      longest = std::max<int64_t>(longest, cu_seqlens[text + 1] - cu_seqlens[text]);
    }
    if (options.window > 0) window_left = options.window - 1;
  }
};

Tensor attend_by_flash(Kept& kept, const FlashPack& pack) {
  auto [output, log_sums, rng_state, unused, mask] = at::_flash_attention_forward(
      kept.q, kept.k, kept.v, pack.offsets, pack.offsets, pack.longest, pack.longest,
      /*dropout_p=*/0.0, /*is_causal=*/true, /*return_debug_mask=*/false, pack.scale,
      pack.window_left);
  kept.output = output;
  kept.log_sums = log_sums;
  kept.rng_state = rng_state;
  kept.unused = unused;
  return output;
}

AttentionGradients gradients_by_flash(const Kept& kept, const Tensor& grad_output,
                                      const FlashPack& pack) {
  auto [grad_q, grad_k, grad_v] = at::_flash_attention_backward(
      grad_output, kept.q, kept.k, kept.v, kept.output, kept.log_sums, pack.offsets, pack.offsets,
      pack.longest, pack.longest, /*dropout_p=*/0.0, /*is_causal=*/true, kept.rng_state,
      kept.unused, pack.scale, pack.window_left);
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

Tensor attend_by_blocks(const Kept& kept, const std::vector<int32_t>& cu_seqlens,
                        const AttentionOptions& options) {
  const auto &q = kept.q, &k = kept.k, &v = kept.v;
  auto output = at::empty_like(q);
  for (const Block& block : blocks_of(cu_seqlens, options.window)) {
    const auto q_rows = grouped_rows(q, block.row_begin, block.num_rows, k.size(1));
    const auto weights = attention_weights(q_rows, keys_of(k, block), block, options);
    const auto mixed = at::bmm(weights.to(v.scalar_type()), keys_of(v, block));
    output.narrow(0, block.row_begin, block.num_rows).copy_(ungrouped_rows(mixed, block.num_rows));
  }
  return output;
}

AttentionGradients gradients_by_blocks(const Kept& kept, const Tensor& grad_output,
                                       const std::vector<int32_t>& cu_seqlens,
                                       const AttentionOptions& options) {
  const auto &q = kept.q, &k = kept.k, &v = kept.v;
  AttentionGradients gradients{
      .q = at::empty_like(q), .k = at::zeros_like(k), .v = at::zeros_like(v)};
  for (const Block& block : blocks_of(cu_seqlens, options.window)) {
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

// Where the texts are, and from where on they are asked for (empty: from their beginning).
struct Bounds {
  std::vector<int32_t> cu_seqlens;
  std::vector<int64_t> first_rows;

  Texts texts() const { return {cu_seqlens, first_rows}; }
};

// Fills what is kept beside q, k and v. Only the kernels leave out what is not asked for.
Tensor attend(Kept& kept, const Bounds& bounds, const AttentionOptions& options) {
  if (has_flash_attention(kept.q)) {
    return attend_by_flash(kept, FlashPack(bounds.cu_seqlens, options, kept.q.device()));
  }
  if (has_cpu_kernels(kept.q)) return attend_by_kernels(kept, bounds.texts(), options);
  return attend_by_blocks(kept, bounds.cu_seqlens, options);
}

AttentionGradients gradients_of(const Kept& kept, const Tensor& grad_output, const Bounds& bounds,
                                const AttentionOptions& options) {
  if (has_flash_attention(kept.q)) {
    return gradients_by_flash(kept, grad_output,
                              FlashPack(bounds.cu_seqlens, options, kept.q.device()));
  }
  if (has_cpu_kernels(kept.q)) {
    return gradients_by_kernels(kept, grad_output, bounds.texts(), options);
  }
  return gradients_by_blocks(kept, grad_output, bounds.cu_seqlens, options);
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
    context->saved_data["cu_seqlens"] =
        std::vector<int64_t>(bounds.cu_seqlens.begin(), bounds.cu_seqlens.end());
    context->saved_data["first_rows"] = bounds.first_rows;
    context->saved_data["scale"] = options.scale;
    context->saved_data["window"] = options.window;
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::attention backward");
    const auto saved = context->get_saved_variables();
    const Kept kept{saved[0], saved[1], saved[2], saved[3], saved[4], saved[5], saved[6]};
    const auto stored = context->saved_data["cu_seqlens"].toIntVector();
    const Bounds bounds{.cu_seqlens = {stored.begin(), stored.end()},
                        .first_rows = context->saved_data["first_rows"].toIntVector()};
    const AttentionOptions options{.scale = context->saved_data["scale"].toDouble(),
                                   .window = context->saved_data["window"].toInt()};
    const AttentionGradients gradients =
        gradients_of(kept, grad_outputs[0].contiguous(), bounds, options);
    return {gradients.q, gradients.k, gradients.v, Tensor(), Tensor()};
  }
};

void check_first_rows(const std::vector<int64_t>& first_rows,
                      const std::vector<int32_t>& cu_seqlens) {
  if (first_rows.empty()) return;
  CPX_CHECK(first_rows.size() + 1 == cu_seqlens.size(),
            "[packed_attention] got first rows of {} texts, expected {}.", first_rows.size(),
            cu_seqlens.size() - 1);
  for (size_t text = 0; text < first_rows.size(); ++text) {
    const int64_t length = cu_seqlens[text + 1] - cu_seqlens[text];
    CPX_CHECK(first_rows[text] >= 0 && first_rows[text] <= length,
              "[packed_attention] got first row {} of text {}, expected 0 to {}.", first_rows[text],
              text, length);
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
                        const std::vector<int64_t>& first_rows) {
  CPX_CHECK(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
                q.size(2) == k.size(2) && q.size(1) % k.size(1) == 0,
            "[packed_attention] shapes do not fit: got q {}, k {}, v {}, expected [T, H, E] and "
            "twice [T, K, E] with H a multiple of K.",
            tensor::shape_text(q.sizes()), tensor::shape_text(k.sizes()),
            tensor::shape_text(v.sizes()));
  check_cu_seqlens(cu_seqlens, q.size(0));
  check_first_rows(first_rows, cu_seqlens);
  if (uses_reference()) return reference::packed_attention(q, k, v, cu_seqlens, options);
  return PackedAttention::apply(q.contiguous(), k.contiguous(), v.contiguous(),
                                Bounds{.cu_seqlens = cu_seqlens, .first_rows = first_rows},
                                options);
}

}  // namespace cpx::kernels
