// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/reference.h"

#include <cstdlib>
#include <limits>
#include <string_view>

#include <ATen/ATen.h>

namespace cpx::kernels {

namespace {

using torch::Tensor;

bool is_asked_for() {
  const char* value = std::getenv("CPX_REFERENCE_KERNELS");
  return value != nullptr && std::string_view(value) == "1";
}

thread_local bool g_is_reference = false;

Tensor to_at_least_float(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

Tensor nll_of(const Tensor& logits, const Tensor& targets) {
  return -at::log_softmax(to_at_least_float(logits), 1).gather(1, targets.unsqueeze(1)).squeeze(1);
}

// [T, T], true where the row's token sees the column's.
Tensor visible_tokens(const std::vector<int32_t>& cu_seqlens, int64_t window) {
  const int64_t num_tokens = cu_seqlens.back();
  auto visible = at::zeros({num_tokens, num_tokens}, at::kBool);
  for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
    const int64_t begin = cu_seqlens[text];
    const int64_t length = cu_seqlens[text + 1] - begin;
    auto own = at::ones({length, length}, at::kBool).tril();
    if (window > 0) own = own.triu(1 - window);
    visible.narrow(0, begin, length).narrow(1, begin, length).copy_(own);
  }
  return visible;
}

// The tokens that ask: the last ones of each text, as many as it has queries.
Tensor asking_tokens(const std::vector<int32_t>& cu_seqlens, const std::vector<int32_t>& queries) {
  std::vector<int64_t> tokens;
  for (size_t text = 0; text + 1 < cu_seqlens.size(); ++text) {
    const int64_t end = cu_seqlens[text + 1];
    for (int64_t token = end - (queries[text + 1] - queries[text]); token < end; ++token) {
      tokens.push_back(token);
    }
  }
  return at::tensor(tokens, at::kLong);
}

}  // namespace

bool uses_reference() {
  static const bool is_asked = is_asked_for();
  return is_asked || g_is_reference;
}

PlainPathGuard::PlainPathGuard() : before_(g_is_reference) { g_is_reference = true; }

PlainPathGuard::~PlainPathGuard() { g_is_reference = before_; }

namespace reference {

Tensor rms_norm(const Tensor& x, const Tensor& weight, double epsilon) {
  const auto wide = to_at_least_float(x);
  const auto mean_square = wide.pow(2).mean(-1, /*keepdim=*/true);
  return (wide * at::rsqrt(mean_square + epsilon)).to(x.scalar_type()) * weight;
}

Tensor rotate(const Tensor& x, const Tensor& cosine, const Tensor& sine) {
  const int64_t half = x.size(-1) / 2;
  const auto c = cosine.unsqueeze(1).to(x.scalar_type());  // [T, 1, E/2]
  const auto s = sine.unsqueeze(1).to(x.scalar_type());
  const auto first = x.narrow(-1, 0, half);
  const auto second = x.narrow(-1, half, half);
  return at::cat({first * c - second * s, second * c + first * s}, -1);
}

Tensor swiglu(const Tensor& gate, const Tensor& up) { return at::silu(gate) * up; }

Tensor packed_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                        const std::vector<int32_t>& cu_seqlens, const AttentionOptions& options,
                        const std::vector<int32_t>& query_bounds) {
  const int64_t group = q.size(1) / k.size(1);
  const auto all_keys = k.repeat_interleave(group, 1).transpose(0, 1);    // [H, T, E]
  const auto all_values = v.repeat_interleave(group, 1).transpose(0, 1);  // [H, T, E]
  const auto scores = at::matmul(q.transpose(0, 1), all_keys.transpose(1, 2)) * options.scale;
  const auto hidden = visible_tokens(cu_seqlens, options.window)
                          .index_select(0, asking_tokens(cu_seqlens, query_bounds))
                          .logical_not()
                          .to(q.device());
  const auto weights = to_at_least_float(scores)
                           .masked_fill(hidden, -std::numeric_limits<double>::infinity())
                           .softmax(-1)
                           .to(v.scalar_type());                        // [H, Q, T]
  return at::matmul(weights, all_values).transpose(0, 1).contiguous();  // [Q, H, E]
}

Tensor linear(const Tensor& x, const LinearWeights& layer) {
  const auto weight =
      layer.blocks.is_defined() ? dequantized(layer.blocks).to(x.scalar_type()) : layer.weight;
  const auto y = at::linear(
      x, weight, layer.bias.defined() ? std::optional<Tensor>(layer.bias) : std::nullopt);
  if (!layer.a.defined()) return y;
  const auto type = x.scalar_type();
  const LoraOptions& options = layer.options;
  const auto input = options.dropout > 0.0
                         ? x * dropout_mask(x.size(0), x.size(1), options.dropout,
                                            options.dropout_key, x.options(), options.row_numbers)
                         : x;
  const auto update = at::linear(at::linear(input, layer.a.to(type)), layer.b.to(type));
  return y + options.scale * update;
}

Tensor token_nll(const Tensor& hidden, const Tensor& weight, const Tensor& targets) {
  return nll_of(at::linear(hidden, weight), targets);
}

Tensor token_nll_low_rank(const Tensor& hidden, const Tensor& weight, const Tensor& low_rank,
                          const Tensor& b, double scale, const Tensor& targets) {
  return nll_of(at::linear(hidden, weight) + scale * at::linear(low_rank, b), targets);
}

}  // namespace reference

}  // namespace cpx::kernels
